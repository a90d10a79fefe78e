"""Grid events as the API shows them: lists, one event, its changes, and figures over a period."""

from datetime import datetime
from typing import Any, Literal

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row
from pydantic import BaseModel, Field

from console.rights import Operator
from console.where import Where
from core.errors import NotFound
from core.event import FINAL_STEPS

Connection = AsyncConnection[Any]
COLUMNS = """e.id, e.code, e.severity, e.level, e.division, e.grid, e.subject, e.subject_kind, e.worker, e.lat, e.lon,
             e.began_at, e.detected_at, e.ended_at, e.count, e.late, e.step, e.due_at, e.evidence,
             jsonb_build_object('key', e.key) || e.causes AS causes, e.version"""


class GridEvent(BaseModel):
    """One grid event; `evidence` links to what it rests on, `causes` says which rule and numbers made it."""

    id: str
    code: str
    severity: int
    level: Literal["grid", "district", "city"]
    division: str
    grid: str | None
    subject: str
    subject_kind: str
    worker: str | None
    lat: float | None
    lon: float | None
    began_at: datetime
    detected_at: datetime
    ended_at: datetime | None
    count: int
    late: bool
    step: str
    due_at: datetime | None
    evidence: list[Any]
    causes: dict[str, Any]
    version: int


class Change(BaseModel):
    """One change of an event: who did what when."""

    seq: int
    version: int
    at: datetime
    what: str
    who: str
    details: dict[str, Any]


class Trace(BaseModel):
    """Everything and everybody that made or touched an event (倒查问责)."""

    event: GridEvent
    changes: list[Change]
    tasks: list[dict[str, Any]] = Field(description="Messages about it to devices, with their outcome.")
    looked_at: list[dict[str, Any]] = Field(description="Rows of the audit log that name it.")


class Figures(BaseModel):
    """Events of a period. Rates are None where nothing was due."""

    total: int
    open: int
    by_code: dict[str, int]
    by_step: dict[str, int]
    by_severity: dict[str, int]
    should_be_closed: int
    closed: int
    closed_in_time: int
    reworked: int
    closing_rate: float | None
    timely_rate: float | None
    rework_rate: float | None


def seen_by(caller: Operator) -> Where:
    """What a caller may see: the own division, and a worker only the own events and tasks."""
    where = Where().seen_by(caller, "coalesce(e.grid, e.division)")
    if caller.role != "worker":
        return where
    return where.add(
        """(e.worker = %s OR EXISTS (SELECT FROM event_changes t WHERE t.event_id = e.id AND t.what = 'dispatched'
                                     AND t.details->>'to' = 'worker:' || %s))""",
        caller.worker,
        caller.worker,
    )


async def events(connection: Connection, where: Where, after: tuple[str, str] | None, limit: int) -> list[GridEvent]:
    """Newest first; `after` is (detected_at, id) of the last one seen. Index: grid_events_detected."""
    if after is not None:
        where.add("(e.detected_at, e.id) < (%s::timestamptz, %s)", *after)
    async with connection.cursor(row_factory=class_row(GridEvent)) as cursor:
        await cursor.execute(
            f"SELECT {COLUMNS} FROM grid_events e WHERE {where.sql} ORDER BY e.detected_at DESC, e.id DESC LIMIT %s",  # noqa: S608
            [*where.values, limit],
        )
        return await cursor.fetchall()


async def event(connection: Connection, caller: Operator, event_id: str) -> GridEvent:
    """One event in the caller's scope. Raises NotFound."""
    found = await events(connection, seen_by(caller).add("e.id = %s", event_id), None, 1)
    if not found:
        raise NotFound(f"There is no event {event_id} in your scope.")
    return found[0]


async def trace(connection: Connection, found: GridEvent) -> Trace:
    """The whole history of an event."""
    async with connection.cursor(row_factory=class_row(Change)) as cursor:
        await cursor.execute(
            "SELECT seq, version, at, what, who, details FROM event_changes WHERE event_id = %s ORDER BY seq",
            [found.id],
        )
        changes = await cursor.fetchall()
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            """SELECT w.id, d.id AS device, w.created_at, w.sent_at, w.delivered_at, w.attempts, w.answer
               FROM downlink w JOIN devices d ON d.key = w.device
               WHERE w.topic LIKE '%%/task' AND position(convert_to(%s, 'UTF8') IN w.payload) > 0
                 AND w.created_at >= %s ORDER BY w.id LIMIT 100""",
            [found.id, found.detected_at],
        )
        tasks = await cursor.fetchall()
        await cursor.execute(
            """SELECT seq, at, who, role, action, purpose FROM audit_log
               WHERE object = %s AND at >= %s ORDER BY seq LIMIT 500""",
            [found.id, found.detected_at],
        )
        looked_at = await cursor.fetchall()
    return Trace(event=found, changes=changes, tasks=tasks, looked_at=looked_at)


async def figures(connection: Connection, where: Where, since: datetime | None, until: datetime | None) -> Figures:
    """Figures over events detected in the period; rates over those accepted and due in it (domain.md)."""
    period = Where([*where.conditions], [*where.values])
    period.given("e.detected_at >= %s", since).given("e.detected_at < %s", until)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            f"""SELECT e.code, e.step, e.severity, count(*) AS n FROM grid_events e
                WHERE {period.sql} GROUP BY e.code, e.step, e.severity""",  # noqa: S608
            period.values,
        )
        groups = await cursor.fetchall()
        due = Where([*where.conditions], [*where.values])
        due.add("e.due_at <= coalesce(%s::timestamptz, now())", until).given("e.due_at >= %s", since)
        await cursor.execute(
            f"""SELECT count(*) AS due, count(*) FILTER (WHERE e.step = 'archived') AS closed,
                       count(*) FILTER (WHERE e.step = 'archived' AND c.answered <= e.due_at) AS in_time,
                       count(*) FILTER (WHERE c.reworked) AS reworked
                FROM grid_events e CROSS JOIN LATERAL (
                    SELECT max(at) FILTER (WHERE what IN ('answered', 'archived')) AS answered,
                           bool_or(what = 'accepted') AS accepted, coalesce(bool_or(what = 'rework'), false) AS reworked
                    FROM event_changes WHERE event_id = e.id) c
                WHERE {due.sql} AND c.accepted AND e.step NOT IN ('rejected', 'merged', 'self_ended')""",  # noqa: S608
            due.values,
        )
        rates = await cursor.fetchone()
    assert rates is not None
    return _figures(groups, rates)


def _figures(groups: list[dict[str, Any]], rates: dict[str, Any]) -> Figures:
    def by(column: str) -> dict[str, int]:
        sums: dict[str, int] = {}
        for group in groups:
            sums[str(group[column])] = sums.get(str(group[column]), 0) + group["n"]
        return dict(sorted(sums.items()))

    def rate(part: int) -> float | None:
        return part / rates["due"] if rates["due"] else None

    steps = by("step")
    return Figures(
        total=sum(steps.values()),
        open=sum(n for step, n in steps.items() if step not in FINAL_STEPS),
        by_code=by("code"),
        by_step=steps,
        by_severity=by("severity"),
        should_be_closed=rates["due"],
        closed=rates["closed"],
        closed_in_time=rates["in_time"],
        reworked=rates["reworked"],
        closing_rate=rate(rates["closed"]),
        timely_rate=rate(rates["in_time"]),
        rework_rate=rate(rates["reworked"]),
    )
