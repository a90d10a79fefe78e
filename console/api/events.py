"""Grid events: lists, one event, its trace, figures."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi import Path as FromPath

from console import event_reading
from console.caller import needs
from console.context import console_of
from console.event_reading import Figures, GridEvent, Trace
from console.filters import DivisionCode, Since, Until
from console.paging import Cursor, Limit, Page, decoded, page_of
from console.rights import Operator
from core.errors import InvalidInput
from core.event import CATALOGUE, Step
from store.audit import Entry, record

router = APIRouter(prefix="/events", tags=["events"])

Caller = Annotated[Operator, needs("events.read")]
EventId = Annotated[str, FromPath(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$", description="ULID of the event.")]
Codes = Annotated[list[str] | None, Query(max_length=40, description="Only these codes.")]
Steps = Annotated[list[Step] | None, Query(max_length=10, description="Only events at these steps.")]


@router.get("")
async def list_events(
    request: Request,
    caller: Caller,
    since: Since = None,
    until: Until = None,
    division: DivisionCode = None,
    code: Codes = None,
    step: Steps = None,
    severity: Annotated[int | None, Query(ge=1, le=4, description="At least as grave: 1 is the gravest.")] = None,
    subject: Annotated[str | None, Query(max_length=64, description="Device, worker or division.")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[GridEvent]:
    """Events in the caller's scope by time of detection, newest first."""
    console = console_of(request)
    limit = min(limit, console.settings.page_limit)
    where = event_reading.seen_by(caller).within("coalesce(e.grid, e.division)", division)
    where.given("e.detected_at >= %s", since).given("e.detected_at < %s", until)
    where.any_of("e.code", known_codes(code)).any_of("e.step", step)
    where.given("e.severity <= %s", severity).given("e.subject = %s", subject)
    position = decoded(cursor, str, str)
    after = (str(position[0]), str(position[1])) if position else None
    async with console.store.connection() as connection:
        rows = await event_reading.events(connection, where, after, limit + 1)
    return page_of(rows, limit, lambda row: row, lambda row: (row.detected_at.isoformat(), row.id))


@router.get("/stats")
async def statistics(
    request: Request,
    caller: Caller,
    since: Since = None,
    until: Until = None,
    division: DivisionCode = None,
    code: Codes = None,
) -> Figures:
    """Counts and rates (办结率, 按期处置率, 返工率) of a period."""
    where = event_reading.seen_by(caller).within("coalesce(e.grid, e.division)", division)
    where.any_of("e.code", known_codes(code))
    async with console_of(request).store.connection() as connection:
        return await event_reading.figures(connection, where, since, until)


@router.get("/{event_id}")
async def show_event(request: Request, caller: Caller, event_id: EventId) -> GridEvent:
    """One event."""
    async with console_of(request).store.connection() as connection:
        return await event_reading.event(connection, caller, event_id)


@router.get("/{event_id}/trace")
async def trace_event(request: Request, caller: Caller, event_id: EventId) -> Trace:
    """Every person, device, fact and time that made or touched the event; looking is audited."""
    async with console_of(request).store.transaction() as connection:
        found = await event_reading.event(connection, caller, event_id)
        await record(
            connection,
            Entry(caller.who, "event.trace", caller.role, event_id, found.grid or found.division, peer=caller.peer),
        )
        return await event_reading.trace(connection, found)


def known_codes(codes: list[str] | None) -> list[str] | None:
    """The codes, checked against the catalogue. Raises InvalidInput."""
    for code in codes or ():
        if code not in CATALOGUE:
            raise InvalidInput(f"code: there is no event code {code[:20]!r}.")
    return codes
