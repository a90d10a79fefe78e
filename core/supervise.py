"""The supervision tree: starts parts, restarts what fails, gives up where that is the rule, and tells the Board.

A part is an async function that works until cancelled. The tree is a TaskGroup: leaving its block cancels every part
and waits for it. Restart loops, and taking note of whatever a part died of, live here and nowhere else.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Self

import structlog

from core.clock import Clock, SystemClock
from core.errors import ConfigurationError, WanggeError
from core.health import STARTING, Board

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When a part that failed starts again.

    The n-th failure in a row waits min(first_s · 2^(n-1), most_s), of which a random quarter is taken off (jitter).
    A run of `steady_s` ends the row. give_up_after: so many failures in a row are the last (None: never).
    final: errors that trying again does not mend; they give up at once. Not StoreError: an administrator may mend the
    server while we run.
    """

    first_s: float = 0.5
    most_s: float = 30.0
    steady_s: float = 60.0
    give_up_after: int | None = None
    final: tuple[type[BaseException], ...] = (ConfigurationError,)

    def delay_s(self, failures: int, chance: float) -> float:
        """Seconds to wait after `failures` in a row (1 or more). chance: in [0, 1)."""
        return min(self.first_s * 2.0 ** min(failures - 1, 40), self.most_s) * (1 - chance / 4)


class GaveUp(WanggeError):
    """A vital part failed for good: the service cannot go on."""

    kind = "gave_up"


class Part:
    """What a running part is handed: its name and the way to say how it is."""

    def __init__(self, name: str, board: Board) -> None:
        self.name = name
        self._board = board
        self._ready = asyncio.Event()

    def ready(self) -> None:
        """It works now (or again)."""
        self._board.set(self.name, "ok")
        self._ready.set()

    def degraded(self, why: str) -> None:
        """It works, but not fully."""
        self._board.set(self.name, "degraded", why)
        self._ready.set()

    def down(self, why: str) -> None:
        """It does not work, goes on trying, and heals by itself."""
        self._board.set(self.name, "down", why)


Run = Callable[[Part], Awaitable[None]]


class Supervisor:
    """The tree. `async with Supervisor(board) as tree: tree.start("ingest.mqtt", listener.run)`.

    A part that is vital and gives up ends the block with GaveUp (inside an ExceptionGroup, as TaskGroups do).
    """

    def __init__(self, board: Board, clock: Clock | None = None, chance: Callable[[], float] = random.random) -> None:
        self.board = board
        self._clock = clock or SystemClock()
        self._chance = chance
        self._group = asyncio.TaskGroup()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._parts: dict[str, Part] = {}

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks.values():
            task.cancel()
        await self._group.__aexit__(*error)  # type: ignore[arg-type]

    def start(
        self, name: str, run: Run, policy: RestartPolicy | None = None, *, needed: bool = True, vital: bool = False
    ) -> None:
        """Starts a part; `name` is how status and metrics call it. Raises ValueError for a name that runs already.

        needed: the service is not ready while it is down. vital: its giving up ends the service.
        """
        if name in self._tasks and not self._tasks[name].done():
            raise ValueError(f"the part {name} runs already")
        self.board.set(name, "down", STARTING, needed=needed)
        part = self._parts[name] = Part(name, self.board)
        task = self._group.create_task(self._keep(part, run, policy or RestartPolicy(), vital), name=name)
        self._tasks[name] = task

    async def stop(self, name: str) -> None:
        """Cancels a part, waits until it is gone and takes it off the board. Unknown names are fine.

        Not from inside the part itself: that would wait for its own end.
        """
        task = self._tasks.pop(name, None)
        if task is None:
            return
        self._parts.pop(name, None)
        task.cancel()
        await asyncio.wait([task])
        self.board.remove(name)

    async def ready(self) -> None:
        """Returns when every part started so far has been ready once; put a time limit around it."""
        for part in list(self._parts.values()):
            await part._ready.wait()

    async def _keep(self, part: Part, run: Run, policy: RestartPolicy, vital: bool) -> None:
        failures, last_reason = 0, ""
        while True:
            began = self._clock.monotonic()
            failure = await _outcome(run, part)
            if failure is None:
                self.board.set(part.name, "ok", "finished")
                part._ready.set()
                return
            failures = 1 if self._clock.monotonic() - began >= policy.steady_s else failures + 1
            reason = explain(failure)
            self.board.count_restart(part.name)
            self.board.set(part.name, "down", reason)
            if failures == 1 or reason != last_reason:
                expected = all(isinstance(leaf, WanggeError) for leaf in _leaves(failure))
                log.warning("part.failed", part=part.name, reason=reason, exc_info=None if expected else failure)
            last_reason = reason
            if _is_final(failure, policy) or failures == policy.give_up_after:
                log.error("part.gave_up", part=part.name, failures=failures, reason=reason)
                self.board.set(part.name, "down", f"gave up: {reason}")
                if vital:
                    raise GaveUp(f"{part.name} failed for good: {reason}") from failure
                return
            await self._clock.sleep(policy.delay_s(failures, self._chance()))


async def _outcome(run: Run, part: Part) -> Exception | None:
    """Runs the part once; the error that ended it, or None. A cancel passes through even if the part hid it.

    The part is a task of its own, so that only a cancel from outside counts as one: on Python 3.11 a TaskGroup whose
    child fails leaves `cancelling()` raised in its task for good (python/cpython#116720).
    """
    inner = asyncio.get_running_loop().create_task(_work(run, part), name=part.name)
    is_cancelled = False
    while not inner.done():
        try:
            await asyncio.wait({inner})
        except asyncio.CancelledError:
            is_cancelled = True
            inner.cancel()
    failure = asyncio.CancelledError() if inner.cancelled() else inner.exception()
    if is_cancelled:
        raise asyncio.CancelledError from failure
    if failure is None or isinstance(failure, Exception):
        return failure  # whatever a part dies of, the others go on, and it is reported and started again
    if isinstance(failure, asyncio.CancelledError):
        return RuntimeError("the part was cancelled from within")
    raise failure


async def _work(run: Run, part: Part) -> None:
    await run(part)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _is_final(error: Exception, policy: RestartPolicy) -> bool:
    return any(isinstance(leaf, policy.final) for leaf in _leaves(error))


def explain(error: BaseException) -> str:
    """One line: our own sentences as they are, others with their class; of a group, up to three different ones."""
    lines: list[str] = []
    for leaf in _leaves(error):
        line = str(leaf) if isinstance(leaf, WanggeError) else f"{type(leaf).__name__}: {leaf}".rstrip(": ")
        if line not in lines:
            lines.append(line)
    return "; ".join(lines[:3])
