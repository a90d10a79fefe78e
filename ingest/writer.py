"""The writer of a lane: one thread with one session that commits batch after batch and only then says so.

A batch that fails because the store is away is tried again for ever, with backoff; nothing is acknowledged meanwhile,
and the lane fills up and holds the senders back. A batch that the database refuses for its content is halved until the
bad row stands alone; that one goes to quarantine. After a COMMIT that broke in the middle the batch is written again:
keys make that harmless (of refusals, which have none, a second row may appear).
"""

import asyncio
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import msgspec
import psycopg
import structlog

from core.clock import Clock
from core.errors import StoreUnavailable, WanggeError
from core.health import Board, State
from core.lane import REFUSAL
from ingest.batch import TABLES, Tally, group_pieces
from ingest.fact_session import FactSession, refusal_of_row
from ingest.lanes import LaneChannel, Piece
from ingest.metrics import IngestMetrics
from ingest.settings import LaneSettings
from store.outage import outage_errors
from store.partitions import day_of

log = structlog.get_logger()

Settle = Callable[[list[Piece], list[Tally]], None]
DOWN_AFTER_S = 5.0


class LaneWriter:
    """Runs one lane. settle: called in the event loop's thread, once a committed batch."""

    def __init__(
        self,
        dsn: str,
        channel: LaneChannel,
        settings: LaneSettings,
        settle: Settle,
        board: Board,
        clock: Clock,
        metrics: IngestMetrics,
    ) -> None:
        self._dsn = dsn
        self._channel = channel
        self._settings = settings
        self._settle = settle
        self._board = board
        self._clock = clock
        self._metrics = metrics.lane(channel.name)
        self._part = f"ingest.lane.{channel.name}"
        self._stopping = threading.Event()
        self._give_up_at = float("inf")
        self._session: FactSession | None = None
        self._busy_since: float | None = None
        self.away_since: float | None = None
        """Monotonic time since when this lane's batches fail; None while it works."""

    async def run(self) -> None:
        """Works until cancelled; then writes what waits, for at most `drain_s`. Raises what the thread dies of."""
        loop = asyncio.get_running_loop()
        with _one_thread(self._part) as executor:
            ended = loop.run_in_executor(executor, self._work, loop)
            try:
                await self._watch(ended)
            except asyncio.CancelledError:
                await self._drain(ended)
                raise

    async def _watch(self, ended: "asyncio.Future[None]") -> None:
        """Waits for the end of the thread; a batch that hangs (a silent peer) loses its connection."""
        while not ended.done():
            await asyncio.wait({ended}, timeout=min(5.0, self._settings.stuck_s / 2))
            busy_since = self._busy_since
            if busy_since is not None and time.monotonic() - busy_since > self._settings.stuck_s:
                log.error("lane.stuck", lane=self._channel.name, after_s=self._settings.stuck_s)
                self._busy_since = None
                self._abort()
        ended.result()

    async def _drain(self, ended: "asyncio.Future[None]") -> None:
        """Lets the thread write what waits; cuts its connection when that takes too long."""
        self._give_up_at = time.monotonic() + self._settings.drain_s
        self._stopping.set()
        self._channel.close()
        for wait_s in (self._settings.drain_s + 1.0, 2.0):
            done, _ = await asyncio.wait({ended}, timeout=wait_s)
            if done:
                ended.result()
                return
            log.warning("lane.drain_gave_up", lane=self._channel.name, rows=self._channel.rows)
            self._abort()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """The thread: batch after batch until the lane is closed and empty. A batch in hand is never lost."""
        try:
            while pieces := self._channel.take():
                tallies = None
                try:
                    tallies = self._until_stored(pieces)
                finally:
                    if tallies is None:
                        self._channel.give_back(pieces)
                if tallies is None:
                    return
                loop.call_soon_threadsafe(self._settle, pieces, tallies)
        finally:
            self._close_session()

    def _until_stored(self, pieces: Sequence[Piece]) -> list[Tally] | None:
        """Tries until the batch is committed; None when we are stopping and the store is away."""
        delay_s = self._settings.retry_first_s
        while True:
            try:
                with outage_errors():
                    tallies = self._store(pieces)
            except (WanggeError, psycopg.Error) as error:
                self._note_away(error)
                self._close_session()
                if time.monotonic() + delay_s >= self._give_up_at:
                    return None
                if self._stopping.wait(delay_s * random.uniform(0.5, 1.0)):  # noqa: S311 - jitter
                    time.sleep(delay_s)
                delay_s = min(delay_s * 2, self._settings.retry_most_s)
            else:
                self._note_ok()
                return tallies

    def _store(self, pieces: Sequence[Piece]) -> list[Tally]:
        """Commits the pieces, in halves where the database refuses their content."""
        try:
            return self._commit(pieces)
        except psycopg.errors.CheckViolation:
            assert self._session is not None
            self._session.forget_days()  # no partition of that day: it may have been dropped since
        except (psycopg.DataError, psycopg.IntegrityError):
            pass
        try:
            return self._commit(pieces)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            halves = _halves(pieces)
            if halves is None:
                return self._set_aside(pieces[0], error)
        return [tally for half in halves for tally in self._store(half)]

    def _set_aside(self, piece: Piece, error: psycopg.Error) -> list[Tally]:
        """Puts a single row that the database refuses into quarantine instead."""
        reason = f"the database refuses it: {error.diag.message_primary or error.sqlstate}"
        log.error("lane.row_refused", lane=self._channel.name, family=piece.family, sqlstate=error.sqlstate)
        if piece.family != REFUSAL:
            now_ms = self._clock.now_ms()
            row = refusal_of_row(TABLES[piece.family], piece.rows[0], reason, now_ms)
            self._commit([Piece(None, REFUSAL, [row], (0,), (day_of(now_ms),), now_ms, now_ms, len(row))])
        return [] if piece.parcel is None else [Tally(piece.parcel, rejected=[(piece.indexes[0], reason)])]

    def _commit(self, pieces: Sequence[Piece]) -> list[Tally]:
        """One transaction."""
        if self._session is None:
            self._session = FactSession(self._dsn, self._channel.lane, self._channel.name)
        self._busy_since = started = time.monotonic()
        try:
            tallies = self._session.write(group_pieces(pieces), self._clock.now_ms())
        finally:
            self._busy_since = None
        rows = sum(len(piece.rows) for piece in pieces)
        self._metrics.commit_s.observe(time.monotonic() - started)
        self._metrics.batch_rows.observe(rows)
        self._metrics.rows.inc(rows)
        self._metrics.waiting_rows.set(self._channel.rows)
        self._metrics.waiting_bytes.set(self._channel.bytes)
        return tallies

    def _note_away(self, error: Exception) -> None:
        self._metrics.retries.inc()
        self._metrics.waiting_rows.set(self._channel.rows)
        now = time.monotonic()
        if self.away_since is None:
            self.away_since = now
            log.error("lane.store_away", lane=self._channel.name, reason=str(error))
        lasts = now - self.away_since >= DOWN_AFTER_S or not isinstance(error, StoreUnavailable)
        state: State = "down" if lasts else "degraded"
        self._board.set(self._part, state, f"{error} Nothing is acknowledged, nothing is lost.")

    def _note_ok(self) -> None:
        if self.away_since is not None:
            log.info("lane.store_back", lane=self._channel.name, away_s=round(time.monotonic() - self.away_since, 1))
            self.away_since = None
            self._board.set(self._part, "ok")

    def _close_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.connection.close()

    def _abort(self) -> None:
        """Cuts the connection under a call that does not return (from the event loop's thread)."""
        session = self._session
        if session is not None:
            with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(session.connection.fileno())) as cut:
                cut.shutdown(socket.SHUT_RDWR)


def _halves(pieces: Sequence[Piece]) -> tuple[Sequence[Piece], Sequence[Piece]] | None:
    """Two halves of a batch, by pieces and then by rows; None when a single row is left."""
    if len(pieces) > 1:
        middle = len(pieces) // 2
        return pieces[:middle], pieces[middle:]
    piece = pieces[0]
    if len(piece.rows) == 1:
        return None
    middle = len(piece.rows) // 2
    return (
        [msgspec.structs.replace(piece, rows=piece.rows[:middle], indexes=piece.indexes[:middle])],
        [msgspec.structs.replace(piece, rows=piece.rows[middle:], indexes=piece.indexes[middle:])],
    )


@contextmanager
def _one_thread(name: str) -> Iterator[ThreadPoolExecutor]:
    """An executor of one thread that nobody waits for at the end."""
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
