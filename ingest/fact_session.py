"""One writer's database session: writes a batch in one transaction. Blocking, one thread.

Rows are copied straight into their table; a unique violation (somebody sent again) turns to the staging table, which
is then used for STAGED_FOR_S, since repetitions come in swarms. Measured in docs/benchmarks.md.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Self

import psycopg

from core.lane import Lane
from ingest.batch import OTHER_CONTENT, Group, Tally, count_all, count_keys, count_outcomes
from ingest.lanes import ASIDE
from store.copying import FactTable, Key, close_batch, copy_staged, copy_straight, make_staging
from store.messages import MESSAGES, Message, store_messages
from store.partitions import day_of, ensure_days, is_plain
from store.quarantine import QUARANTINE, pack_refusal
from store.readings import READINGS, clashing
from store.session import connect

STAGED_FOR_S: Final = 10.0
_IDS_AT_ONCE: Final = 64


class FactSession(AbstractContextManager["FactSession"]):
    """Opens at once; raises StoreUnavailable, or StoreError for a server that is not durable."""

    def __init__(self, dsn: str, lane: int, name: str) -> None:
        self.connection = connect(dsn, application_name=f"wangge lane {name}")
        self._lane = int(Lane.LIVE) if lane == ASIDE else lane
        self._plain = is_plain(self.connection)
        self._days: dict[str, set[int]] = {}
        self._ids: Iterator[int] = iter(())
        self._staged_until: dict[str, float] = {}
        self._staging: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def write(self, groups: list[Group], now_ms: int) -> list[Tally]:
        """Writes the groups and commits; returns what became of the rows of those who ask. now_ms: for quarantine.

        Raises psycopg's errors; nothing is stored then (unless the connection broke in the COMMIT itself).
        """
        for group in groups:
            self._need(group.table, group.days)
        self._need(QUARANTINE, {day_of(now_ms)})
        while True:
            staged = {group.table.family for group in groups if self._is_staged(group.table)}
            try:
                return self._transaction(groups, staged, now_ms)
            except psycopg.errors.UniqueViolation:
                clashed = {group.table.family for group in groups if group.table.key} - staged
                if not clashed:
                    raise
                self._staged_until |= dict.fromkeys(clashed, time.monotonic() + STAGED_FOR_S)

    def forget_days(self) -> None:
        """A partition that was there is gone (retention): look again before the next batch."""
        self._days.clear()

    def _transaction(self, groups: list[Group], staged: set[str], now_ms: int) -> list[Tally]:
        tallies: list[Tally] = []
        closing: list[tuple[FactTable, int, int, int, int]] = []
        refusals: list[bytes] = []
        ids = [self._next_id() for _ in range(len(groups) + 1)]
        with self.connection.transaction():
            for group, batch_id in zip(groups, ids, strict=False):
                inserted, counted, clashes = self._store(group, batch_id, group.table.family in staged)
                tallies += counted
                refusals += [_clash(group, key, text, now_ms) for key, text in clashes]
                closing.append((group.table, batch_id, inserted, group.least_ms, group.greatest_ms))
            if refusals:
                copy_straight(self.connection, QUARANTINE, refusals, self._lane, ids[-1])
                closing.append((QUARANTINE, ids[-1], len(refusals), now_ms, now_ms))
            for table, batch_id, inserted, least_ms, greatest_ms in closing:
                close_batch(self.connection, table, self._lane, batch_id, inserted, least_ms, greatest_ms)
        return tallies

    def _store(self, group: Group, batch_id: int, staged: bool) -> tuple[int, list[Tally], list[tuple[Key, str]]]:
        """How many rows went in, what became of them, and which clashed with another content."""
        table = group.table
        if table is MESSAGES:
            outcomes = store_messages(self.connection, group.rows, batch_id)
            return outcomes.count("stored"), count_outcomes(group, outcomes), []
        if not staged:
            inserted = copy_straight(self.connection, table, group.rows, self._lane, batch_id)
            return inserted, count_all(group), []
        inserted, keys = copy_staged(
            self.connection, table, group.rows, self._lane, batch_id, wants_keys=group.wants_keys or table is READINGS
        )
        clashes = clashing(self.connection) if table is READINGS else []
        if group.wants_keys or clashes:
            return inserted, count_keys(group, keys, {key for key, _ in clashes}), clashes
        return inserted, [], []

    def _is_staged(self, table: FactTable) -> bool:
        if not table.key or time.monotonic() >= self._staged_until.get(table.family, 0.0):
            return False
        if table.family not in self._staging:
            make_staging(self.connection, table)
            self._staging.add(table.family)
        return True

    def _need(self, table: FactTable, days: set[int]) -> None:
        """Partitions for these days, made when they are not known to be there."""
        known = self._days.setdefault(table.table, set())
        if self._plain and not days <= known:
            ensure_days(self.connection, table.table, days - known)
            known |= days

    def _next_id(self) -> int:
        found = next(self._ids, None)
        if found is None:
            rows = self.connection.execute(
                "SELECT nextval('batch_ids') FROM generate_series(1, %s)", (_IDS_AT_ONCE,), prepare=True
            ).fetchall()
            self._ids = iter([row[0] for row in rows])
            found = next(self._ids)
        return found


def _clash(group: Group, key: Key, text: str, now_ms: int) -> bytes:
    """The refusal of a POS record whose key is stored with other content."""
    device = key[0]
    assert isinstance(device, int)
    return pack_refusal(now_ms, device, "store", group.table.family, "clash", OTHER_CONTENT, text.encode(), False)


def refusal_of_row(table: FactTable, row: object, reason: str, now_ms: int) -> bytes:
    """The refusal of a packed row (or message) that the database does not take."""
    raw = row if isinstance(row, bytes) else repr(row).encode()
    device: object = None
    if isinstance(row, Message):
        device = row.device
    elif table.key_of is not None and isinstance(row, bytes):
        device = table.key_of(row)[0]
    key = device if isinstance(device, int) else None
    return pack_refusal(now_ms, key, "store", table.family, "store", reason, raw, False)
