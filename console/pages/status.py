"""The plain status page: is everything working, how much comes in, and what is newest. Refreshes itself, no script."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from zoneinfo import ZoneInfo

from console.pages.layout import page, section
from console.pages.part_names import part_name
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
_COLUMNS = (
    ("事件", "event", ""),
    ("对象", "subject", ""),
    ("网格", "grid", "w"),
    ("步骤", "step", ""),
    ("发现时间", "detected", "n"),
)


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
        f'<a href="/cameras">摄像机 <small lang="en">Cameras</small></a> · '
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
        "fix_messages_per_s": ("定位消息/秒", "fix messages/s"),
        "pos_messages_per_s": ("终端消息/秒", "terminal messages/s"),
        "rows_per_s": ("入库/秒", "rows stored/s"),
        "waiting_rows": ("待入库", "rows waiting"),
    }
    for key, word in words.items():
        if key in status.rates:
            whole = status.rates[key] >= 100 or key == "waiting_rows"
            shown.append((f"{status.rates[key]:,.{0 if whole else 1}f}", *word))
    figures = "".join(
        f'<div><b>{number}</b>{escape(chinese)}<small lang="en">{escape(english)}</small></div>'
        for number, chinese, english in shown
    )
    body = f'<div class="figures">{figures}</div>' if figures else "<p class=dim>数据库暂不可用 Store is away</p>"
    return section("概况", "Now", body)


def _events(status: Status) -> str:
    if status.events is None:
        by_severity = status.counts.open_events if status.counts else {}

        def shade(severity: int) -> str:
            return f"s{severity}" if by_severity.get(severity) else "dim"

        figures = "".join(
            f'<div><b class="{shade(severity)}">{mark} {by_severity.get(severity, 0):,}</b>{word}'
            f'<small lang="en">severity {severity}</small></div>'
            for severity, (mark, word) in _SEVERITY.items()
        )
        hint = '<p class="dim">登录后可见详情 · <span lang="en">Sign in to see them</span></p>'
        return section("未结事件", "Open events", f'<div class="figures few">{figures}</div>{hint}')
    if not status.events:
        return section("最新事件", "Newest events", '<p class="dim">暂无事件 · <span lang="en">A quiet day</span></p>')
    today = status.now.astimezone(status.zone)
    rows = "".join(_event_row(event, today) for event in status.events)
    head = "".join(
        f'<th class="{shade}">{chinese} <small class="w" lang="en">{english}</small></th>'
        for chinese, english, shade in _COLUMNS
    )
    return section("最新事件", "Newest events", f"<table><tr>{head}</tr>{rows}</table>")


def _event_row(event: EventLine, today: datetime) -> str:
    """`today`: now, in the site's time zone; the date is shown of other days only."""
    code = CATALOGUE.get(event.code)
    name, english = (code.name, code.name_en) if code else ("", "")
    at = event.detected_at.astimezone(today.tzinfo)
    shown = f"{at:%H:%M:%S}" if at.date() == today.date() else f"{at:%m-%d %H:%M}"
    step = _STEPS.get(event.step, event.step)
    mark, word = _SEVERITY.get(event.severity, ("·", ""))
    return (
        f'<tr><td><span class="s{event.severity}" title="{word}">{mark}</span> {escape(name)} '
        f'<small class="id">{escape(event.code)}</small> <small class="w" lang="en">{escape(english)}</small></td>'
        f'<td class="id">{escape(event.subject)}</td><td class="w"><small>{escape(event.grid or "")}</small></td>'
        f'<td>{escape(step)} <small class="w" lang="en">{escape(event.step.replace("_", " "))}</small></td>'
        f'<td class="n" title="{at.isoformat()}">{shown}</td></tr>'
    )


def _parts(status: Status) -> str:
    """What does not work first, in colour and with the reason; the rest as names, in grey."""
    bad, well = [], []
    for part in status.parts:
        name = str(part["part"])
        chinese, english = part_name(name)
        label = f'{escape(chinese)}<small lang="en">{escape(english)}</small>'
        state, english, shade = _STATES.get(str(part["state"]), ("?", "?", "s1"))
        if shade:
            why = escape(str(part.get("why") or ""))
            told = f'<span class="{shade}">{state} <small lang="en">{english}</small></span>'
            bad.append(f'<div class="bad">{told} {label}<br><small>{why} ({escape(name)})</small></div>')
        else:
            well.append(f'<div class="dim" title="{escape(name)}">{label}</div>')
    if not bad:
        summary = f'<p>{len(well)} 个部分全部正常 <small lang="en">all {len(well)} parts work</small></p>'
    else:
        summary = ""
    body = f'{"".join(bad)}{summary}<p></p><div class="parts">{"".join(well)}</div>'
    return section("组成部分", "Parts", body)


def sign_in_page(title: str, fault: str | None = None) -> str:
    """The form for name and password."""
    told = (
        f'<p class="s1">没有登录成功：用户名或密码不对，或尝试过多。 <small lang="en">{escape(fault)}</small></p>'
        if fault
        else ""
    )
    form = (
        '<form class="in" method="post" action="/sign-in">'
        '<label>用户名 Name<input name="name" autocomplete="username" required maxlength="64" autofocus></label>'
        '<label>密码 Password<input name="password" type="password" autocomplete="current-password" required '
        'maxlength="200"></label><button>登录 Sign in</button></form>'
    )
    return page(title, f"<header><h1>{escape(title)}</h1></header>" + section("登录", "Sign in", told + form))
