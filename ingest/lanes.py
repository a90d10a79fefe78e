"""Lanes: bounded channels from the event loop to the writer threads. A full lane makes the senders wait, never drops.

A `Parcel` is one payload and whom to tell; a `Piece` is its rows of one family in one lane. A parcel is finished when
all its pieces are stored. Refusals, security facts and messages have a lane of their own, so that a flood of rubbish
cannot hold up fixes; in `batches` their lane is that of live facts.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from core.lane import Lane
from ingest.settings import LaneSettings

ASIDE: Final = 3
LANE_NAMES: Final = {int(Lane.URGENT): "urgent", int(Lane.LIVE): "live", int(Lane.BACKFILL): "backfill", ASIDE: "aside"}
_PIECE_OVERHEAD: Final = 200


class Parcel(msgspec.Struct, eq=False, gc=False):
    """One payload on its way. token: the publish or request to answer; asks: it wants stored and duplicate counted.

    rejected: (index in the payload, reason); notes: the same for what was accepted with a change. malformed, forbidden:
    why nothing of it was a record, or its sender's to send. Changed in the event loop's thread only.
    """

    token: Any
    asks: bool = False
    pieces_left: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: tuple[tuple[int, str], ...] = ()
    notes: tuple[tuple[int, str], ...] = ()
    malformed: str | None = None
    forbidden: str | None = None


class Piece(msgspec.Struct, eq=False, gc=False):
    """Rows of one family of one parcel. rows: packed (bytes), or messages; indexes[i]: place of rows[i] in the payload.

    days: partitions that the rows need; least_ms, greatest_ms: their device times. parcel None: nobody waits for it.
    """

    parcel: Parcel | None
    family: str
    rows: Sequence[Any]
    indexes: Sequence[int]
    days: tuple[int, ...]
    least_ms: int
    greatest_ms: int
    size: int


class LaneChannel:
    """One lane's channel. `put`, `has_room`, `on_room`: event loop; `take`, `give_back`: the writer's thread."""

    def __init__(self, lane: int, settings: LaneSettings) -> None:
        self.lane = lane
        self.name = LANE_NAMES[lane]
        self._settings = settings
        # Old fixes beyond two batches wait as they came (ingest.deferred): sorting them early would hold up live ones.
        self._most_rows = (
            min(settings.most_rows, 2 * settings.batch_rows) if lane == Lane.BACKFILL else settings.most_rows
        )
        self._enough = min(settings.enough_rows, settings.batch_rows)
        self._linger_s = (settings.urgent_linger_ms if lane == Lane.URGENT else settings.linger_ms) / 1000
        self._pieces: deque[Piece] = deque()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._idle = False
        self._closed = False
        self._held_back = False
        self._oldest_at = 0.0
        self.rows = 0
        self.bytes = 0
        self.on_room: Callable[[], None] = _nothing
        """Called from the writer's thread when a lane that was found full has half its room again."""

    @property
    def has_room(self) -> bool:
        """Whether a payload may be put; False also asks for `on_room`."""
        if self._below_bounds:
            return True
        with self._lock:
            if self._below_bounds:
                return True  # the writer took a batch in between: it would not take another one and call on_room
            self._held_back = True
        return False

    @property
    def _below_bounds(self) -> bool:
        return self.rows < self._most_rows and self.bytes < self._settings.most_bytes and not self._closed

    def put(self, pieces: Sequence[Piece]) -> None:
        """Adds pieces; ask `has_room` before (what one read of a socket held may go over the bounds)."""
        rows = sum([len(piece.rows) for piece in pieces])
        size = sum([piece.size for piece in pieces]) + _PIECE_OVERHEAD * len(pieces)
        with self._lock:
            if not self._pieces:
                self._oldest_at = time.monotonic()
            self._pieces.extend(pieces)
            self.rows += rows
            self.bytes += size
            if self._idle or self.rows >= self._enough:
                self._changed.notify()

    def take(self) -> list[Piece]:
        """The next batch: enough rows, or what came within the linger; empty only when the lane is closed and empty."""
        with self._changed:
            self._idle = True
            while not self._pieces and not self._closed:
                self._changed.wait()
            self._idle = False
            most = self._settings.batch_rows
            left_s = self._linger_s
            while left_s > 0 and self.rows < self._enough and not self._closed:
                self._changed.wait(left_s)
                left_s = self._oldest_at + self._linger_s - time.monotonic()
            batch: list[Piece] = []
            count = 0
            while self._pieces and (not batch or count + len(self._pieces[0].rows) <= most):
                piece = self._pieces.popleft()
                batch.append(piece)
                count += len(piece.rows)
                self.bytes -= piece.size + _PIECE_OVERHEAD
            self.rows -= count
            self._oldest_at = time.monotonic() - self._linger_s
            room_again = self._held_back and self._half_empty
            if room_again:
                self._held_back = False
        if room_again:
            self.on_room()
        return batch

    @property
    def _half_empty(self) -> bool:
        return self.rows <= self._most_rows // 2 and self.bytes <= self._settings.most_bytes // 2

    def give_back(self, pieces: Sequence[Piece]) -> None:
        """Puts a batch that was not written to the front again."""
        with self._changed:
            self._pieces.extendleft(reversed(pieces))
            self.rows += sum(len(piece.rows) for piece in pieces)
            self.bytes += sum(piece.size + _PIECE_OVERHEAD for piece in pieces)

    def close(self) -> None:
        """No room any more; `take` empties what is there."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Lanes:
    """The four channels."""

    def __init__(self, settings: LaneSettings) -> None:
        self.channels = {lane: LaneChannel(lane, settings) for lane in LANE_NAMES}

    def place(self, pieces: Sequence[tuple[int, Piece]]) -> bool:
        """Puts the pieces of one parcel into their lanes, all or (no room in one of them) none."""
        if not self.have_room(pieces, set()):
            return False
        self.put(pieces)
        return True

    def have_room(self, pieces: Sequence[tuple[int, Piece]], roomy: set[int]) -> bool:
        """Whether all lanes of these pieces have room; the one that has none will call `on_room`.

        A payload with something urgent asks the urgent lane alone: it may go over the bounds of the others.
        roomy: lanes asked before in this read of a socket; they are not asked again.
        """
        for lane, _ in pieces:
            if lane not in roomy:
                if not self.channels[lane].has_room:
                    urgent = any(other == Lane.URGENT for other, _ in pieces)
                    return urgent and lane != Lane.URGENT and self.channels[Lane.URGENT].has_room
                roomy.add(lane)
        return True

    def put(self, pieces: Sequence[tuple[int, Piece]]) -> None:
        """Puts pieces into their lanes, one call of a channel for each lane (a lock and a wake-up)."""
        by_lane: dict[int, list[Piece]] = {}
        for lane, piece in pieces:
            by_lane.setdefault(lane, []).append(piece)
        for lane, some in by_lane.items():
            self.channels[lane].put(some)

    def on_room(self, callback: Callable[[], None]) -> None:
        """Registers what is called (in a writer's thread) when a full lane has room again."""
        for channel in self.channels.values():
            channel.on_room = callback


def _nothing() -> None:
    pass
