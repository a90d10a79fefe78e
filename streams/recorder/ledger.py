"""Ledger: brings what the recorder says to the store, once a second in one transaction, from the worker's event loop.

While the store is away, everything goes to the journal; when it is back, the journal goes first. An open file needs its
camera's lease (store.footage): without it the row waits until the file is closed, which needs none. Footage missing
before a stream's first run is worked out here, since only rows know where the one before ended.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import psycopg
import structlog
from psycopg import AsyncConnection

from core.camera import CameraFact, KindCode
from core.errors import StoreUnavailable
from store import camera_facts
from store.footage import Changes, record
from store.pool import Store
from streams.recorder.before import Place, gaps_before
from streams.recorder.journal import Journal
from streams.recorder.outbox import Entry
from streams.recorder_settings import RecorderSettings

log = structlog.get_logger()

Connection = AsyncConnection[Any]

TICK_S = 1.0
_BATCH = 200
"""Journal entries brought to the store in one transaction."""


class Leases(Protocol):
    """What is known of our leases (store.camera_leases.CameraLeases has it)."""

    epochs: dict[int, int]
    """Camera → epoch."""


class Source(Protocol):
    """Who says things: `Recorder`."""

    def take(self) -> Entry:
        """Everything since the last time."""
        ...


@dataclass(slots=True)
class LedgerStats:
    """Counts. away: whether the store was away at the last try."""

    transactions: int = 0
    segments: int = 0
    facts: int = 0
    journalled: int = 0
    replayed: int = 0
    lost_rows: int = 0
    """Entries that neither the store nor the journal took; the sweep finds their files."""
    away: bool = False


class Ledger:
    """`run` until cancelled, then `finish`. One event loop."""

    def __init__(
        self,
        store: Store,
        source: Source,
        leases: Leases,
        holder: str,
        journal: Journal,
        settings: RecorderSettings | None = None,
        place: Place | None = None,
    ) -> None:
        """holder: of the leases. place: our media root, whose files may be asked. The journal's entries from an earlier
        life are brought in first."""
        self._store, self._source, self._leases, self._holder, self._journal = store, source, leases, holder, journal
        self._place = place
        self._gap_us = round((settings or RecorderSettings()).gap_s * 1e6)
        self._facts = camera_facts.CameraFactWriter(store)
        self._is_old = bool(journal)
        self._waiting: list[Entry] = []
        self._turn = asyncio.Lock()
        self.stats = LedgerStats()

    async def run(self) -> None:
        """Once a second, for good."""
        while True:
            await self.bring()
            await asyncio.sleep(TICK_S)

    async def finish(self) -> None:
        """After the recorder has stopped: its last rows."""
        await self.bring()

    async def bring(self) -> frozenset[int]:
        """One round; returns cameras whose lease is not ours (open files of theirs have no row just now)."""
        async with self._turn:
            return await self._bring()

    async def _bring(self) -> frozenset[int]:
        entry = self._source.take()
        if entry:
            self._waiting.append(entry)  # stays there until it is kept somewhere, also when this task is cancelled
        lost = frozenset[int]()
        try:
            if self._journal:
                await self._replay()
            if self._waiting:
                lost = await self._write_well(self._waiting, is_old=False)
        except StoreUnavailable as error:
            await self._keep(error)
            return lost
        self._waiting.clear()
        if self.stats.away:
            self.stats.away = False
            log.info("ledger.store_is_back")
        return lost

    async def _keep(self, error: StoreUnavailable) -> None:
        if not self.stats.away:
            self.stats.away = True
            log.warning("ledger.store_is_away", reason=str(error))
        while self._waiting:
            try:
                await asyncio.to_thread(self._journal.append, self._waiting[0])
                self.stats.journalled += 1
            except OSError as failure:
                self.stats.lost_rows += 1
                log.error("ledger.journal_failed", reason=failure.strerror)
            self._waiting.pop(0)

    async def _replay(self) -> None:
        entries = await asyncio.to_thread(self._journal.read)
        for begin in range(0, len(entries), _BATCH):
            part = entries[begin : begin + _BATCH]
            await self._write_well(part, is_old=self._is_old)
            self.stats.replayed += len(part)
        await asyncio.to_thread(self._journal.clear)
        self._is_old = False

    async def _write_well(self, entries: Sequence[Entry], *, is_old: bool) -> frozenset[int]:
        """As `_write`; rows that the store refuses for good (a camera that is no longer there) hold up no others."""
        try:
            return await self._write(entries, is_old=is_old)
        except (psycopg.IntegrityError, psycopg.DataError):
            lost: set[int] = set()
            for camera, part in _by_camera(entries).items():
                try:
                    lost |= await self._write([part], is_old=is_old)
                except (psycopg.IntegrityError, psycopg.DataError) as error:
                    self.stats.lost_rows += 1
                    log.error("ledger.rows_refused", camera=camera, reason=type(error).__name__)
            return frozenset(lost)

    async def _write(self, entries: Sequence[Entry], *, is_old: bool) -> frozenset[int]:
        """One transaction. is_old: of an earlier life, whose open files the sweep will close."""
        changes = _joined(entries, self._leases.epochs)
        starts = [start for entry in entries for start in entry.starts]
        facts = [fact for entry in entries for fact in entry.facts]
        now_us = time.time_ns() // 1000
        gaps = [CameraFact(at_us, KindCode.GAP) for start in starts for at_us in (start.added_us, start.began_us)]
        await self._facts.need_days([*facts, *gaps])  # gaps found below may end at either instant
        async with self._store.transaction() as connection:
            done = await record(
                connection, changes, holder=self._holder, epochs=dict(self._leases.epochs), retry=is_old
            )
            for start in starts:
                facts += await gaps_before(connection, start, self._gap_us, self._place)
            self.stats.facts += await camera_facts.write(connection, facts, now_us) if facts else 0
        self.stats.transactions += 1
        self.stats.segments += len(changes.segments)
        return done.lost


def _by_camera(entries: Sequence[Entry]) -> dict[int | None, Entry]:
    """The same, taken apart; None: facts about roots. Clock points go with their run's camera, inits with everybody."""
    changes = _joined(entries, {})
    camera_of = {row.run: row.camera for row in changes.segments} | {row.id: row.camera for row in changes.runs}
    starts = [start for entry in entries for start in entry.starts]
    facts = [fact for entry in entries for fact in entry.facts]
    return {
        camera: Entry(
            Changes(
                [row for row in changes.runs if row.camera == camera],
                [row for row in changes.clocks if camera_of.get(row.run) == camera],
                changes.inits,
                [row for row in changes.segments if row.camera == camera],
            ),
            tuple(start for start in starts if start.camera == camera),
            tuple(fact for fact in facts if fact.device == camera),
        )
        for camera in {*camera_of.values(), *(fact.device for fact in facts)}
    }


def _joined(entries: Sequence[Entry], epochs: Mapping[int, int]) -> Changes:
    """All rows in order; the store takes the newest of each. Runs get the epoch of our lease (0: none)."""
    return Changes(
        [
            msgspec.structs.replace(run, epoch=epochs.get(run.camera, 0)) if not run.epoch else run
            for entry in entries
            for run in entry.changes.runs
        ],
        [row for entry in entries for row in entry.changes.clocks],
        [row for entry in entries for row in entry.changes.inits],
        [row for entry in entries for row in entry.changes.segments],
    )
