"""Grid events in the store: opened, merged, corrected, ended and moved along, each change a row in commit order.

Writers take the advisory lock of the family `event` (8017) before their first change, so `event_changes.seq` order is
commit order and SSE, watch and notification tail it without holes. Functions run in the caller's transaction.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import LiteralString

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from core.event import FINAL_STEPS

Connection = AsyncConnection[TupleRow]

EVENTS_CHANNEL = "wangge_events"
_FINAL = sorted(FINAL_STEPS)
_BEFORE_DISPATCH = ["reported", "accepted"]
"""A condition that ends by itself closes its event only before dispatch (domain: self_ended)."""
EVIDENCE_LISTED = 20
CAUSES_LISTED = 500
"""Most entries of an event that repeats, and of one that stands for many."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be opened. Times: UTC epoch milliseconds; `division`: longest known code of the place."""

    id: str
    key: str
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
    late: bool
    due_at_ms: int | None
    evidence: tuple[dict[str, object], ...] = ()
    causes: dict[str, object] = field(default_factory=dict)


def instant(at_ms: int | None) -> datetime | None:
    """Epoch milliseconds as the database takes them."""
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)


async def lock_changes(connection: Connection) -> None:
    """Before the first change of a transaction, as late in it as can be: others' changes wait until it commits."""
    await connection.execute("SELECT pg_advisory_xact_lock(8017, hashtext('event'))")


async def announce(connection: Connection, what: str = "") -> None:
    """After the last change: wakes those who follow the changes."""
    await connection.execute("SELECT pg_notify(%s, %s)", (EVENTS_CHANNEL, what))


async def insert_event(connection: Connection, event: NewEvent, who: str) -> bool:
    """Opens an event. False when its key exists already (nothing changes then)."""
    cursor = await connection.execute(
        "WITH opened AS (INSERT INTO grid_events (id, key, code, severity, level, division, grid, subject, "
        "subject_kind, worker, lat, lon, began_at, detected_at, late, due_at, evidence, causes, changed_seq) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, nextval('event_seqs')) "
        "ON CONFLICT (key) DO NOTHING RETURNING id, changed_seq) "
        "INSERT INTO event_changes (seq, event_id, version, what, who) SELECT changed_seq, id, 1, 'opened', %s "
        "FROM opened RETURNING seq",
        (
            event.id,
            event.key,
            event.code,
            event.severity,
            event.level,
            event.division,
            event.grid,
            event.subject,
            event.subject_kind,
            event.worker,
            event.lat,
            event.lon,
            instant(event.began_at_ms),
            instant(event.detected_at_ms),
            event.late,
            instant(event.due_at_ms),
            Jsonb(list(event.evidence)),
            Jsonb(event.causes),
            who,
        ),
    )
    return await cursor.fetchone() is not None


async def _change(
    connection: Connection, update: LiteralString, parameters: dict[str, object], what: str, who: str, details: object
) -> bool:
    """Runs an UPDATE of one event and records the change. False: the UPDATE found none."""
    cursor = await connection.execute(
        "WITH changed AS (UPDATE grid_events SET version = version + 1, changed_seq = nextval('event_seqs'), "  # noqa: S608
        + update
        + " RETURNING id, version, changed_seq) INSERT INTO event_changes (seq, event_id, version, what, who, details) "
        "SELECT changed_seq, id, version, %(what)s, %(who)s, %(details)s FROM changed RETURNING seq",
        {**parameters, "what": what, "who": who, "details": Jsonb(details)},
    )
    return await cursor.fetchone() is not None


async def repeat_event(
    connection: Connection,
    key: str,
    at_ms: int,
    who: str,
    *,
    times: int = 1,
    causes: dict[str, object] | None = None,
    evidence: tuple[dict[str, object], ...] = (),
) -> bool:
    """Counts `times` more, the first at `at_ms` (an earlier one moves began_at back). False: no such open event."""
    return await _change(
        connection,
        "count = count + %(times)s, began_at = least(began_at, %(at)s), causes = causes || %(causes)s, "
        "evidence = CASE WHEN jsonb_array_length(evidence) < %(most)s THEN evidence || %(evidence)s ELSE evidence END "
        "WHERE key = %(key)s AND step <> ALL(%(final)s)",
        {
            "key": key,
            "at": instant(at_ms),
            "causes": Jsonb(causes or {}),
            "evidence": Jsonb(list(evidence)),
            "most": EVIDENCE_LISTED,
            "times": times,
            "final": _FINAL,
        },
        "repeated",
        who,
        {"at_ms": at_ms, "times": times},
    )


async def list_in_event(connection: Connection, key: str, entry: dict[str, object], who: str) -> bool:
    """Adds one finding to an event that stands for many (`causes.merged`, at most CAUSES_LISTED).

    False: no such open event.
    """
    return await _change(
        connection,
        "count = count + 1, causes = CASE WHEN jsonb_array_length(causes -> 'merged') < %(most)s "
        "THEN jsonb_set(causes, '{merged}', (causes -> 'merged') || %(entry)s) ELSE causes END "
        "WHERE key = %(key)s AND step <> ALL(%(final)s)",
        {"key": key, "most": CAUSES_LISTED, "entry": Jsonb([entry]), "final": _FINAL},
        "repeated",
        who,
        entry,
    )


async def correct_event(
    connection: Connection, key: str, who: str, *, began_at_ms: int | None, causes: dict[str, object]
) -> bool:
    """Moves began_at and adds to the causes, whatever the step before archiving. False: no such event."""
    return await _change(
        connection,
        "began_at = coalesce(%(began)s, began_at), causes = causes || %(causes)s "
        "WHERE key = %(key)s AND step NOT IN ('archived', 'merged')",
        {"key": key, "began": instant(began_at_ms), "causes": Jsonb(causes)},
        "corrected",
        who,
        {"began_at_ms": began_at_ms, **causes},
    )


async def end_event(
    connection: Connection, key: str, at_ms: int, who: str, *, causes: dict[str, object] | None = None
) -> bool:
    """Notes that the condition ended; closes the event as `self_ended` before dispatch. False: none or noted before."""
    return await _change(
        connection,
        "ended_at = greatest(%(at)s, began_at), causes = causes || %(causes)s, "
        "step = CASE WHEN step = ANY(%(open)s) THEN 'self_ended' ELSE step END "
        "WHERE key = %(key)s AND ended_at IS NULL AND step <> ALL(%(final)s)",
        {
            "key": key,
            "at": instant(at_ms),
            "causes": Jsonb(causes or {}),
            "open": _BEFORE_DISPATCH,
            "final": _FINAL,
        },
        "ended",
        who,
        {"at_ms": at_ms, **(causes or {})},
    )


async def set_step(
    connection: Connection, event_id: str, version: int, step: str, what: str, who: str, details: dict[str, object]
) -> bool:
    """Moves an event to `step` if it still has this version (optimistic). False: somebody changed it meanwhile."""
    return await _change(
        connection,
        "step = %(step)s WHERE id = %(id)s AND version = %(version)s",
        {"id": event_id, "version": version, "step": step},
        what,
        who,
        details,
    )
