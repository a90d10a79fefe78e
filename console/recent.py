"""A value that many ask for and that is made at most once in a while: what strangers may ask costs the store little."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from core.errors import StoreUnavailable

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """`get` gives the last value while it is younger than `keep_s`; one asker makes the next, the others wait."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._turn = asyncio.Lock()
        self._made_s = -keep_s
        self._value: Value | None = None
        self._error: StoreUnavailable | None = None

    async def get(self, make: Callable[[], Awaitable[Value]]) -> Value:
        """The value. That the store is away is kept as long, so that those who wait do not wait one after the other."""
        async with self._turn:
            if (self._value is None and self._error is None) or time.monotonic() - self._made_s >= self._keep_s:
                self._value = self._error = None
                try:
                    self._value = await make()
                except StoreUnavailable as error:
                    self._error = error
                self._made_s = time.monotonic()
            if self._error is not None:
                raise self._error.with_traceback(None)
            assert self._value is not None
            return self._value
