"""SIGKILL of the mosquitto in front of our consumer and of the service behind it: receipts promise what is stored.

What the broker acknowledged and forgot, a device has kept: it deletes by our receipts (docs/mqtt.md) and sends again.
"""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.faults.harness import Device, Up, add_devices, known, running, until
from tests.faults.load import stored
from tests.ingest.mqtt.broker import Mosquitto

AGAIN_S = 1.0
COVERED_WITHIN_S = 60.0


class BrokerDevice:
    """A handset behind the broker. kept: records that no receipt covers; covered: all others."""

    def __init__(self, device: Device, port: int) -> None:
        self.device = device
        self.kept: dict[int, bytes] = {}
        self.covered: set[int] = set()
        self.times: dict[int, int] = {}
        self._lock = threading.Lock()
        self._heard_at = time.monotonic()
        self._last_ms = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=device.id, clean_session=False)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._connected
        self._client.on_message = self._told
        self._client.connect_async("127.0.0.1", port, keepalive=5)

    @contextmanager
    def connected(self) -> Iterator[None]:
        self._client.loop_start()
        try:
            yield
        finally:
            self._client.disconnect()
            self._client.loop_stop()

    @property
    def is_online(self) -> bool:
        return bool(self._client.is_connected())

    def send(self) -> None:
        """One more fix."""
        number = len(self.times) + 1
        at_ms = self._last_ms = max(round(time.time() * 1000), self._last_ms + 1)
        self.times[number] = at_ms
        body = b'{"fixed_at":%d,"lat":26.42,"lon":111.61,"seq":%d}' % (at_ms, number)
        with self._lock:
            self.kept[number] = body
        self._publish(body)

    def send_again(self) -> None:
        """The oldest that are kept, in order, where no receipt has come for a while."""
        if time.monotonic() - self._heard_at < AGAIN_S:
            return
        self._heard_at = time.monotonic()
        with self._lock:
            bodies = [self.kept[number] for number in sorted(self.kept)[:200]]
        for body in bodies:
            self._publish(body)

    def _publish(self, body: bytes) -> None:
        if self.is_online:
            self._client.publish(f"wangge/v1/{self.device.id}/fix", body, qos=1)

    def _connected(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(f"wangge/v1/{self.device.id}/stored", 1)

    def _told(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        receipt = json.loads(message.payload)
        with self._lock:
            for number in [n for n in self.kept if receipt.get("from", 1) <= n <= receipt["up_to"]]:
                del self.kept[number]
                self.covered.add(number)
                self._heard_at = time.monotonic()


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
async def test_broker_and_service_killed(service_folder: Path, kills: int) -> None:
    dice = random.Random(kills)
    async with Mosquitto() as broker:
        up = Up(service_folder / "data", WANGGE_INGEST__MQTT__BROKER_URL=f"mqtt://127.0.0.1:{broker.port}")
        async with running(up):
            devices = add_devices(up.dsn, handsets=5)
            await known(up, devices)
            clients = [BrokerDevice(one, broker.port) for one in devices]
            ended = False

            async def work() -> None:
                while not ended:
                    for client in clients:
                        client.send()
                        client.send_again()
                    await asyncio.sleep(0.05)

            async def progress() -> None:
                before = [len(client.covered) for client in clients]

                def has_moved() -> bool:
                    return all(len(c.covered) > n for c, n in zip(clients, before, strict=True))

                await until(has_moved, COVERED_WITHIN_S, "more receipts")

            with ExitStack() as stack:
                for client in clients:
                    stack.enter_context(client.connected())
                async with asyncio.TaskGroup() as group:
                    group.create_task(work())
                    for number in range(kills):
                        await progress()
                        await asyncio.sleep(dice.uniform(0.0, 1.5))
                        broker.kill()
                        await broker.start()
                        if number % 4 == 1:
                            up.kill()
                            up.start()
                    await progress()
                    ended = True
                deadline = time.monotonic() + COVERED_WITHIN_S
                while any(client.kept for client in clients):
                    assert time.monotonic() < deadline, [sorted(client.kept)[:5] for client in clients]
                    for client in clients:
                        client.send_again()
                    await asyncio.sleep(0.1)
            found = stored(up.dsn, devices)
            sent = Counter((c.device.id, at_ms) for c in clients for at_ms in c.times.values())
            assert found == sent
            print(f"{kills} kills: {sum(sent.values())} fixes covered by receipts, each stored once")
