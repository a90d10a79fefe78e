"""Bounded channels between tasks of one event loop; what happens when one is full is in its name.

WaitingChannel holds the sender back; DropOldestChannel lets the oldest go and counts it. Nothing here is unbounded.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
_Waiters = deque[asyncio.Future[None]]


class ChannelClosed(Exception):
    """Nothing more comes (get, after the rest was taken) or is taken (put)."""


@dataclass(frozen=True, slots=True)
class ChannelCounts:
    """Figures for metrics. waited: puts that found the channel full and had to wait."""

    name: str
    depth: int
    capacity: int
    put: int
    dropped: int
    waited: int


class _Channel(Generic[T]):
    """What both kinds share. Not thread-safe: every call from the loop's own thread, `counts` from any."""

    def __init__(self, name: str, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("a channel holds at least one item")
        self.name = name
        self.capacity = capacity
        self._items: deque[T] = deque()
        self._getters: _Waiters = deque()
        self._putters: _Waiters = deque()
        self._closed = False
        self._put = self._dropped = self._waited = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_full(self) -> bool:
        return len(self._items) >= self.capacity

    @property
    def is_closed(self) -> bool:
        return self._closed

    def counts(self) -> ChannelCounts:
        """Figures since the start."""
        return ChannelCounts(self.name, len(self._items), self.capacity, self._put, self._dropped, self._waited)

    def close(self) -> None:
        """No more puts (waiting ones raise ChannelClosed); gets go on until it is empty. Twice is harmless."""
        self._closed = True
        for waiters in (self._getters, self._putters):
            while waiters:
                _wake_next(waiters)

    async def get(self) -> T:
        """The oldest item, as soon as there is one. Raises ChannelClosed when it is closed and empty."""
        while not self._items:
            if self._closed:
                raise ChannelClosed(self.name)
            await _wait_in(self._getters)
        item = self._items.popleft()
        _wake_next(self._putters)
        return item

    async def get_batch(self, most: int, within_s: float) -> list[T]:
        """Waits for one item, then gathers up to `most` for at most `within_s` seconds more.

        Raises ChannelClosed when it is closed and empty. A cancelled call may have taken items: they are lost with it,
        so cancel a reader only when what it held need not be kept, else close the channel and let it run dry.
        """
        batch = [await self.get()]
        self._move_ready(batch, most)
        if len(batch) < most and within_s > 0 and not self._closed:
            try:
                async with asyncio.timeout(within_s):
                    while len(batch) < most:
                        batch.append(await self.get())
                        self._move_ready(batch, most)
            except (TimeoutError, ChannelClosed):
                pass
        return batch

    def _move_ready(self, batch: list[T], most: int) -> None:
        while self._items and len(batch) < most:
            batch.append(self._items.popleft())
            _wake_next(self._putters)

    def _append(self, item: T) -> None:
        self._items.append(item)
        self._put += 1
        _wake_next(self._getters)


class WaitingChannel(_Channel[T]):
    """Full means wait: the sender is held back, and through it the device. Senders wait in the order they came."""

    async def put(self, item: T) -> None:
        """Adds `item` when there is room. Raises ChannelClosed."""
        if not self._closed and (self.is_full or self._putters):
            self._waited += 1
            await _wait_in(self._putters)
            while self.is_full and not self._closed:
                await _wait_in(self._putters)
        if self._closed:
            raise ChannelClosed(self.name)
        self._append(item)
        if not self.is_full:
            _wake_next(self._putters)

    def try_put(self, item: T) -> bool:
        """Adds `item` if there is room and nobody waits; False when not (HTTP says 503). Raises ChannelClosed."""
        if self._closed:
            raise ChannelClosed(self.name)
        if self.is_full or self._putters:
            return False
        self._append(item)
        return True


class DropOldestChannel(_Channel[T]):
    """Full means the oldest item goes, counted in `dropped`: for what is worthless when late, such as live video."""

    def put(self, item: T) -> T | None:
        """Adds `item` at once; returns the item that had to go for it. Raises ChannelClosed."""
        if self._closed:
            raise ChannelClosed(self.name)
        gone: T | None = None
        if self.is_full:
            gone = self._items.popleft()
            self._dropped += 1
        self._append(item)
        return gone


async def _wait_in(waiters: _Waiters) -> None:
    """Waits for a wake-up; one that comes while this task is being cancelled is handed on."""
    woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiters.append(woken)
    try:
        await woken
    except asyncio.CancelledError:
        if woken in waiters:
            waiters.remove(woken)
        elif not woken.cancelled():
            _wake_next(waiters)
        raise


def _wake_next(waiters: _Waiters) -> None:
    while waiters:
        woken = waiters.popleft()
        if not woken.done():
            woken.set_result(None)
            return
