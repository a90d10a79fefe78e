"""SIGKILL while cameras are recorded: of the worker, of the service, of everything at once; and SIGTERM at the end.

Each costs a stream less than a second of what it was sent; every file plays; rows agree; cameras are read again soon.
An end in peace (every test has one) costs nothing, and is over in 15 s.
"""

import asyncio
import contextlib
import random
from pathlib import Path

import psutil
import pytest

from tests.faults.filmed import HANGING_UP, MOST_LOST, Film, Reel, filming, now_ms
from tests.faults.harness import until

SOAK_KILLS = 20
soak = [pytest.mark.soak, pytest.mark.timeout(1800)]
REC_01_S = 15.0
AGAIN_WITHIN_S = 20.0
"""Generous: a machine under load needs some of it for starting Python and PostgreSQL."""


def kill_worker(film: Film) -> None:
    """The service starts another."""
    film.worker.kill()


def kill_service(film: Film) -> None:
    """The worker ends when it notices, PostgreSQL stays."""
    film.up.kill()


def kill_everything(film: Film) -> None:
    """As when the machine's power goes, but for what the disk has not got."""
    postmaster = film.up.postmaster
    victims = [film.worker, postmaster, *postmaster.children(recursive=True)]
    film.up.kill()
    for one in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()


def check(reel: Reel, kills: int) -> None:
    """Every kill lost less than a second, the end nothing, and what is missing is told as ours."""
    for one in reel.sent:
        *killed, ended = reel.lost(*one)
        assert len(killed) == kills, "one connection a life"
        assert all(0 <= lost <= MOST_LOST for lost in killed)
        assert 0 <= ended <= HANGING_UP
        assert set(reel.told(*one)) <= {"restart"}


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param([kill_worker, kill_worker, kill_everything], id="short"),
        pytest.param([kill_worker] * SOAK_KILLS, id="worker", marks=soak),
        pytest.param([kill_service, kill_everything] * (SOAK_KILLS // 2), id="service", marks=soak),
    ],
)
async def test_killed_while_recording(service_folder: Path, kills: list[object]) -> None:
    dice, waits = random.Random(len(kills)), []
    async with filming(service_folder / "data") as film:
        for kill in kills:
            # anywhere between two fragments, and between two rows
            await asyncio.sleep(dice.uniform(0.0, 1.5 if len(kills) < SOAK_KILLS else 7.0))
            worker, killed_ms = film.worker, now_ms()
            kill(film)  # type: ignore[operator]
            if kill is not kill_worker:
                await until(lambda: not _lives(worker), 15, "the worker's end")  # noqa: B023 awaited here
                film.up.start()
            waits.append(await film.again(killed_ms, seconds=60))
            await film.up.ready()
            await film.recorded(pictures=15)
        print(f"read again after {[round(wait, 1) for wait in waits]} s")
        assert max(waits) < AGAIN_WITHIN_S, "however often it was killed"
        await film.agrees()
        if max(waits) < REC_01_S - 2:
            assert await film.events("REC-01") == []
        assert await film.events("CAM-01") == [], "the cameras were there all the time"
        reel = await film.stop()
    check(reel, len(kills))


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
