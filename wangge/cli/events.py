"""wangge events: list, look at, follow and work off grid events, through the running service."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from wangge.cli.options import DATA, Data, Json, Url, commands
from wangge.cli.output import as_json, json_line, say, table

app = commands("Grid events: list, show, watch, and the six steps.")


def _ulid(text: str) -> str:
    """An event's id; it becomes a part of a path, so nothing else may pass."""
    if len(text) != 26 or not text.isascii() or not text.isalnum():
        raise typer.BadParameter(f"{text!r} is no id of an event: 26 letters and digits, as `wangge events list` shows")
    return text.upper()


EventId = Annotated[str, typer.Argument(metavar="EVENT", help="Id of the event (ULID).", parser=_ulid)]
Since = Annotated[str | None, typer.Option("--since", metavar="T", help="RFC 3339, or an age: 30s, 15m, 2h, 7d.")]
Until = Annotated[str | None, typer.Option("--until", metavar="T", help="Before this instant; like --since.")]
Codes = Annotated[list[str] | None, typer.Option("--code", metavar="CODE", help="Only this code; may be repeated.")]
Division = Annotated[str | None, typer.Option("--division", metavar="CODE", help="Beginning of a division code.")]
Text = Annotated[str | None, typer.Option("--text", metavar="TEXT", help="Remark, reason or answer.")]

_AGES = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@app.command("list", epilog="Example: wangge events list --since 2h --code TRK-01")
def list_events(
    data: Data = DATA,
    url: Url = None,
    since: Since = None,
    until: Until = None,
    code: Codes = None,
    division: Division = None,
    step: Annotated[list[str] | None, typer.Option("--step", metavar="STEP", help="Only at this step.")] = None,
    subject: Annotated[str | None, typer.Option("--subject", metavar="ID", help="Device or worker.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Most events; default: all.")] = None,
    json: Json = False,
) -> None:
    """Print events, newest first; all without a filter."""
    from itertools import islice

    from wangge.running import find

    query = {"since": instant(since), "until": instant(until), "code": code, "division": division, "step": step}
    events = list(islice(find(data, url).pages("/api/events", subject=subject, **query), limit))
    if json:
        as_json(events)
    elif events:
        table(("event", "code", "name", "subject", "grid", "step", "detected"), (_row(event) for event in events))
    else:
        say("No events.")


@app.command(epilog="Example: wangge events show 01KAV3Q2M8R4T6W8Y0A2C4E6G8")
def show(event: EventId, data: Data = DATA, url: Url = None, json: Json = False) -> None:
    """Print one event."""
    from wangge.running import find

    _print(find(data, url).get(f"/api/events/{event}"), json=json)


@app.command(epilog="Example: wangge events watch --code TRK-01 --json")
def watch(
    data: Data = DATA,
    url: Url = None,
    code: Codes = None,
    division: Division = None,
    seconds: Annotated[float | None, typer.Option("--for", metavar="S", help="Stop after so many seconds.")] = None,
    json: Json = False,
) -> None:
    """Print changes as they are committed, one a line, until stopped."""
    from wangge.cli.watching import changes
    from wangge.running import find

    for change in changes(find(data, url), {"code": code, "division": division}, seconds):
        if json:
            json_line(change)
        else:
            event, what = change["event"], change["change"]["what"]
            shown = (change["change"]["at"], event["code"], what, event["subject"], event["step"], event["id"])
            say("  ".join(str(part) for part in shown))


@app.command(epilog="Example: wangge events accept 01KAV3Q2M8R4T6W8Y0A2C4E6G8")
def accept(event: EventId, text: Text = None, data: Data = DATA, url: Url = None, json: Json = False) -> None:
    """受理: take an event on."""
    _step(data, url, event, "accept", {"text": text}, json=json)


@app.command(epilog='Example: wangge events reject 01KAV3Q2M8R4T6W8Y0A2C4E6G8 --text "duplicate of yesterday"')
def reject(
    event: EventId,
    text: Annotated[str, typer.Option("--text", metavar="TEXT", help="The reason.")],
    data: Data = DATA,
    url: Url = None,
    json: Json = False,
) -> None:
    """不予受理: reject an event with a reason; it stays searchable."""
    _step(data, url, event, "reject", {"text": text}, json=json)


@app.command(epilog="Example: wangge events dispatch 01KAV3Q2M8R4T6W8Y0A2C4E6G8 --to worker:w00017")
def dispatch(
    event: EventId,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="WHO", help="worker:ID, team:NAME, department:ID; default: its own worker."),
    ] = None,
    text: Text = None,
    data: Data = DATA,
    url: Url = None,
    json: Json = False,
) -> None:
    """派遣: send an event to a worker (a task on the handset), a team or a department."""
    _step(data, url, event, "dispatch", {"to": to, "text": text}, json=json)


@app.command(epilog='Example: wangge events answer 01KAV3Q2M8R4T6W8Y0A2C4E6G8 --text "paper replaced"')
def answer(
    event: EventId,
    text: Annotated[str, typer.Option("--text", metavar="TEXT", help="What was done.")],
    data: Data = DATA,
    url: Url = None,
    json: Json = False,
) -> None:
    """处置反馈: say what was done."""
    _step(data, url, event, "answer", {"text": text}, json=json)


@app.command(epilog='Example: wangge events verify 01KAV3Q2M8R4T6W8Y0A2C4E6G8 --rework --text "still out of paper"')
def verify(
    event: EventId,
    rework: Annotated[bool, typer.Option("--rework", help="It does not hold: back to handling.")] = False,
    text: Text = None,
    data: Data = DATA,
    url: Url = None,
    json: Json = False,
) -> None:
    """任务核查: another person than the one who answered says that it holds, or sends it back."""
    _step(data, url, event, "verify", {"passed": not rework, "text": text}, json=json)


@app.command(epilog="Example: wangge events archive 01KAV3Q2M8R4T6W8Y0A2C4E6G8")
def archive(event: EventId, text: Text = None, data: Data = DATA, url: Url = None, json: Json = False) -> None:
    """归档: close an event for good."""
    _step(data, url, event, "archive", {"text": text}, json=json)


@app.command(epilog="Example: wangge events trace 01KAV3Q2M8R4T6W8Y0A2C4E6G8")
def trace(event: EventId, data: Data = DATA, url: Url = None, json: Json = False) -> None:
    """倒查问责: every person, device, fact and time that made or touched an event."""
    from wangge.running import find

    found = find(data, url).get(f"/api/events/{event}/trace")
    if json:
        as_json(found)
        return
    _print(found["event"], json=False)
    say("")
    table(
        ("at", "what", "who", "details"),
        ((one["at"], one["what"], one["who"], one["details"]) for one in found["changes"]),
    )


@app.command(epilog="Example: wangge events stats --since 7d --json")
def stats(
    data: Data = DATA,
    url: Url = None,
    since: Since = None,
    until: Until = None,
    code: Codes = None,
    division: Division = None,
    json: Json = False,
) -> None:
    """Counts and rates (办结率, 按期处置率, 返工率) of a period."""
    from wangge.running import find

    query = {"since": instant(since), "until": instant(until), "code": code, "division": division}
    _print(find(data, url).get("/api/events/stats", **query), json=json)


def instant(text: str | None) -> str | None:
    """RFC 3339 of an instant or an age such as 15m. Anything else is wrong usage (status 2)."""
    if text is None:
        return None
    if text[-1:] in _AGES and text[:-1].replace(".", "", 1).isdigit():
        return (datetime.now(UTC) - timedelta(seconds=float(text[:-1]) * _AGES[text[-1]])).isoformat()
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise typer.BadParameter(f"{text!r} is no instant with offset (2026-11-24T08:00:00+08:00) and no age (15m)")
    return at.isoformat()


def _step(data: Path, url: str | None, event: str, step: str, body: dict[str, object], *, json: bool) -> None:
    from wangge.running import find

    _print(find(data, url).post(f"/api/events/{event}/{step}", body), json=json)


def _row(event: dict[str, Any]) -> tuple[object, ...]:
    from core.event import CATALOGUE

    code = CATALOGUE.get(event["code"])
    name = code.name if code else ""
    return event["id"], event["code"], name, event["subject"], event["grid"], event["step"], event["detected_at"]


def _print(values: dict[str, Any], *, json: bool) -> None:
    if json:
        as_json(values)
    else:
        table(("field", "value"), values.items())
