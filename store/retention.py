"""Retention: rows that are older than they are kept go, but never one that a reader has yet to handle.

Fact tables lose whole days (partitions or chunks), other tables rows in small transactions. Everything is written under
the lease that is handed in. A reader that is stuck keeps its days; it is in the report, which becomes DQ-01.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import structlog
from psycopg import AsyncConnection, sql

from core.errors import StoreUnavailable
from core.lane import CAMERA, FAMILIES, FIX, MESSAGE, POS, REFUSAL, SECURITY, Lane
from store import audit, timescale
from store.cursors import StuckCursor, drop_handled_batches, oldest_unread_ms, stuck_cursors
from store.leases import Lease
from store.partitions import DAY_MS, day_of, partition_name
from store.pool import Store
from store.settings import RetentionSettings

log = structlog.get_logger()

Connection = AsyncConnection[Any]

ROWS_AT_ONCE = 5_000
LOCK_WAIT_MS = 500
"""Dropping a day stops its table for as long; busy tables are left for the next run."""

FACT_DAYS: dict[str, str] = {
    FIX: "fixes_days",
    POS: "pos_days",
    REFUSAL: "quarantine_days",
    SECURITY: "security_days",
    MESSAGE: "messages_days",
    CAMERA: "camera_facts_days",
}

_OLD_ROWS: tuple[tuple[str, str, str], ...] = (
    ("ready_spans", "until < %(cut)s", "ready_days"),
    ("downlink", "coalesce(delivered_at, expires_at, created_at + interval '365 days') < %(cut)s", "downlink_days"),
    ("operator_tokens", "least(revoked_at, expires_at) < %(cut)s", "tokens_days"),
    ("device_message_keys", "received_at < %(cut)s", "messages_days"),
    ("rule_budgets", "day < %(cut)s::date", "events_days"),
)
"""(table, what is old, setting): plain rows that end by time."""

_OLD_ROLLUPS: tuple[tuple[str, str, str], ...] = (
    ("fix_hours", "hour < %(cut)s", "rollups_days"),
    ("pos_hours", "hour < %(cut)s", "rollups_days"),
    ("camera_hours", "hour < %(cut)s", "rollups_days"),
)

_OLD_EVENTS = """
WITH old AS MATERIALIZED (
    SELECT id FROM grid_events WHERE detected_at < %(cut)s
        AND step IN ('archived', 'rejected', 'merged', 'self_ended') ORDER BY detected_at LIMIT %(most)s
), gone AS (DELETE FROM event_changes WHERE event_id IN (SELECT id FROM old))
DELETE FROM grid_events WHERE id IN (SELECT id FROM old)
"""


@dataclass(slots=True)
class RetentionReport:
    """What one run did. dropped: days or chunks by table; deleted: rows by table; postponed: tables that were busy."""

    dropped: dict[str, list[str]] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)
    postponed: list[str] = field(default_factory=list)
    stuck: list[StuckCursor] = field(default_factory=list)
    held: dict[str, int] = field(default_factory=dict)
    """Table → days that are past their time and kept for a stuck reader."""


class Retention:
    """Runs under `lease`; every transaction checks it first, so a lost lease ends a run with LeaseLost."""

    def __init__(self, store: Store, lease: Lease, settings: RetentionSettings) -> None:
        self._store, self._lease, self._settings = store, lease, settings

    async def run(self, now_ms: int) -> RetentionReport:
        """One pass over everything. Raises LeaseLost and StoreUnavailable; what was done until then stays done."""
        report = RetentionReport()
        async with self._store.connection() as connection:
            is_plain = await timescale.flavour(connection) == "plain"
            report.stuck = await stuck_cursors(connection, now_ms - self._settings.batches_days * DAY_MS)
        for family, table in FAMILIES.items():
            await self._drop_days(report, family, table, now_ms, is_plain=is_plain)
        await self._drop_batches(report, now_ms)
        for table, condition, setting in _OLD_ROWS + (_OLD_ROLLUPS if is_plain else ()):
            await self._delete(report, table, _old_rows(table, condition), self._cut(setting, now_ms))
        if not is_plain:
            await self._drop_aggregates(report, now_ms)
        await self._delete(report, "grid_events", _OLD_EVENTS, self._cut("events_days", now_ms))
        await self._delete(report, "mqtt_sessions", _old_rows("mqtt_sessions", "expires_at < %(cut)s"), _time(now_ms))
        await self._drop_audit(report, now_ms)
        if report.dropped or report.stuck or report.postponed:
            log.info("retention.done", dropped=report.dropped, postponed=report.postponed, stuck=len(report.stuck))
        return report

    def _cut(self, setting: str, now_ms: int) -> datetime:
        return _time(now_ms - getattr(self._settings, setting) * DAY_MS)

    def _facts_before_ms(self, family: str, now_ms: int) -> int:
        days: int = getattr(self._settings, FACT_DAYS[family])
        return now_ms - (days + 1) * DAY_MS

    async def _drop_days(
        self, report: RetentionReport, family: str, table: str, now_ms: int, *, is_plain: bool
    ) -> None:
        """Drops days that ended over a day before the retention: admission refuses facts for them."""
        before_ms = self._facts_before_ms(family, now_ms)
        async with self._store.connection() as connection:
            if is_plain:
                names = await _partitions_before(connection, table, before_ms)
            else:
                names = await timescale.chunks_before(connection, table, before_ms)
        if not names:
            return
        try:
            async with self._store.transaction() as connection:
                await self._lease.fence(connection)
                await connection.execute("SELECT set_config('lock_timeout', %s, true)", (str(LOCK_WAIT_MS),))
                await connection.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE").format(_name(table)))
                unread_ms = await oldest_unread_ms(connection, family)
                safe_ms = before_ms if unread_ms is None else min(before_ms, unread_ms)
                if is_plain:
                    gone = await _partitions_before(connection, table, safe_ms)
                    for name in gone:
                        await connection.execute(sql.SQL("DROP TABLE {}").format(_name(name)))
                else:
                    gone = await timescale.drop_chunks(connection, table, safe_ms)
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise
            report.postponed.append(table)
            return
        if gone:
            report.dropped[table] = gone
        if len(gone) < len(names):
            report.held[table] = len(names) - len(gone)

    async def _drop_batches(self, report: RetentionReport, now_ms: int) -> None:
        before_ms = now_ms - self._settings.batches_days * DAY_MS
        for family in FAMILIES:
            facts_before_ms = self._facts_before_ms(family, now_ms)
            for lane in Lane:
                drop = partial(
                    drop_handled_batches,
                    family=family,
                    lane=lane,
                    stored_before_ms=before_ms,
                    facts_before_ms=facts_before_ms,
                    most=ROWS_AT_ONCE,
                )
                await self._in_chunks(report, "batches", drop)

    async def _delete(self, report: RetentionReport, table: str, statement: str, cut: datetime) -> None:
        async def delete(connection: Connection) -> int:
            done = await connection.execute(statement.encode(), {"cut": cut, "most": ROWS_AT_ONCE})
            return done.rowcount

        await self._in_chunks(report, table, delete)

    async def _in_chunks(
        self, report: RetentionReport, table: str, delete: Callable[[Connection], Awaitable[int]]
    ) -> None:
        """Repeats `delete` in fenced transactions of their own until it finds less than a full chunk."""
        while True:
            async with self._store.transaction() as connection:
                await self._lease.fence(connection)
                count = await delete(connection)
            if count:
                report.deleted[table] = report.deleted.get(table, 0) + count
            if count < ROWS_AT_ONCE:
                return

    async def _drop_aggregates(self, report: RetentionReport, now_ms: int) -> None:
        before_ms = now_ms - self._settings.rollups_days * DAY_MS
        for aggregate in timescale.AGGREGATES:
            async with self._store.transaction() as connection:
                await self._lease.fence(connection)
                if gone := await timescale.drop_chunks(connection, aggregate, before_ms):
                    report.dropped[aggregate] = gone

    async def _drop_audit(self, report: RetentionReport, now_ms: int) -> None:
        async with self._store.transaction() as connection:
            await self._lease.fence(connection)
            if count := await audit.drop_before(connection, self._cut("audit_days", now_ms)):
                report.deleted["audit_log"] = count


def _old_rows(table: str, condition: str) -> str:
    return (
        f"DELETE FROM {table} WHERE ctid = ANY "  # noqa: S608 - names of our own
        f"(ARRAY(SELECT ctid FROM {table} WHERE {condition} LIMIT %(most)s))"
    )


async def _partitions_before(connection: Connection, table: str, before_ms: int) -> list[str]:
    """Names of the day partitions that end at or before an instant, oldest first."""
    found = await connection.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = %s::regclass AND c.relname ~ %s AND c.relname < %s ORDER BY 1",
        (table, f"^{table}_[0-9]{{8}}$", partition_name(table, day_of(before_ms))),
    )
    return [row[0] for row in await found.fetchall()]


def _name(table: str) -> sql.Identifier:
    return sql.Identifier(table)


def _time(at_ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
