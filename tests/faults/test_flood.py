"""A device that floods is held to its limit: MQTT reads it slowly, HTTP answers 429. The others do not feel it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from ingest.mqtt import codec
from ingest.mqtt.codec import Connect, Publish
from tests.faults.harness import Device, Up, add_devices, known, running
from tests.faults.load import Load, check_exactly_once, http_load, mqtt_load, sending

RATE, BURST_S = 50, 1
LIMITS = {
    "WANGGE_INGEST__MQTT__MESSAGES_PER_S": str(RATE),
    "WANGGE_INGEST__MQTT__BURST_S": str(BURST_S),
    "WANGGE_INGEST__LIMITS__MESSAGES_PER_S": str(RATE),
    "WANGGE_INGEST__LIMITS__RECORDS_PER_S": "2000",
    "WANGGE_INGEST__LIMITS__BURST_S": str(BURST_S),
}
FLOODS_S = 3.0
MOST_OTHERS_S = 2.0
"""Generous: what matters is that the others do not wait for the flood (its backlog would take minutes)."""

Flood = Callable[[Up, Device, float], Awaitable[tuple[int, int]]]


async def mqtt_singles(up: Up, device: Device, until_s: float) -> tuple[int, int]:
    """As many PUBLISH as the socket takes. Returns how many fixes were acknowledged, and how many could have been."""
    return await _mqtt(up, device, until_s, 1, RATE)


async def mqtt_arrays(up: Up, device: Device, until_s: float) -> tuple[int, int]:
    """The same with arrays of 500."""
    return await _mqtt(up, device, until_s, 500, 2000)


async def _mqtt(up: Up, device: Device, until_s: float, size: int, rate: int) -> tuple[int, int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", up.mqtt_port)
    writer.write(codec.encode(Connect("flood", user=device.id, password=device.token.encode())))
    await reader.readexactly(4)
    topic, began = f"wangge/v1/{device.id}/fix", time.monotonic()
    first_ms = round(time.time() * 1000) - 3_600_000
    acknowledged = 0

    async def read() -> None:
        nonlocal acknowledged
        while len(data := await reader.read(65536)):
            acknowledged += len(data) // 4

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        number = 0
        try:
            async with asyncio.timeout(until_s - time.monotonic()):
                while True:
                    fixes = [
                        b'{"fixed_at":%d,"lat":26.4,"lon":111.6}' % (first_ms + number * size + i) for i in range(size)
                    ]
                    body = fixes[0] if size == 1 else b"[" + b",".join(fixes) + b"]"
                    writer.write(codec.encode(Publish(topic, body, 1, number % 65535 + 1)))
                    number += 1
                    await writer.drain()
                    if number % 100 == 0:
                        await asyncio.sleep(0)
        except TimeoutError:
            pass
        reading.cancel()
    writer.transport.abort()
    return acknowledged * size, round(rate * (time.monotonic() - began + BURST_S)) + max(size * 100, 100)


async def http(up: Up, device: Device, until_s: float) -> tuple[int, int]:
    """Sixteen connections that do not listen to Retry-After."""
    began = time.monotonic()
    first_ms = round(time.time() * 1000) - 3_600_000
    taken, limited = 0, 0
    numbers = iter(range(10**9))

    async def post(client: httpx.AsyncClient) -> None:
        nonlocal taken, limited
        while time.monotonic() < until_s:
            fix = {"fixed_at": first_ms + next(numbers), "lat": 26.4, "lon": 111.6}
            answer = await client.post("/v1/fixes", json=fix)
            assert answer.status_code in (200, 429), answer.text
            taken += answer.status_code == 200
            limited += answer.status_code == 429
            assert answer.status_code == 200 or int(answer.headers["Retry-After"]) >= 1

    async with (
        httpx.AsyncClient(base_url=up.http, headers=device.headers, trust_env=False, timeout=20) as client,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(16):
            group.create_task(post(client))
    print(f"HTTP: {taken} taken, {limited} times 429")
    assert limited
    return taken, round(RATE * (time.monotonic() - began + BURST_S)) + 16


@pytest.mark.parametrize("flood", [mqtt_singles, mqtt_arrays, http])
async def test_flood_harms_nobody_else(service_folder: Path, flood: Flood) -> None:
    up = Up(service_folder / "data", **LIMITS)
    async with running(up):
        flooder, *others = add_devices(up.dsn, handsets=13)
        await known(up, others)
        loads: list[Load] = [mqtt_load(up, others[0:8], 80, seed=1), http_load(up, others[8:12], 20, seed=2)]
        async with sending(*loads):
            taken, most = await flood(up, flooder, time.monotonic() + FLOODS_S)
        print(f"{flood.__name__}: {taken} fixes taken, at most {most} by the limit")
        assert 0 < taken <= most
        for load in loads:
            print(f"others: p50 {load.latencies.percentile_s(0.5):.3f} s, most {load.latencies.max_s:.3f} s")
            assert load.latencies.max_s < MOST_OTHERS_S
            assert load.sender.tally.errors == 0
        check_exactly_once(up.dsn, *loads)
