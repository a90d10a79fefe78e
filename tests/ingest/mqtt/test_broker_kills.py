"""The promise behind a foreign broker: what a device deletes by our receipts is stored, whatever is killed.

A mosquitto that keeps nothing on disk (the worst case) in front of `wangge serve --roles ingest` on a real PostgreSQL;
both are killed at random moments while devices send. In the end everything is stored once and every device has deleted
all that it had.
"""

import asyncio
import random
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import msgspec
import paho.mqtt.client as paho
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.ingest.mqtt.broker import Mosquitto, free_port
from tests.wangge.conftest import ENVIRONMENT

SENDS_AGAIN_AFTER_S = 1.0
UNDER_WAY = 40


class KeepingDevice:
    """Keeps every record until a receipt covers its number; sends the oldest again when none came for a while."""

    def __init__(self, device_id: str, port: int, *, boot: str | None = None) -> None:
        self.id, self._boot = device_id, boot
        self._leaf = "fix" if boot is None else "pos"
        self.made = 0
        self.kept: dict[int, bytes] = {}
        self.receipts: deque[dict[str, object]] = deque()
        self._began_ms = time.time_ns() // 1_000_000 - 60_000
        self._progress_at = time.monotonic()
        self._sent_up_to = self._highest = 0
        self.again = 0
        """How often it began to send again."""
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"{device_id}-client")
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe(f"wangge/v1/{device_id}/stored", 1)
        self.client.on_message = lambda _c, _d, message: self.receipts.append(msgspec.json.decode(message.payload))
        self.client.connect_async("127.0.0.1", port, keepalive=5)

    def make(self) -> None:
        """One more record."""
        self.made += 1
        seq, at = self.made, self._began_ms + self.made
        record: dict[str, object] = {"seq": seq, "fixed_at": at, "lat": 26.4, "lon": 111.6}
        if self._boot is not None:
            record = {"seq": seq, "at": at, "boot": self._boot, "kind": "heartbeat", "battery": 0.5}
        self.kept[seq] = msgspec.json.encode(record)

    def work(self) -> None:
        """Deletes what receipts cover, sends what is new, and what waits too long again."""
        while self.receipts:
            receipt = self.receipts.popleft()
            assert receipt.get("boot") == self._boot
            up_to = receipt["up_to"]
            assert isinstance(up_to, int)
            assert up_to <= self._highest
            for seq in [seq for seq in self.kept if seq <= up_to]:
                del self.kept[seq]
                self._progress_at = time.monotonic()
        if not self.client.is_connected():
            return
        if self.kept and time.monotonic() - self._progress_at > SENDS_AGAIN_AFTER_S:
            self._progress_at = time.monotonic()
            self._sent_up_to = min(self.kept) - 1
            self.again += 1
        for seq in [seq for seq in self.kept if self._sent_up_to < seq][: UNDER_WAY - (self._sent_up_to - self.first)]:
            self.client.publish(f"wangge/v1/{self.id}/{self._leaf}", self.kept[seq], qos=1)
            self._sent_up_to = seq
            self._highest = max(self._highest, seq)

    @property
    def first(self) -> int:
        """The number before the oldest kept."""
        return min(self.kept, default=self.made + 1) - 1


class Service:
    """`wangge serve --roles ingest` that reads the broker; may be killed and started again."""

    def __init__(self, dsn: str, broker: Mosquitto, log: Path) -> None:
        self._log, self.port = log, free_port()
        self._command = [sys.executable, "-m", "wangge", "serve", "--roles", "ingest", "--port", str(self.port)]
        self._environment = ENVIRONMENT | {
            "WANGGE_STORE__DSN": dsn,
            "WANGGE_INGEST__MQTT__ENABLED": "false",
            "WANGGE_INGEST__MQTT__BROKER_URL": f"mqtt://127.0.0.1:{broker.port}",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)

    async def figure(self, name: str) -> float:
        """A figure of /metrics; -1 while nobody answers."""
        assert self.process is not None
        assert self.process.poll() is None, self._log.read_text()[-3000:]
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
                page = await client.get(f"http://127.0.0.1:{self.port}/metrics")
        except httpx.TransportError:
            return -1
        return next((float(line.split()[-1]) for line in page.text.splitlines() if line.startswith(name + " ")), -1)


async def connected(service: Service, figure: int = 1) -> None:
    """Waits until the service reads the broker (0: until it has noticed that it is away)."""
    async with asyncio.timeout(60):
        while await service.figure("wangge_broker_connected") != figure:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


def register(dsn: str, devices: list[KeepingDevice]) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for device in devices:
            kind = "terminal" if device.id.startswith("pos") else "handset"
            connection.execute("INSERT INTO devices (id, kind) VALUES (%s, %s)", (device.id, kind))


def stored(dsn: str, device: KeepingDevice) -> list[int]:
    """The numbers of all rows of a device, in order; a number twice when it is stored twice."""
    table = "pos_records" if device.id.startswith("pos") else "fixes"
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute(
            f"SELECT seq FROM {table} f JOIN devices d ON d.key = f.device WHERE d.id = %s ORDER BY seq", (device.id,)
        )
        return [row[0] for row in rows]


@contextmanager
def online(devices: list[KeepingDevice]) -> Iterator[None]:
    with ExitStack() as stack:
        for device in devices:
            device.client.loop_start()
            stack.callback(device.client.loop_stop)
            stack.callback(device.client.disconnect)
        yield


async def send(devices: list[KeepingDevice], seconds: float, *, making: bool = True) -> None:
    """Lets them work; while `making`, each makes about 100 records a second."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        for device in devices:
            if making:
                device.make()
            device.work()
        await asyncio.sleep(0.01)


async def run_kills(dsn: str, folder: Path, kills: int, service_every: int) -> None:
    """kills: of the broker; with every `service_every`-th the service is killed too."""
    dice = random.Random()
    async with Mosquitto(persistence=False) as broker:
        devices = [KeepingDevice(f"hs-{i}", broker.port) for i in range(3)]
        devices.append(KeepingDevice("pos-1", broker.port, boot="b1"))
        register(dsn, devices)
        service = Service(dsn, broker, folder / "service.log")
        service.start()
        try:
            await connected(service)
            with online(devices):
                for kill in range(1, kills + 1):
                    await send(devices, dice.uniform(0.3, 2.0))
                    broker.kill()
                    if kill % service_every == 0:
                        service.kill()
                        service.start()
                    await send(devices, dice.uniform(0.0, 0.5))
                    await broker.start()
                    if kill % service_every == 0:
                        await send(devices, dice.uniform(0.0, 3.0))
                        service.kill()
                        service.start()
                    await connected(service)
                deadline = time.monotonic() + 60
                while any(device.kept for device in devices):
                    assert time.monotonic() < deadline, [(d.id, d.made, sorted(d.kept)[:5]) for d in devices]
                    await send(devices, 0.2, making=False)
            assert await service.figure("wangge_broker_given_up_total") == 0
            assert service.stop() == 0
        finally:
            service.kill()
        assert any(device.again for device in devices)
        for device in devices:
            assert device.made > 0
            assert stored(dsn, device) == list(range(1, device.made + 1))


async def test_nothing_deleted_by_a_receipt_is_missing(migrated_dsn: str, tmp_path: Path) -> None:
    await run_kills(migrated_dsn, tmp_path, kills=3, service_every=2)


@pytest.mark.soak
async def test_nothing_deleted_by_a_receipt_is_missing_after_twenty_kills(migrated_dsn: str, tmp_path: Path) -> None:
    await run_kills(migrated_dsn, tmp_path, kills=20, service_every=4)


async def test_a_service_that_reads_a_broker_says_so_and_lives_without_it(migrated_dsn: str, tmp_path: Path) -> None:
    async with Mosquitto() as broker:
        service = Service(migrated_dsn, broker, tmp_path / "service.log")
        service.start()
        try:
            await connected(service)
            broker.kill()
            await connected(service, 0)
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.get(f"http://127.0.0.1:{service.port}/readyz")).status_code == 200
            assert service.stop() == 0
        finally:
            service.kill()
