"""The plain cameras page: pictures of all cameras, one of them live, its recordings on a time line, a clip to keep.

The page is a frame; `cameras.js` fills it over the operators' API with the session cookie. Nothing else is loaded.
"""

from html import escape
from importlib.resources import files

from console.pages.layout import STYLE

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Content-Security-Policy of this page: its own script, pictures and video, nothing else."""

_STYLE = """
main{max-width:1440px}
#wall{display:grid;grid-template-columns:repeat(auto-fill,minmax(176px,1fr));gap:8px}
#wall button{padding:0;text-align:left;overflow:hidden;border-radius:6px;color:var(--text);background:var(--card)}
#wall button[aria-pressed=true]{outline:2px solid var(--accent)}
#wall img{display:block;width:100%;aspect-ratio:16/9;object-fit:cover;background:#000}
#wall img.old{opacity:.4}
#wall span{display:block;padding:4px 8px;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
#view{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,320px);gap:16px}
video{display:block;width:100%;aspect-ratio:16/9;background:#000;border-radius:6px}
#line{display:block;width:100%;height:48px;margin:8px 0 0;cursor:crosshair;touch-action:none}
.row{display:flex;flex-wrap:wrap;gap:8px;align-items:center;margin:8px 0 0}
.row label{flex:1 1 144px}
.why{margin:8px 0 0}
#say{min-height:21px}
@media(max-width:800px){#view{grid-template-columns:minmax(0,1fr)}}
"""


def script() -> str:
    """`cameras.js`."""
    return files("console.pages").joinpath("cameras.js").read_text(encoding="utf-8")


def cameras_page(title: str, zone: str, csrf: str) -> str:
    """The document. zone: time zone of the site, tz database. csrf: token of the session."""
    both = _both
    return (
        f'<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>{escape(title)} · 摄像机</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}{_STYLE}</style></head>'
        f'<body data-zone="{escape(zone)}" data-csrf="{escape(csrf)}"><main>'
        f'<header><h1>{both("摄像机", "Cameras")}</h1><small id="count"></small>'
        f'<span class="right"><a href="/">{both("状态", "Status")}</a></span></header>'
        f'<section id="one" hidden><div id="view"><div><video id="video" muted playsinline controls></video>'
        f'<canvas id="line" tabindex="0" aria-label="录像时间轴 time line of recordings"></canvas></div>'
        f'<div><h2 id="name"></h2><div id="facts" class="dim"></div><p id="say" role="status"></p>'
        f'<div class="row"><button id="live">{both("实时", "Live")}</button>'
        f'<button id="back" title="earlier">‹ 早</button><button id="on" title="later">晚 ›</button>'
        f'<button id="zoom" aria-pressed="false">1 h</button></div>'
        f'<div class="row"><label><span>{both("起", "from")}</span>'
        f'<input id="from" type="datetime-local" step="1"></label>'
        f'<label><span>{both("止", "to")}</span><input id="to" type="datetime-local" step="1"></label></div>'
        f'<label class="why"><span>{both("调阅事由", "purpose")}</span><input id="purpose" maxlength="200"></label>'
        f'<div class="row"><button id="play">{both("回放", "Play")}</button>'
        f'<button id="keep">{both("导出", "Export")}</button></div></div></div></section>'
        f'<section><div id="wall"></div><p id="none" class="dim" hidden>'
        f"{both('还没有摄像机', 'No camera yet')}：<code>wangge devices add camera --id c-0001 --url rtsp://…</code></p>"
        f'</section></main><script src="/cameras.js"></script></body></html>'
    )


def _both(chinese: str, english: str) -> str:
    return f'{escape(chinese)} <small lang="en">{escape(english)}</small>'
