"""Time as an argument: the Clock that parts are given, the real one and the one of tests."""

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """Where a part gets its time from. Instants are UTC epoch milliseconds; `monotonic` and `sleep` are in seconds."""

    def now_ms(self) -> int:
        """UTC, epoch milliseconds. May step when the system's clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds since some start; never steps, for intervals and time-outs."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Returns after that much of `monotonic` has passed."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


_TURNS = 20
"""Turns of the event loop that a task with children of its own needs to end and to be started again."""


class FakeClock:
    """A clock that moves only when told to. For one event loop; `now_ms` and `monotonic` may be read from threads."""

    def __init__(self, now_ms: int = 1_795_527_045_000) -> None:
        """now_ms: where it starts; the default is 2026-11-24T13:30:45Z, a Tuesday evening in China."""
        self._now_ms = now_ms
        self._monotonic_ms = 0
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._monotonic_ms / 1000

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic_ms + round(seconds * 1000), next(self._order), woken))
        await woken

    @property
    def sleeping(self) -> int:
        """How many tasks sleep on this clock."""
        return sum(not future.done() for _, _, future in self._sleepers)

    def step_ms(self, milliseconds: int) -> None:
        """Sets the wall clock forward or (negative) back, as an administrator does; `monotonic` does not notice."""
        self._now_ms += milliseconds

    def advance_ms(self, milliseconds: int) -> None:
        """Lets time pass and wakes the sleepers that are due; they run at the caller's next await."""
        self._now_ms += milliseconds
        self._monotonic_ms += milliseconds
        while self._sleepers and self._sleepers[0][0] <= self._monotonic_ms:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)

    async def run_ms(self, milliseconds: int) -> None:
        """`advance_ms` sleeper by sleeper, letting the tasks run in between, so that chains of sleeps unfold."""
        end = self._monotonic_ms + milliseconds
        while True:
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            due = self._sleepers[0][0] if self._sleepers else end
            if due >= end:
                break
            self.advance_ms(max(0, due - self._monotonic_ms))
        self.advance_ms(end - self._monotonic_ms)
        for _ in range(_TURNS):
            await asyncio.sleep(0)
