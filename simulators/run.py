"""Runs: models in, a sender out, in real time or faster; ground truth and figures at the end.

Simulated time runs from `start_ms` to `start_ms + seconds`. By default it ends when the run ends, so that no fix is
from the future: at speed 1 it starts now, at speed X it starts `seconds × (1 − 1/X)` ago.
"""

import asyncio
import heapq
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from simulators import truth as ground_truth
from simulators.errors import SimulatorError
from simulators.handsets import HandsetFleet
from simulators.manifest import Handset, Manifest, Terminal
from simulators.outgoing import Outgoing
from simulators.sender import Sender
from simulators.session import Options, Session, Summary, session
from simulators.terminals import TerminalFleet
from simulators.truth import Injected

QUANTUM_MS = 50
MOST_OUTSTANDING = 200_000
LEAD_S, LEAD_PER_HANDSET_S = 0.2, 0.0005
"""Time to lay out the models before the first fix is due."""


class Fleet(Protocol):
    """What pacing needs of a model."""

    now_ms: int

    def step(self) -> list[Outgoing]: ...

    def truth(self) -> list[Injected]: ...


class Meanwhile(Protocol):
    """Something to do beside a run, with its session: a back-fill, SOS fixes."""

    async def __call__(self, session: Session, /) -> None: ...


async def pace(
    fleets: Sequence[Fleet], sender: Sender, *, start_ms: int, seconds: float, speedup: float, began: float
) -> None:
    """Step the fleets and hand over each message at its time, never before; waits when the sender is far behind.

    began: the loop's time that start_ms stands for.
    """
    loop = asyncio.get_running_loop()
    await asyncio.sleep(max(0.0, began - loop.time()))
    waiting: list[tuple[int, int, Outgoing]] = []
    count = 0
    end_ms = start_ms + round(seconds * 1000)
    for moment in range(start_ms, end_ms + QUANTUM_MS, QUANTUM_MS):
        for fleet in fleets:
            while fleet.now_ms <= moment and fleet.now_ms < end_ms:
                for message in fleet.step():
                    heapq.heappush(waiting, (message.due_ms, count, message))
                    count += 1
        while waiting and waiting[0][0] <= min(moment, end_ms - 1):
            sender.send(heapq.heappop(waiting)[2])
        ahead = began + (moment + QUANTUM_MS - start_ms) / 1000 / speedup - loop.time()
        if ahead > 0:
            await asyncio.sleep(ahead)
        elif moment % 1000 < QUANTUM_MS:
            await asyncio.sleep(0)
        if sender.outstanding > MOST_OUTSTANDING:
            with suppress(TimeoutError):
                await sender.drained(10.0)


def fleets_of(manifest: Manifest, seconds: float, options: Options, start_ms: int) -> list[Fleet]:
    """The models of a manifest's devices."""
    fleets: list[Fleet] = []
    if manifest.handsets:
        handsets = HandsetFleet(
            manifest.handsets,
            seconds=seconds,
            seed=options.seed,
            start_ms=start_ms,
            interval_s=options.interval_s,
            mix=options.mix,
            dead_zones=options.dead_zones,
            off_duty=options.off_duty,
        )
        fleets.append(handsets)
    if manifest.terminals:
        fleets.append(
            TerminalFleet(manifest.terminals, seconds=seconds, seed=options.seed, start_ms=start_ms, mix=options.mix)
        )
    return fleets


async def run_city(
    manifest: Manifest,
    seconds: float,
    options: Options,
    *,
    handsets: int | None = None,
    terminals: int | None = None,
    meanwhile: Meanwhile | None = None,
) -> Summary:
    """The first so many handsets and terminals (None: all) together in one process, for `seconds` simulated seconds.

    Writes ground truth when it ends, cut short or not. Raises SimulatorError, possibly in an ExceptionGroup.
    """
    part = manifest.first(handsets, terminals)
    devices: list[Handset | Terminal] = [*part.handsets, *part.terminals]
    if seconds <= 0 or options.speedup <= 0:
        raise SimulatorError("the length of the run and the speed must be greater than 0")
    if not devices:
        raise SimulatorError("the manifest names no device of this kind; register some first")
    async with session([(device.id, device.token) for device in devices], options) as one:
        lead_s = LEAD_S + LEAD_PER_HANDSET_S * len(part.handsets)
        began = asyncio.get_running_loop().time() + lead_s
        start_ms = options.start_ms
        if start_ms is None:
            start_ms = round((time.time() + lead_s - seconds * (1 - 1 / options.speedup)) * 1000)
        fleets = await asyncio.to_thread(fleets_of, part, seconds, options, start_ms)
        try:
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(_keep_truth(fleets, options))
                extra = None if meanwhile is None else group.create_task(meanwhile(one))
                await pace(fleets, one.sender, start_ms=start_ms, seconds=seconds, speedup=options.speedup, began=began)
                if extra is not None:
                    await extra
                writing.cancel()
            await one.sender.drained(options.drain_s)
        finally:
            rows = [row for fleet in fleets for row in fleet.truth()]
            if options.truth is not None:
                ground_truth.write(options.truth, rows)
        return one.summary(seconds, rows)


async def _keep_truth(fleets: Sequence[Fleet], options: Options) -> None:
    """Writes ground truth again and again, for a run that may be cut off without notice."""
    while options.truth is not None and options.truth_every_s > 0:
        await asyncio.sleep(options.truth_every_s)
        ground_truth.write(options.truth, [row for fleet in fleets for row in fleet.truth()])


async def run_handsets(
    manifest: Manifest,
    seconds: float,
    options: Options,
    *,
    count: int | None = None,
    meanwhile: Meanwhile | None = None,
) -> Summary:
    """`run_city` with the first `count` handsets alone."""
    return await run_city(manifest, seconds, options, handsets=count, terminals=0, meanwhile=meanwhile)


async def run_terminals(
    manifest: Manifest,
    seconds: float,
    options: Options,
    *,
    count: int | None = None,
    meanwhile: Meanwhile | None = None,
) -> Summary:
    """`run_city` with the first `count` terminals alone."""
    return await run_city(manifest, seconds, options, handsets=0, terminals=count, meanwhile=meanwhile)
