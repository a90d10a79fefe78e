"""Facts about cameras on their way to the store: from any thread, written once a second, kept while it is away."""

import asyncio
import threading
import time
from collections import deque

import structlog

from core.camera import CameraFact
from core.errors import StoreUnavailable
from core.supervise import Part
from store.camera_facts import CameraFactWriter
from store.pool import Store

log = structlog.get_logger()

EVERY_S = 1.0
MOST_WAITING = 50_000
"""About two hours of 64 cameras; beyond, the oldest are dropped and counted."""
AT_ONCE = 2_000


class FactBook:
    """`add` from any thread; `run` is a part of the worker."""

    def __init__(self, store: Store) -> None:
        self._writer = CameraFactWriter(store)
        self._waiting: deque[CameraFact] = deque()
        self._lock = threading.Lock()
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Facts not written yet."""
        return len(self._waiting)

    @property
    def written(self) -> int:
        """Facts written since the start."""
        return self._writer.written

    def add(self, fact: CameraFact) -> None:
        """Takes a fact; drops the oldest when too many wait."""
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(fact)

    async def run(self, part: Part) -> None:
        """Writes until cancelled. While the store is away facts wait."""
        part.ready()
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                while await self.flush():
                    pass
            except StoreUnavailable:
                continue  # said by the part that holds the leases

    async def flush(self) -> int:
        """Writes some of what waits; returns how many were taken. Raises StoreUnavailable: they still wait."""
        with self._lock:
            facts = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
        if not facts:
            return 0
        try:
            await self._writer.write(facts, time.time_ns() // 1000)
        except BaseException:
            with self._lock:
                self._waiting.extendleft(reversed(facts))
            raise
        return len(facts)
