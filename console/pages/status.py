"""The plain status page: is everything working, how much comes in, and what is newest. Refreshes itself, no script."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from zoneinfo import ZoneInfo

from console.pages.layout import page, section
from console.rights import Operator
from core.event import CATALOGUE

REFRESH_S = 5
_STATES = {"ok": ("正常", "ok", ""), "degraded": ("降级", "degraded", "s3"), "down": ("停止", "down", "s1")}
_SEVERITY = {1: ("●", "一级"), 2: ("◆", "二级"), 3: ("▲", "三级"), 4: ("■", "四级")}
_STEPS = {
    "reported": "上报",
    "accepted": "受理",
    "dispatched": "派遣",
    "in_progress": "处置中",
    "answered": "已反馈",
    "verified": "已核查",
    "archived": "已归档",
    "rejected": "不予受理",
    "merged": "已合并",
    "self_ended": "自行恢复",
}


@dataclass(frozen=True, slots=True)
class EventLine:
    """One event of the list."""

    id: str
    code: str
    severity: int
    subject: str
    grid: str | None
    step: str
    detected_at: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """What anybody may know: how many, not who or where."""

    handsets: int
    terminals: int
    online: int
    open_events: dict[int, int]
    events_today: int


@dataclass(frozen=True, slots=True)
class Status:
    """Everything on the page. counts None: the store is away. events None: nobody is signed in."""

    title: str
    now: datetime
    zone: ZoneInfo
    ready: bool
    parts: Sequence[dict[str, object]]
    rates: dict[str, float]
    counts: Counts | None
    events: Sequence[EventLine] | None
    caller: Operator | None
    csrf: str = ""


def status_page(status: Status) -> str:
    """The document."""
    sections = [_figures(status), _events(status), _parts(status)]
    return page(status.title, _header(status) + "".join(sections), refresh_s=REFRESH_S)


def _header(status: Status) -> str:
    if status.caller is None:
        account = '<a href="/sign-in">登录 <small lang="en">Sign in</small></a>'
    else:
        account = (
            f"{escape(status.caller.name)} · "
            f'<form class="out" method="post" action="/sign-out"><input type="hidden" name="csrf" '
            f'value="{escape(status.csrf)}"><button>退出 <small lang="en">Sign out</small></button></form>'
        )
    state = "运行正常" if status.ready else "尚未就绪"
    english = "working" if status.ready else "not ready"
    shade = "" if status.ready else ' class="s2"'
    local = status.now.astimezone(status.zone)
    return (
        f"<header><h1>{escape(status.title)}</h1><span{shade}>{state} <small lang=en>{english}</small></span>"
        f'<small>{local:%Y-%m-%d %H:%M:%S}</small><span class="right">{account} · '
        f'<a href="/api/docs">接口 <small lang="en">API</small></a></span></header>'
    )


def _figures(status: Status) -> str:
    shown: list[tuple[str, str, str]] = []
    if status.counts is not None:
        counts = status.counts
        shown += [
            (f"{counts.online:,}", "在线设备", "devices on line"),
            (f"{counts.handsets:,}", "手持机", "handsets"),
            (f"{counts.terminals:,}", "终端", "terminals"),
            (f"{sum(counts.open_events.values()):,}", "未结事件", "open events"),
            (f"{counts.events_today:,}", "24 小时事件", "events in 24 h"),
        ]
    words = {
        "fix_messages_per_s": ("定位消息/秒", "fix messages a second"),
        "pos_messages_per_s": ("终端消息/秒", "terminal messages a second"),
        "rows_per_s": ("入库/秒", "rows a second"),
        "waiting_rows": ("待入库", "rows waiting"),
    }
    shown += [(f"{status.rates[key]:,.1f}", *word) for key, word in words.items() if key in status.rates]
    figures = "".join(
        f'<div><b>{number}</b>{escape(chinese)} <small lang="en">{escape(english)}</small></div>'
        for number, chinese, english in shown
    )
    body = f'<div class="figures">{figures}</div>' if figures else "<p class=dim>数据库暂不可用 Store is away</p>"
    return section("概况", "Now", body)


def _events(status: Status) -> str:
    if status.events is None:
        by_severity = status.counts.open_events if status.counts else {}
        figures = "".join(
            f'<div><b class="s{severity}">{mark} {by_severity.get(severity, 0):,}</b>{word}</div>'
            for severity, (mark, word) in _SEVERITY.items()
        )
        hint = '<p class="dim">登录后可见详情 · <span lang="en">Sign in to see them</span></p>'
        return section("未结事件", "Open events", f'<div class="figures">{figures}</div>{hint}')
    if not status.events:
        return section("最新事件", "Newest events", '<p class="dim">暂无事件 · <span lang="en">A quiet day</span></p>')
    rows = "".join(_event_row(event, status.zone) for event in status.events)
    head = "<tr><th>事件</th><th>对象</th><th>网格</th><th>步骤</th><th class=n>发现时间</th></tr>"
    return section("最新事件", "Newest events", f"<table>{head}{rows}</table>")


def _event_row(event: EventLine, zone: ZoneInfo) -> str:
    code = CATALOGUE.get(event.code)
    name = code.name if code else ""
    mark, word = _SEVERITY.get(event.severity, ("·", ""))
    return (
        f'<tr><td><span class="s{event.severity}" title="{word}">{mark}</span> {escape(name)} '
        f"<small>{escape(event.code)}</small></td><td>{escape(event.subject)}</td>"
        f"<td><small>{escape(event.grid or '')}</small></td><td>{escape(_STEPS.get(event.step, event.step))}</td>"
        f'<td class="n">{event.detected_at.astimezone(zone):%m-%d %H:%M:%S}</td></tr>'
    )


def _parts(status: Status) -> str:
    rows = []
    for part in status.parts:
        chinese, english, shade = _STATES.get(str(part["state"]), ("?", "?", ""))
        rows.append(
            f'<tr><td>{escape(str(part["part"]))}</td><td class="{shade}">{chinese} '
            f'<small lang="en">{english}</small></td><td class="dim">{escape(str(part.get("why") or ""))}</td></tr>'
        )
    return section("组成部分", "Parts", f"<table>{''.join(rows)}</table>")


def sign_in_page(title: str, fault: str | None = None) -> str:
    """The form for name and password."""
    told = f'<p class="s1">{escape(fault)}</p>' if fault else ""
    form = (
        '<form class="in" method="post" action="/sign-in">'
        '<label>用户名 Name<input name="name" autocomplete="username" required maxlength="64" autofocus></label>'
        '<label>密码 Password<input name="password" type="password" autocomplete="current-password" required '
        'maxlength="200"></label><button>登录 Sign in</button></form>'
    )
    return page(title, f"<header><h1>{escape(title)}</h1></header>" + section("登录", "Sign in", told + form))
