"""Back-fill that found its lane full: kept as it came, in order, so that what is behind it on its connection goes on.

After an outage every handset sends an hour of old fixes and then, on the same connection, what happens now. Would a
full back-fill lane stop the reading, an SOS would wait behind the old fixes. So a payload of old fixes is taken over
and waits here, bounded in bytes, and is sorted when its lane has room; beyond the bound reading stops as for any lane.
Its acknowledgement still leaves after its commit, in the order received. Event loop's thread only.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable
from typing import Final

from core.lane import Lane
from ingest.lanes import Piece
from ingest.mqtt.contract import Inbound

ROWS_AT_ONCE: Final = 400
"""So many rows are sorted before the event loop has its turn again (2 ms)."""
_FIRST_TIME: Final = re.compile(rb'"fixed_at"\s*:\s*(\d{13})\b')
_WITHIN: Final = 200

Placed = list[tuple[int, Piece]]


def looks_late(payload: bytes, since_ms: int) -> bool:
    """Whether this is surely back-fill, without decoding it: an array that begins before since_ms, and no alarm."""
    if payload[:1] != b"[" or b'"alarm"' in payload:
        return False
    found = _FIRST_TIME.search(payload, 0, _WITHIN)
    return found is not None and int(found[1]) < since_ms


class Deferred:
    """place: sorts a message and puts it into its lanes, None when there is no room; else how many rows it had."""

    def __init__(self, most_bytes: int, place: Callable[[Inbound], int | None]) -> None:
        self._most_bytes = most_bytes
        self._place = place
        self._messages: deque[Inbound] = deque()
        self._blocked = False
        self._scheduled = False
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: Inbound) -> bool:
        """Takes a message over; False when the bound is reached."""
        if self.bytes + len(message.payload) > self._most_bytes:
            return False
        self.bytes += len(message.payload)
        self._messages.append(message)
        self._schedule()
        return True

    def room_again(self) -> None:
        """A lane that was full has room."""
        self._blocked = False
        self._schedule()

    def _schedule(self) -> None:
        if self._messages and not self._blocked and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        """Places messages in order, as many as there is room for, with turns for others in between."""
        self._scheduled = False
        rows = 0
        while self._messages and rows < ROWS_AT_ONCE:
            placed = self._place(self._messages[0])
            if placed is None:
                self._blocked = True
                return
            message = self._messages.popleft()
            self.bytes -= len(message.payload)
            rows += placed
        self._schedule()


def is_late(pieces: Placed) -> bool:
    """Whether a sorted payload may wait: it has old fixes and nothing urgent."""
    lanes = {lane for lane, _ in pieces}
    return Lane.BACKFILL in lanes and Lane.URGENT not in lanes
