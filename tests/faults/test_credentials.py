"""A credential changed in the running service: the old one is cut off and the new one works, both within a second."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import httpx

from ingest.mqtt import codec
from ingest.mqtt.codec import Connect, Publish
from tests.faults.harness import Device, Up, add_devices, known
from tests.support.service import wangge

WITHIN_S = 1.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(service: Up, device: Device) -> tuple[int, Streams]:
    """The return code of CONNACK, and the connection."""
    streams = await asyncio.open_connection("127.0.0.1", service.mqtt_port)
    streams[1].write(codec.encode(Connect("c", user=device.id, password=device.token.encode())))
    return (await asyncio.wait_for(streams[0].readexactly(4), 5))[3], streams


async def mqtt_code(service: Up, device: Device) -> int:
    """The return code alone."""
    code, (_, writer) = await connect(service, device)
    writer.transport.abort()
    return code


async def http_status(service: Up, device: Device) -> int:
    """The status of an empty array of fixes."""
    async with httpx.AsyncClient(base_url=service.http, trust_env=False) as client:
        return (await client.post("/v1/fixes", content=b"[]", headers=device.headers)).status_code


async def within(began: float, question: Callable[[], Awaitable[int]], answers: set[int], what: str) -> None:
    """The answer must be right at the latest WITHIN_S after `began`."""
    while (found := await question()) not in answers:
        assert time.monotonic() - began < WITHIN_S, f"{what}: still {found}"
        await asyncio.sleep(0.02)


async def test_new_credential_ends_the_old_one(gentle: Up) -> None:
    (device,) = add_devices(gentle.dsn, handsets=1)
    await known(gentle, [device])
    code, (reader, writer) = await connect(gentle, device)
    assert code == 0
    topic = f"wangge/v1/{device.id}/fix"
    writer.write(codec.encode(Publish(topic, b'{"fixed_at":%d,"lat":26.4,"lon":111.6}' % (time.time() * 1000), 1, 1)))
    assert await asyncio.wait_for(reader.readexactly(4), 10) == b"\x40\x02\x00\x01"

    made = await asyncio.to_thread(wangge, "devices", "credential", device.id, "--json", "--data", str(gentle.data))
    began = time.monotonic()
    renewed = device._replace(token=json.loads(made.stdout)["token"])
    try:
        assert await asyncio.wait_for(reader.read(), WITHIN_S) == b""
    finally:
        writer.transport.abort()
    await within(began, lambda: mqtt_code(gentle, renewed), {0}, "the new token by MQTT")
    await within(began, lambda: http_status(gentle, renewed), {200}, "the new token by HTTP")
    await within(began, lambda: mqtt_code(gentle, device), {4, 5}, "the old token by MQTT")
    await within(began, lambda: http_status(gentle, device), {401}, "the old token by HTTP")
    print(f"all known {time.monotonic() - began:.2f} s after the command")
