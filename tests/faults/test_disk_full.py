"""The disk of the data folder is full: loudly refused, nothing is corrupted, it goes on when there is room again."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.faults.harness import Up, add_devices, known, running, status, until
from tests.faults.load import check_events, check_exactly_once, http_load, mqtt_load, sending

DISK_BYTES = 320 << 20
NOTICED_WITHIN_S = 60.0
BACK_WITHIN_S = 60.0
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(100_000)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of DISK_BYTES in memory, mounted at a new folder."""
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts a small tmpfs")
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0711", "none", str(folder)], capture_output=True
    )
    if done.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Not a byte is left, for the block."""
    ballast = disk / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue
        yield
    finally:
        ballast.unlink()


@pytest.fixture
async def up(service_folder: Path) -> AsyncIterator[Up]:
    with small_disk(service_folder / "disk") as disk:
        service = Up(disk / "data")
        service.log = service_folder / "service.log"
        async with running(service):
            yield service


async def test_disk_full_and_free_again(up: Up) -> None:
    devices = add_devices(up.dsn, handsets=31, terminals=10)
    await known(up, devices)
    loads = [mqtt_load(up, devices[0:25] + devices[31:41], 400, seed=1), http_load(up, devices[25:30], 100, seed=2)]
    async with (
        httpx.AsyncClient(base_url=up.http, headers=devices[30].headers, trust_env=False, timeout=30) as client,
        sending(*loads),
    ):
        with full(up.data.parent):

            async def refused() -> bool:
                fix = {"fixed_at": round(time.time() * 1000), "lat": 26.4, "lon": 111.6}
                answer = await client.post("/v1/fixes", json=fix)
                assert answer.status_code in (200, 503), answer.text
                return answer.status_code == 503

            await until(refused, NOTICED_WITHIN_S, "a refusal")
            acked = [len(load.acked) for load in loads]
            answer = await client.post("/v1/attachments", files={"file": ("a.png", PICTURE)})
            assert answer.status_code in (429, 503), answer.text
            assert answer.headers["Retry-After"]
            found = await asyncio.to_thread(status, up.data)
            assert {part["state"] for part in found["parts"]} & {"degraded", "down"}
            print([(part["part"], part["state"], part["why"][:90]) for part in found["parts"] if part["state"] != "ok"])
            await asyncio.sleep(2.0)
            print(f"acknowledged while full: {sum(len(load.acked) for load in loads) - sum(acked)}")
        began = time.monotonic()
        for load in loads:
            await load.progress(BACK_WITHIN_S)
        await up.ready(BACK_WITHIN_S)
        print(f"back after {time.monotonic() - began:.1f} s")
        answer = await client.post("/v1/attachments", files={"file": ("a.png", PICTURE)})
        assert answer.status_code == 200, answer.text
    check_exactly_once(up.dsn, *loads)
    await check_events(up.dsn, *loads)
