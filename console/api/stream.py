"""Live changes by Server-Sent Events: one message a committed change, in commit order, resumable by Last-Event-ID."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from psycopg.rows import dict_row
from starlette.types import Receive, Scope, Send

from console import event_reading
from console.api.events import Codes, known_codes
from console.caller import maybe_caller, needs
from console.context import Console, console_of
from console.filters import DivisionCode
from console.problems import TooMany
from console.rights import Operator
from console.where import Where
from core.errors import StoreUnavailable
from store.event_queries import newest_change
from store.events import EVENTS_CHANNEL
from store.pool import Store

router = APIRouter(tags=["events"])

BATCH = 200
RETRY_MS = 2000
Sequence = Annotated[int | None, Query(ge=0, lt=1 << 62, description="Instead of the header, for programs.")]


@router.get("/stream", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})
async def stream(
    request: Request,
    caller: Annotated[Operator, needs("events.read")],
    last_event_id: Annotated[
        int | None, Header(ge=0, lt=1 << 62, description="Last id seen; absent: only new.")
    ] = None,
    after: Sequence = None,
    division: DivisionCode = None,
    code: Codes = None,
) -> StreamingResponse:
    """Messages `event: change`, `id`: number of the change, `data`: {"change", "event"}; comments fill the silence."""
    console = console_of(request)
    if console.streams >= console.settings.stream_connections:
        raise _too_many()
    where = event_reading.seen_by(caller).within("coalesce(e.grid, e.division)", division)
    where.any_of("e.code", known_codes(code))
    start = last_event_id if last_event_id is not None else after
    if start is None:
        async with console.store.connection() as connection:
            start = await newest_change(connection)
    if console.streams >= console.settings.stream_connections:  # others came while the store was asked
        raise _too_many()
    return _Counted(console, _messages(request, caller, where, start), media_type="text/event-stream")


class _Counted(StreamingResponse):
    """Counts as an open stream from the moment it is made until it is over, whether or not it ever began."""

    def __init__(self, console: Console, content: AsyncIterator[str], media_type: str) -> None:
        super().__init__(content, media_type=media_type)
        self._console = console
        console.streams += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._console.streams -= 1


def _too_many() -> TooMany:
    return TooMany("Too many live streams are open; close one or try again later.", retry_after_s=10)


async def _messages(request: Request, caller: Operator, where: Where, after: int) -> AsyncIterator[str]:
    console = console_of(request)
    asked = time.monotonic()
    yield f"retry: {RETRY_MS}\n\n"
    while not console.changed.closed:
        ticket = console.changed.ticket()
        try:
            if time.monotonic() - asked >= console.settings.stream_ping_s:
                asked = time.monotonic()
                if await maybe_caller(request) != caller:
                    return  # signed out, disabled, the token revoked, or moved to another scope
            seen, rows = await _changes(console.store, where, after)
        except StoreUnavailable:
            return  # the client comes again after `retry`, with the last id it saw
        for row in rows:
            yield _message(row)
        after = seen
        if len(rows) == BATCH:
            continue
        try:
            async with asyncio.timeout(console.settings.stream_ping_s):
                await ticket.wait()
        except TimeoutError:
            yield ": still here\n\n"


async def _changes(store: Store, where: Where, after: int) -> tuple[int, list[dict[str, Any]]]:
    """Up to BATCH changes behind `after` that the caller may see, and the number up to which all were looked at."""
    async with store.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
        newest_seq = max(after, await newest_change(connection))
        await cursor.execute(
            f"""SELECT c.seq, c.event_id, c.version AS change_version, c.at, c.what, c.who, c.details,
                       {event_reading.COLUMNS}
                FROM event_changes c JOIN grid_events e ON e.id = c.event_id
                WHERE c.seq > %s AND c.seq <= %s AND {where.sql} ORDER BY c.seq LIMIT %s""",  # noqa: S608
            [after, newest_seq, *where.values, BATCH],
        )
        rows = await cursor.fetchall()
    return (rows[-1]["seq"] if len(rows) == BATCH else newest_seq), rows


def _message(row: dict[str, Any]) -> str:
    change = {name: row[name] for name in ("seq", "at", "what", "who", "details")} | {"version": row["change_version"]}
    event = event_reading.GridEvent.model_validate(row, extra="ignore")
    body = {"change": {**change, "at": change["at"].isoformat()}, "event": event.model_dump(mode="json")}
    return f"id: {row['seq']}\nevent: change\ndata: {json.dumps(body, ensure_ascii=False)}\n\n"


async def follow(console: Console) -> None:
    """Rings the bell for every committed change, until cancelled; a part of the service."""
    async for _notice in console.store.listen(EVENTS_CHANNEL):
        console.changed.ring()
