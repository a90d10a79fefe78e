"""One clock for all feeds: wakes once in a while and lets those step whose unit is due."""

import asyncio
import heapq
import time
from itertools import count

from simulators.cameras.feed import Feed

TICK_S = 0.005
"""Units leave up to so many seconds late; in return a hundred cameras share each wake-up."""


class Wheel:
    """Feeds in order of their next unit. Of one event loop's thread."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Feed]] = []
        self._turning: set[Feed] = set()
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, feed: Feed) -> None:
        """Takes a feed in that got a receiver; it leaves by itself when it has none."""
        if feed not in self._turning:
            self._turning.add(feed)
            heapq.heappush(self._due, (feed.due_s(), next(self._numbers), feed))
        self._arm()

    def close(self) -> None:
        """No feed steps any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._due.clear()
        self._turning.clear()

    def _arm(self) -> None:
        if self._timer is None and self._due:
            wait = max(self._due[0][0] - time.monotonic(), TICK_S)
            self._timer = asyncio.get_running_loop().call_later(wait, self._turn)

    def _turn(self) -> None:
        self._timer = None
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            _, number, feed = self._due[0]
            due = feed.step(now)
            if due is None:
                heapq.heappop(self._due)
                self._turning.discard(feed)
            else:
                heapq.heapreplace(self._due, (due, number, feed))
        self._arm()
