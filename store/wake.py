"""Wake-ups: NOTIFY wangge_facts says that something was committed; which tails it concerns is noted, nothing else.

A lost notice costs one slow poll, never a fact.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from store.pool import Notice, Store

FACTS_CHANNEL = "wangge_facts"


class Wake:
    """Which (family, lane) may have something new. One task listens, one waits; both in the same event loop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._dirty: set[tuple[str, int]] = set()
        self._all = True

    def note(self, notice: Notice) -> None:
        """Takes one notice; a fresh connection or an unreadable payload means: everything."""
        family, _, lane = notice.payload.partition(":")
        if notice.fresh or not lane.isdigit():
            self.ring()
        else:
            self._dirty.add((family, int(lane)))
            self._event.set()

    def ring(self) -> None:
        """Everything may have something new."""
        self._all = True
        self._event.set()

    def mark(self, family: str, lane: int) -> None:
        """More is known to wait there."""
        self._dirty.add((family, lane))
        self._event.set()

    def take(self, family: str, lane: int) -> bool:
        """Whether this tail should be read, and takes the note away."""
        if (family, lane) in self._dirty:
            self._dirty.discard((family, lane))
            return True
        return False

    def waiting(self, family: str, lane: int) -> bool:
        """Whether this tail should be read."""
        return self._all or (family, lane) in self._dirty

    def spread(self, tails: Iterable[tuple[str, int]]) -> None:
        """After `ring` or a slow poll: notes these tails, which are all that there are."""
        if self._all:
            self._dirty.update(tails)
            self._all = False

    async def wait(self, seconds: float) -> None:
        """Until something new is noted, at most so many seconds. The caller rings now and then (slow poll)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()

    async def listen(self, store: Store) -> None:
        """Notes notices for ever; survives outages (store.pool)."""
        async for notice in store.listen(FACTS_CHANNEL):
            self.note(notice)
