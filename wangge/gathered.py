"""Many questions, few statements: what is asked while a statement runs is asked together by the next one."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

from core.errors import StoreUnavailable

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


class Gathered(Generic[Key, Found]):
    """`get` waits for `run` to ask. ask: the answers to at most `most` keys; keys it leaves out are answered None."""

    def __init__(self, ask: Callable[[list[Key]], Awaitable[Mapping[Key, Found]]], most: int) -> None:
        self._ask, self._most = ask, most
        self._waiting: dict[Key, asyncio.Future[Found | None]] = {}
        self._wake = asyncio.Event()

    async def get(self, key: Key) -> Found | None:
        """The answer. Raises StoreUnavailable. Put a time limit around it: without `run` it waits for ever."""
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
            self._wake.set()
        return await asyncio.shield(future)

    async def run(self) -> None:
        """Asks until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                asked = dict(itertools.islice(self._waiting.items(), self._most))
                for key in asked:
                    del self._waiting[key]
                await self._answer(asked)

    async def _answer(self, asked: dict[Key, "asyncio.Future[Found | None]"]) -> None:
        try:
            found = await self._ask(list(asked))
        except StoreUnavailable as error:
            for future in asked.values():
                future.set_exception(error)
        except asyncio.CancelledError:
            for future in asked.values():
                future.cancel()
            raise
        else:
            for key, future in asked.items():
                future.set_result(found.get(key))
