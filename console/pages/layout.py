"""The frame of every plain page: calm, light and dark, usable at 390 px, Chinese first with English beside it."""

from html import escape

STYLE = """
:root{color-scheme:light dark;--bg:#f7f7f5;--card:#fff;--text:#1d1f21;--dim:#6a6f76;--line:#e3e3df;--accent:#2b5f9e;
--s1:#b3261e;--s2:#b45309;--s3:#8a6100;--s4:#1d5fa8}
@media(prefers-color-scheme:dark){:root{--bg:#15171a;--card:#1d2024;--text:#e4e6e8;--dim:#979da5;--line:#2e3238;
--accent:#8ab4e8;--s1:#ff8a80;--s2:#ffb067;--s3:#e6c15a;--s4:#8ab4e8}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:14px/1.5 system-ui,-apple-system,"Segoe UI","PingFang SC",
"Microsoft YaHei","Noto Sans CJK SC",sans-serif}
main{max-width:960px;margin:0 auto;padding:16px}
header{display:flex;flex-wrap:wrap;gap:8px 16px;align-items:baseline;padding:8px 0 16px}
h1{font-size:20px;font-weight:600;margin:0}h2{font-size:14px;font-weight:600;margin:0 0 8px}
small,.dim{color:var(--dim);font-size:12px}.right{margin-left:auto}
section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:16px;margin:0 0 16px;
overflow-x:auto}
p{margin:8px 0 0}
table{border-collapse:collapse;width:100%}th{text-align:left;font-weight:600;color:var(--dim);font-size:12px}
th,td{padding:6px 8px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(136px,1fr));gap:16px}
.figures.few{grid-template-columns:repeat(4,minmax(0,136px));gap:8px}
.figures b{display:block;font-size:20px;font-weight:600;font-variant-numeric:tabular-nums}
.figures small{display:block}
.parts{display:grid;grid-template-columns:repeat(auto-fill,minmax(272px,1fr));gap:4px 24px}
.parts small{margin-left:8px}.bad{padding:4px 0;border-bottom:1px solid var(--line)}.bad:last-of-type{margin:0 0 12px}
.id{white-space:nowrap}
@media(max-width:560px){.w{display:none}th,td{padding-right:6px}}
.s1{color:var(--s1)}.s2{color:var(--s2)}.s3{color:var(--s3)}.s4{color:var(--s4)}
a{color:var(--accent);text-decoration:none}a:hover,a:focus{text-decoration:underline}
form.in{display:grid;gap:12px;max-width:320px}label{display:grid;gap:4px;color:var(--dim);font-size:12px}
input{font:inherit;padding:8px;border:1px solid var(--line);border-radius:6px;background:var(--bg);color:var(--text)}
button{font:inherit;padding:8px 16px;border:1px solid var(--line);border-radius:6px;background:var(--card);
color:var(--accent);cursor:pointer}code{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px}
form.out{display:inline}form.out button{padding:0;border:0;background:none}
"""


def page(title: str, body: str, *, refresh_s: int | None = None) -> str:
    """A whole document; `body` is HTML, `title` is text."""
    refresh = f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else ""
    return (
        f'<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">{refresh}'
        f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    )


def section(chinese: str, english: str, body: str) -> str:
    """A card with a heading in both languages; `body` is HTML."""
    return f'<section><h2>{escape(chinese)} <small lang="en">{escape(english)}</small></h2>{body}</section>'
