"""The fake clock moves only when told to, and wakes sleepers in order."""

import asyncio

import pytest

from core.clock import Clock, FakeClock, SystemClock


async def test_sleepers_wake_in_order_of_their_times() -> None:
    clock, woken = FakeClock(), list[str]()

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(f"{name}@{clock.monotonic():g}")

    async with asyncio.TaskGroup() as tasks:
        for name, seconds in (("late", 3), ("soon", 1), ("at once", 0), ("soon too", 1)):
            tasks.create_task(sleeper(name, seconds))
        await clock.run_ms(2_000)
        assert woken == ["at once@0", "soon@1", "soon too@1"]
        assert clock.sleeping == 1
        await clock.run_ms(1_000)
    assert woken[-1] == "late@3"


async def test_chains_of_sleeps_unfold() -> None:
    clock, beats = FakeClock(0), list[int]()

    async def beat() -> None:
        while True:
            await clock.sleep(10)
            beats.append(clock.now_ms())

    task = asyncio.ensure_future(beat())
    await clock.run_ms(35_000)
    assert beats == [10_000, 20_000, 30_000]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.sleeping == 0


def test_setting_the_wall_clock_leaves_the_monotonic_one_alone() -> None:
    clock = FakeClock(1_000)
    clock.advance_ms(500)
    clock.step_ms(-1_400)
    assert (clock.now_ms(), clock.monotonic()) == (100, 0.5)


async def test_the_system_clock_runs() -> None:
    clock: Clock = SystemClock()
    before, began = clock.now_ms(), clock.monotonic()
    await clock.sleep(0.001)
    assert clock.now_ms() >= before > 1_700_000_000_000
    assert clock.monotonic() > began
