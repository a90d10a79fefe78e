"""Reading grid events: the value that others see, lists with filters, one event's history, changes since, figures."""

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow, class_row

from core.errors import NotFound
from store.events import instant

Connection = AsyncConnection[TupleRow]


@dataclass(frozen=True, slots=True)
class Event:
    """A grid event as stored. Times: UTC epoch milliseconds."""

    id: str
    code: str
    severity: int
    level: str
    division: str
    grid: str | None
    subject: str
    subject_kind: str
    worker: str | None
    lat: float | None
    lon: float | None
    began_at_ms: int
    detected_at_ms: int
    ended_at_ms: int | None
    count: int
    late: bool
    step: str
    due_at_ms: int | None
    evidence: list[dict[str, Any]]
    causes: dict[str, Any]
    key: str
    version: int
    changed_seq: int

    def as_json(self) -> dict[str, Any]:
        """The grid event of the outside contract (interfaces, Objects), exactly its names; times RFC 3339."""
        return {
            "id": self.id,
            "code": self.code,
            "severity": self.severity,
            "level": self.level,
            "grid": self.grid,
            "subject": self.subject,
            "lat": self.lat,
            "lon": self.lon,
            "began_at": rfc3339(self.began_at_ms),
            "detected_at": rfc3339(self.detected_at_ms),
            "ended_at": rfc3339(self.ended_at_ms),
            "count": self.count,
            "late": self.late,
            "step": self.step,
            "due_at": rfc3339(self.due_at_ms),
            "evidence": self.evidence,
            "causes": {"key": self.key, **self.causes},
        }


@dataclass(frozen=True, slots=True)
class EventChange:
    """One change, in commit order of `seq`. at_ms: epoch milliseconds by the store's clock."""

    seq: int
    event_id: str
    version: int
    at_ms: int
    what: str
    who: str
    details: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """For history and trace; time RFC 3339."""
        return {
            "seq": self.seq,
            "event": self.event_id,
            "version": self.version,
            "at": rfc3339(self.at_ms),
            "what": self.what,
            "who": self.who,
            "details": self.details,
        }


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What to list; None leaves a criterion out. since/until: of detected_at, [since, until); division: a prefix."""

    since_ms: int | None = None
    until_ms: int | None = None
    code: str | None = None
    division: str | None = None
    step: str | None = None
    subject: str | None = None
    only_open: bool = False


@dataclass(frozen=True, slots=True)
class EventFigures:
    """How many events there are; by_code and by_step sum up to total."""

    total: int
    by_code: dict[str, int] = field(default_factory=dict)
    by_step: dict[str, int] = field(default_factory=dict)


def rfc3339(at_ms: int | None) -> str | None:
    """Epoch milliseconds as `2026-01-02T03:04:05.678Z`."""
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _column(name: str) -> str:
    if name.endswith("_ms"):
        return f"(date_part('epoch', e.{name[:-3]}) * 1000)::bigint AS {name}"
    return f"e.{name}"


_EVENT = sql.SQL(", ".join(_column(f.name) for f in fields(Event)))
_CHANGE = sql.SQL(", ".join(_column(f.name) for f in fields(EventChange)))


def _where(wanted: EventFilter) -> tuple[sql.Composable, dict[str, object]]:
    """Conditions and their parameters. Indexes: grid_events_detected, grid_events_division, grid_events_subject."""
    given: list[tuple[str, object]] = [
        ("e.detected_at >= %(since)s", instant(wanted.since_ms)),
        ("e.detected_at < %(until)s", instant(wanted.until_ms)),
        ("e.code = %(code)s", wanted.code),
        ("starts_with(e.division, %(division)s)", wanted.division or None),
        ("e.step = %(step)s", wanted.step),
        ("e.subject = %(subject)s", wanted.subject),
    ]
    names = ("since", "until", "code", "division", "step", "subject")
    conditions = [text for text, value in given if value is not None]
    if wanted.only_open:
        conditions.append("e.step NOT IN ('archived', 'rejected', 'merged', 'self_ended')")
    parameters = {name: value for name, (_, value) in zip(names, given, strict=True) if value is not None}
    text = sql.SQL(" AND ").join([sql.SQL(c) for c in conditions] or [sql.SQL("true")])
    return text, parameters


async def list_events(
    connection: Connection, wanted: EventFilter, limit: int | None = None, after: Event | None = None
) -> list[Event]:
    """Newest first (detected_at, then id). after: the last event of the page before."""
    where, parameters = _where(wanted)
    if after is not None:
        where = sql.SQL("{} AND (e.detected_at, e.id) < (%(after_at)s, %(after_id)s)").format(where)
        parameters |= {"after_at": instant(after.detected_at_ms), "after_id": after.id}
    query = sql.SQL("SELECT {} FROM grid_events AS e WHERE {} ORDER BY e.detected_at DESC, e.id DESC LIMIT {}").format(
        _EVENT, where, sql.Literal(limit)
    )
    async with connection.cursor(row_factory=class_row(Event)) as cursor:
        await cursor.execute(query, parameters)
        return await cursor.fetchall()


async def show_event(connection: Connection, event_id: str) -> Event:
    """One event. Raises NotFound."""
    found = await events_by_id(connection, [event_id])
    if not found:
        raise NotFound(f"There is no event {event_id}.")
    return found[0]


async def events_by_id(connection: Connection, event_ids: list[str]) -> list[Event]:
    """Those of these events that exist, in order of their id."""
    query = sql.SQL("SELECT {} FROM grid_events AS e WHERE e.id = ANY(%s) ORDER BY e.id").format(_EVENT)
    async with connection.cursor(row_factory=class_row(Event)) as cursor:
        await cursor.execute(query, (event_ids,))
        return await cursor.fetchall()


async def event_history(connection: Connection, event_id: str) -> list[EventChange]:
    """Every change of an event, oldest first. Index: event_changes_event."""
    query = sql.SQL("SELECT {} FROM event_changes AS e WHERE e.event_id = %s ORDER BY e.version").format(_CHANGE)
    async with connection.cursor(row_factory=class_row(EventChange)) as cursor:
        await cursor.execute(query, (event_id,))
        return await cursor.fetchall()


async def changes_since(connection: Connection, seq: int, limit: int = 500) -> list[EventChange]:
    """Changes behind `seq` in commit order: nothing can appear later before one of them. Index: event_changes_pkey."""
    query = sql.SQL("SELECT {} FROM event_changes AS e WHERE e.seq > %s ORDER BY e.seq LIMIT %s").format(_CHANGE)
    async with connection.cursor(row_factory=class_row(EventChange)) as cursor:
        await cursor.execute(query, (seq, limit))
        return await cursor.fetchall()


async def newest_change(connection: Connection) -> int:
    """Seq of the newest committed change, 0 when there is none."""
    cursor = await connection.execute("SELECT coalesce(max(seq), 0) FROM event_changes")
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def event_figures(connection: Connection, wanted: EventFilter) -> EventFigures:
    """Counts by code and by step of what the filter lets through."""
    where, parameters = _where(wanted)
    query = sql.SQL("SELECT e.code, e.step, count(*) FROM grid_events AS e WHERE {} GROUP BY 1, 2").format(where)
    cursor = await connection.execute(query, parameters)
    by_code: dict[str, int] = {}
    by_step: dict[str, int] = {}
    for code, step, count in await cursor.fetchall():
        by_code[code] = by_code.get(code, 0) + count
        by_step[step] = by_step.get(step, 0) + count
    return EventFigures(sum(by_code.values()), dict(sorted(by_code.items())), dict(sorted(by_step.items())))
