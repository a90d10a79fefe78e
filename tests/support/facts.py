"""Writes facts for tests the way every writer does: rows with a batch id, then commit_batch as the last statement.

Values are the stored value types; day partitions are made on first need. Blocking (psycopg), one transaction a batch.
"""

from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg

from core.fix import StoredFix
from core.lane import FIX, POS, REFUSAL, SECURITY, Lane
from core.reading import StoredReading
from store.partitions import day_of, ensure_days, is_plain

_FIX_COLUMNS = (
    "device, fixed_at, received_at, digest, lat, lon, flags, lane, accuracy_m, altitude_m, speed_mps, heading_deg, "
    "battery, satellites, source, alarm"
)
_POS_COLUMNS = (
    "device, at, received_at, digest, boot, seq, kind, flags, lane, amount_fen, service, result, decline_code, "
    "card_ref, latency_ms, paper, battery, signal_dbm, component, code, sensor, lat, lon"
)


def instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


class FactWriter:
    """One writer on one connection. Use `open_batch` to hold a write transaction open."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        self._days: dict[str, set[int]] = {}

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> "FactWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fixes(self, fixes: Sequence[StoredFix], lane: Lane = Lane.LIVE) -> None:
        """One committed batch of fixes."""
        with self.open_batch():
            self.put_fixes(fixes, lane)

    def readings(self, readings: Sequence[StoredReading], lane: Lane = Lane.LIVE) -> None:
        """One committed batch of POS records."""
        with self.open_batch():
            self.put_readings(readings, lane)

    def security(self, facts: Iterable[dict[str, Any]]) -> None:
        """One batch of security facts: keys at_ms, kind and optionally device, claimed, peer, detail."""
        rows = list(facts)
        self._days_of("security_facts", [row["at_ms"] for row in rows])
        with self.open_batch():
            batch = self._batch_id()
            for row in rows:
                self.connection.execute(
                    "INSERT INTO security_facts (at, batch_id, kind, device, claimed, peer, via, detail) "
                    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                    (
                        instant(row["at_ms"]),
                        batch,
                        row["kind"],
                        row.get("device"),
                        row.get("claimed"),
                        row.get("peer"),
                        row.get("via", "mqtt"),
                        row.get("detail"),
                    ),
                )
            self._commit_batch(SECURITY, Lane.LIVE, batch, [row["at_ms"] for row in rows])

    def refusals(self, at_ms: int, device: int | None, count: int, reason: str = "malformed") -> None:
        """One batch of `count` refused inputs of a device."""
        self._days_of("quarantine", [at_ms])
        with self.open_batch():
            batch = self._batch_id()
            self.connection.execute(
                "INSERT INTO quarantine (received_at, batch_id, device, via, kind, reason, raw) "
                "SELECT %s, %s, %s, 'mqtt', 'fix', %s, 'x' FROM generate_series(1, %s)",
                (instant(at_ms), batch, device, reason, count),
            )
            self._commit_batch(REFUSAL, Lane.LIVE, batch, [at_ms] * count)

    @contextmanager
    def open_batch(self) -> Any:
        """A transaction; what is put inside commits at its end."""
        with self.connection.transaction():
            yield self

    def put_fixes(self, fixes: Sequence[StoredFix], lane: Lane) -> None:
        """Rows and their batch, inside the caller's transaction."""
        times = [fix.fixed_at_ms for fix in fixes]
        self._days_of("fixes", times)
        self._put("fixes", _FIX_COLUMNS, [_times(fix, lane, 1, 2) for fix in fixes], FIX, lane, times)

    def put_readings(self, readings: Sequence[StoredReading], lane: Lane) -> None:
        """Rows and their batch, inside the caller's transaction."""
        times = [reading.at_ms for reading in readings]
        self._days_of("pos_records", times)
        self._put("pos_records", _POS_COLUMNS, [_times(r, lane, 1, 2) for r in readings], POS, lane, times)

    def _put(
        self, table: str, columns: str, rows: list[list[object]], family: str, lane: Lane, times: list[int]
    ) -> None:
        batch = self._batch_id()
        extra = ", datum" if table == "fixes" else ""
        with (
            self.connection.cursor() as cursor,
            cursor.copy(f"COPY {table} ({columns}, batch_id{extra}) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row([*row, batch, 0] if extra else [*row, batch])
        self._commit_batch(family, lane, batch, times)

    def _batch_id(self) -> int:
        row = self.connection.execute("SELECT nextval('batch_ids')").fetchone()
        assert row is not None
        return int(row[0])

    def _commit_batch(self, family: str, lane: Lane, batch: int, times: list[int]) -> None:
        self.connection.execute(
            "SELECT commit_batch(%s, %s::smallint, %s, %s, %s, %s)",
            (family, int(lane), batch, len(times), instant(min(times)), instant(max(times))),
        )

    def _days_of(self, table: str, times: Iterable[int]) -> None:
        """The day partitions of these times; TimescaleDB makes its chunks itself."""
        missing = {day_of(at_ms) for at_ms in times} - self._days.setdefault(table, set())
        if missing and is_plain(self.connection):
            ensure_days(self.connection, table, missing)
        self._days[table] |= missing


def _times(value: StoredFix | StoredReading, lane: Lane, *columns: int) -> list[object]:
    row: list[object] = [getattr(value, name) for name in value.__struct_fields__]
    for column in columns:
        row[column] = instant(row[column])  # type: ignore[arg-type]
    row[value.__struct_fields__.index("lane")] = int(lane)
    return row


def ready_between(dsn: str, since_ms: int, until_ms: int, role: str = "ingest", holder: str = "test") -> None:
    """Says that a collector was ready in [since, until]."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO ready_spans (role, holder, since, until) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (role, holder, since) DO UPDATE SET until = EXCLUDED.until",
            (role, holder, instant(since_ms), instant(until_ms)),
        )
