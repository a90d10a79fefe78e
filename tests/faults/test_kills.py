"""SIGKILL of the service and of PostgreSQL under load: what was acknowledged is stored once, each event is there once.

Clients only connect again and send again what was not acknowledged.
"""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.faults.harness import Up, add_devices, known, running
from tests.faults.load import Load, check_events, check_exactly_once, http_load, mqtt_load, sending

KILLS, SOAK_KILLS = 2, 20
soak = [pytest.mark.soak, pytest.mark.timeout(1800)]
kills = pytest.mark.parametrize("kills", [KILLS, pytest.param(SOAK_KILLS, marks=soak)])


async def loads_on(up: Up) -> list[Load]:
    """Handsets and terminals over MQTT and over HTTP."""
    devices = add_devices(up.dsn, handsets=24, terminals=12)
    await known(up, devices)
    return [
        mqtt_load(up, devices[0:18] + devices[24:30], 300, seed=1),
        http_load(up, devices[18:24] + devices[30:36], 100, seed=2),
    ]


async def check(up: Up, loads: list[Load]) -> None:
    check_exactly_once(up.dsn, *loads)
    await check_events(up.dsn, *loads)
    resent = sum(load.sender.tally.resent for load in loads)
    print(f"{sum(len(load.acked) for load in loads)} facts acknowledged, {resent} messages sent again")


@kills
async def test_service_killed(service_folder: Path, kills: int) -> None:
    dice = random.Random(kills)
    up = Up(service_folder / "data")
    async with running(up):
        loads = await loads_on(up)
        async with sending(*loads):
            for number in range(kills):
                if number % 4 == 3:
                    await asyncio.sleep(dice.uniform(0.0, 3.0))  # in the middle of its start
                else:
                    await up.ready()
                    await loads[0].progress()
                    await asyncio.sleep(dice.uniform(0.0, 2.0))
                up.kill()
                up.start()
            await up.ready()
        await check(up, loads)


def postmaster(up: Up, dice: random.Random) -> psutil.Process:
    del dice
    return up.postmaster


def backend(up: Up, dice: random.Random) -> psutil.Process:
    """One of those that work for the service (PostgreSQL restarts all of them then)."""
    return dice.choice([one for one in up.postmaster.children() if "wangge" in " ".join(one.cmdline())])


@kills
@pytest.mark.parametrize("victim", [postmaster, backend])
async def test_postgresql_killed(up: Up, kills: int, victim: Callable[[Up, random.Random], psutil.Process]) -> None:
    dice = random.Random(kills)
    loads = await loads_on(up)
    async with sending(*loads):
        for _ in range(kills):
            await loads[0].progress()
            await asyncio.sleep(dice.uniform(0.0, 2.0))
            victim(up, dice).kill()
            await loads[0].progress()
        await up.ready()
    await check(up, loads)
