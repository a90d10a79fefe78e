"""The database away under load: nothing is acknowledged, memory is bounded, everybody is told, it heals by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.faults.harness import Process, Serve, Up, add_devices, known, running, status, until
from tests.faults.load import Load, check_events, check_exactly_once, http_load, mqtt_load, sending
from tests.support.proxy import BreakableProxy

MOST_GROWTH_BYTES = 200 << 20
MOST_AFTER_S = 30.0
SHORT = {"WANGGE_INGEST__HTTP__COMMIT_WAIT_S": "1"}
soak = [pytest.mark.soak, pytest.mark.timeout(600)]
seconds = pytest.mark.parametrize("seconds", [6.0, pytest.param(60.0, marks=soak)])


def loads_on(service: Process, dsn: str) -> tuple[list[Load], httpx.AsyncClient]:
    """Loads, and a client that asks as one more device."""
    devices = add_devices(dsn, handsets=61, terminals=20)
    loads = [
        mqtt_load(service, devices[0:50] + devices[61:76], 800, seed=1),
        http_load(service, devices[50:60] + devices[76:81], 50, seed=2),
    ]
    return loads, httpx.AsyncClient(
        base_url=service.http, headers=devices[60].headers, trust_env=False, timeout=20, limits=httpx.Limits()
    )


async def away(service: Process, loads: list[Load], client: httpx.AsyncClient, seconds: float) -> None:
    """What must hold while the store is away, which it is already; lasts about `seconds`."""
    ends = time.monotonic() + seconds
    before_bytes = service.resident_bytes
    await asyncio.sleep(0.3)  # what was committed is still acknowledged
    acked = [len(load.acked) for load in loads]

    async def is_told() -> bool:
        answer = await client.post("/v1/fixes", json={"fixed_at": round(time.time() * 1000), "lat": 26.4, "lon": 111.6})
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.json()["detail"]
        return (await service.readiness())[0] == 503

    await until(is_told, max(seconds, 15), "503 of /readyz")
    parts = (await service.readiness())[1]["parts"]
    assert any(part["state"] == "down" and part["why"] for part in parts)
    if isinstance(service, Up):
        found: dict[str, Any] = await asyncio.to_thread(status, service.data)
        assert not found["ready"]
        assert "down" in {part["state"] for part in found["parts"] if part["part"] == "store"}
    most_bytes = 0
    while time.monotonic() < ends:
        most_bytes = max(most_bytes, service.resident_bytes)
        await asyncio.sleep(0.2)
    assert [len(load.acked) for load in loads] == acked, "acknowledged while the store was away"
    assert most_bytes - before_bytes < MOST_GROWTH_BYTES
    print(f"away {seconds:g} s: {(most_bytes - before_bytes) / (1 << 20):.1f} MiB more")


@asynccontextmanager
async def checked(service: Process, dsn: Callable[[], str]) -> AsyncIterator[tuple[list[Load], httpx.AsyncClient]]:
    """Sends around the block; then everything must be stored once."""
    loads, client = loads_on(service, dsn())
    async with client:
        await known(service, list(loads[0].devices))
        async with sending(*loads):
            yield loads, client
            began = time.monotonic()
            for load in loads:
                await load.progress(MOST_AFTER_S)
            await service.ready(MOST_AFTER_S)
            print(f"back after {time.monotonic() - began:.1f} s")
            assert loads[0].sender.tally.connects == len(loads[0].devices), "MQTT connections did not outlive it"
    check_exactly_once(dsn(), *loads)
    await check_events(dsn(), *loads)


@seconds
async def test_postgresql_stopped(service_folder: Path, seconds: float) -> None:
    up = Up(service_folder / "data", **(SHORT if seconds < 20 else {}))
    async with running(up), checked(up, lambda: up.dsn) as (loads, client):
        with up.store_stopped():
            await away(up, loads, client, seconds)


@seconds
@pytest.mark.parametrize(
    "fault", [BreakableProxy.go_silent, pytest.param(BreakableProxy.refuse, marks=pytest.mark.soak)]
)
async def test_network_to_the_store_broken(
    migrated_dsn: str, tmp_path: Path, seconds: float, fault: Callable[[BreakableProxy], None]
) -> None:
    target = conninfo_to_dict(migrated_dsn)
    async with BreakableProxy(str(target["host"]), int(str(target["port"]))) as proxy:
        dsn = make_conninfo(migrated_dsn, port=proxy.port)
        service = Serve(tmp_path, dsn, "ingest,alerts,console", **(SHORT if seconds < 20 else {}))
        async with running(service), checked(service, lambda: migrated_dsn) as (loads, client):
            fault(proxy)
            await away(service, loads, client, seconds)
            proxy.heal()
