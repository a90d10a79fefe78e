"""SIGKILL while cameras are recorded: of the worker, of the service, of everything at once; and SIGTERM.

Each costs a stream less than a second of what it was sent; every file plays; rows agree; cameras are read again soon.
"""

import asyncio
import contextlib
import random
from pathlib import Path

import psutil
import pytest

from tests.faults.filmed import HANGING_UP, MOST_LOST, Film, Reel, filming, now_ms
from tests.faults.harness import until

KILLS, SOAK_KILLS = 2, 20
soak = [pytest.mark.soak, pytest.mark.timeout(1800)]
kills = pytest.mark.parametrize("kills", [KILLS, pytest.param(SOAK_KILLS, marks=soak)])
REC_01_S = 15.0


def check(reel: Reel, kills: int) -> list[str]:
    """Every kill lost less than a second, the end nothing; returns the reasons told for gaps."""
    reasons = []
    for one in reel.sent:
        *killed, ended = reel.lost(*one)
        assert len(killed) == kills, "one connection a life"
        assert all(0 <= lost <= MOST_LOST for lost in killed)
        assert 0 <= ended <= HANGING_UP
        reasons += reel.told(*one)
    return reasons


async def as_events_say(film: Film, longest_s: float) -> None:
    """REC-01 is for gaps of 15 s and more only."""
    if longest_s < REC_01_S - 2:
        assert await film.events("REC-01") == []
    assert await film.events("CAM-01") == [], "the cameras were there all the time"


@kills
async def test_worker_killed(service_folder: Path, kills: int) -> None:
    dice, waits = random.Random(kills), []
    async with filming(service_folder / "data") as film:
        for number in range(kills):
            await asyncio.sleep(dice.uniform(0.0, 1.5))  # anywhere between two fragments, and between two rows
            film.worker.kill()
            waits.append(await film.again(now_ms()))
            await film.recorded(pictures=15 if number % 2 else 100)
        print(f"read again after {[round(wait, 1) for wait in waits]} s")
        await film.agrees()
        await as_events_say(film, max(waits) + 1)
        assert await film.up.is_ready(), "the service went on"
        reel = await film.stop()
    assert set(check(reel, kills)) <= {"restart"}


async def _kill(film: Film, *, everything: bool) -> None:
    """The service; with its worker and PostgreSQL, or so that they notice by themselves."""
    worker, postmaster = film.worker, film.up.postmaster
    victims = [worker, postmaster, *postmaster.children(recursive=True)] if everything else []
    film.up.kill()
    for one in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    await until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 15, "the worker's end")


@kills
async def test_service_killed(service_folder: Path, kills: int) -> None:
    waits = []
    async with filming(service_folder / "data") as film:
        for number in range(kills):
            await _kill(film, everything=number % 2 == 0)
            killed_ms = now_ms()
            film.up.start()
            waits.append(await film.again(killed_ms, seconds=60))
            await film.up.ready()
            await film.recorded()
        print(f"read again after {[round(wait, 1) for wait in waits]} s")
        await film.agrees()
        await as_events_say(film, max(waits) + 6)
        reel = await film.stop()
    assert set(check(reel, kills)) <= {"restart"}


async def test_an_end_in_peace_loses_nothing(service_folder: Path) -> None:
    async with filming(service_folder / "data") as film:
        reel = await film.stop()
    reel.undisturbed("a", "b", "c")
