"""After a crash all devices come back at once: each is connected again within a minute, no acknowledgement is lost."""

import resource
import time
from pathlib import Path

import pytest

from tests.faults.harness import Up, add_devices, known, running
from tests.faults.load import check_exactly_once, mqtt_load, sending

BACK_WITHIN_S = 60.0


@pytest.mark.parametrize("count", [500, pytest.param(10_590, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
async def test_everybody_reconnects_at_once(service_folder: Path, count: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    up = Up(service_folder / "data")
    async with running(up):
        devices = add_devices(up.dsn, handsets=count)
        await known(up, devices)
        load = mqtt_load(up, devices, count / 20)
        async with sending(load):
            await load.sender.online(BACK_WITHIN_S)
            connects = load.sender.tally.connects
            up.kill()
            up.start()
            began = time.monotonic()
            await up.ready()
            ready_s = time.monotonic() - began
            await load.sender.online(BACK_WITHIN_S)
            print(f"{count} devices: ready after {ready_s:.1f} s, all back after {time.monotonic() - began:.1f} s")
            assert load.sender.tally.connects >= connects + count
        check_exactly_once(up.dsn, load)
