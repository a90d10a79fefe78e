"""What the service keeps about itself: quarantine (refused input) and the audit log."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from psycopg.rows import class_row
from pydantic import BaseModel

from console import reach
from console.caller import needs
from console.context import console_of
from console.filters import Since, Until
from console.paging import Cursor, Limit, Page, decoded, page_of
from console.rights import Operator
from console.where import Where
from store.audit import Entry, record

router = APIRouter(tags=["records"])


class Refused(BaseModel):
    """Input that was not accepted; its raw bytes stay in the store."""

    id: int
    received_at: datetime
    device: str | None
    via: str
    topic: str | None
    kind: str
    reason: str
    bytes: int
    cut: bool


class AuditRow(BaseModel):
    """Who looked at or changed what."""

    seq: int
    at: datetime
    who: str
    role: str | None
    action: str
    object: str | None
    scope: str | None
    purpose: str | None
    peer: str | None
    details: dict[str, Any]


@router.get("/quarantine")
async def list_quarantine(
    request: Request,
    caller: Annotated[Operator, needs("quarantine.read")],
    since: Since = None,
    until: Until = None,
    device: Annotated[str | None, Query(max_length=64)] = None,
    kind: Annotated[str | None, Query(max_length=40)] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[Refused]:
    """Refused input, newest first. A caller with a division sees what came from devices while they were there."""
    console = console_of(request)
    where = Where().given("q.received_at >= %s", since).given("q.received_at < %s", until)
    where.given("d.id = %s", device).given("q.kind = %s", kind)
    reach.belonging(where, caller, "q.device", "q.received_at")
    if position := decoded(cursor, str, int):
        where.add("(q.received_at, q.id) < (%s::timestamptz, %s)", *position)
    async with console.store.connection() as connection, connection.cursor(row_factory=class_row(Refused)) as reader:
        await reader.execute(
            f"""SELECT q.id, q.received_at, d.id AS device, q.via, q.topic, q.kind, q.reason,
                       octet_length(q.raw) AS bytes, q.cut
                FROM quarantine q LEFT JOIN devices d ON d.key = q.device
                WHERE {where.sql} ORDER BY q.received_at DESC, q.id DESC LIMIT %s""",  # noqa: S608
            [*where.values, limit + 1],
        )
        rows = await reader.fetchall()
    return page_of(rows, limit, lambda row: row, lambda row: (row.received_at.isoformat(), row.id))


@router.get("/audit")
async def list_audit(
    request: Request,
    caller: Annotated[Operator, needs("audit.read")],
    since: Since = None,
    until: Until = None,
    who: Annotated[str | None, Query(max_length=100)] = None,
    action: Annotated[str | None, Query(max_length=60)] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[AuditRow]:
    """The audit log, newest first; reading it is audited too."""
    where = Where().given("a.at >= %s", since).given("a.at < %s", until).given("a.who = %s", who)
    where.given("a.action = %s", action).within("coalesce(a.scope, '')", caller.division)
    if position := decoded(cursor, int):
        where.add("a.seq < %s", *position)
    async with console_of(request).store.transaction() as connection:
        async with connection.cursor(row_factory=class_row(AuditRow)) as reader:
            await reader.execute(
                f"""SELECT a.seq, a.at, a.who, a.role, a.action, a.object, a.scope, a.purpose, a.peer, a.details
                    FROM audit_log a WHERE {where.sql} ORDER BY a.seq DESC LIMIT %s""",  # noqa: S608
                [*where.values, limit + 1],
            )
            rows = await reader.fetchall()
        await record(
            connection, Entry(caller.who, "audit.read", caller.role, who, caller.division or None, peer=caller.peer)
        )
    return page_of(rows, limit, lambda row: row, lambda row: (row.seq,))
