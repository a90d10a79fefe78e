"""The network between device and listener cut, silent, slow, garbled: nothing that was acknowledged is lost.

Garbled bytes are sent through TLS: in the clear a changed digit is just another valid fix, which nobody can tell.
"""

import asyncio
import random
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from simulators.outgoing import Outgoing
from simulators.paho_sender import PahoSender
from simulators.sender import Sender
from tests.faults.harness import Device, Up, add_devices, known, running
from tests.faults.load import Load, check_exactly_once, http_load, mqtt_load, paho_load, sending
from tests.support.proxy import BreakableProxy

soak = [pytest.mark.soak, pytest.mark.timeout(600)]
seconds = pytest.mark.parametrize("seconds", [6.0, pytest.param(120.0, marks=soak)])


async def break_now_and_then(proxies: Sequence[BreakableProxy], seconds: float, seed: int) -> None:
    """One fault after the other, each followed by a good moment, in which clients come back."""
    dice = random.Random(seed)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for proxy in proxies:
            match dice.randrange(4):
                case 0:
                    proxy.cut()
                case 1:
                    proxy.go_silent()
                case 2:
                    proxy.delay_s, proxy.piece_bytes = 0.05, 37
                case _:
                    proxy.refuse()
        await asyncio.sleep(dice.uniform(0.1, 1.0))
        for proxy in proxies:
            if dice.random() < 0.5:
                proxy.cut()
            proxy.heal()
        await asyncio.sleep(dice.uniform(0.1, 1.0))


@seconds
async def test_cut_silent_slow(gentle: Up, seconds: float) -> None:
    devices = add_devices(gentle.dsn, handsets=20, terminals=10)
    await known(gentle, devices)
    async with (
        BreakableProxy("127.0.0.1", gentle.mqtt_port) as mqtt,
        BreakableProxy("127.0.0.1", gentle.http_port) as http,
    ):
        loads = [
            mqtt_load(gentle, devices[0:10] + devices[20:25], 150, seed=1, port=mqtt.port),
            paho_load(gentle, devices[10:14] + devices[25:28], 50, seed=2, port=mqtt.port),
            http_load(gentle, devices[14:20] + devices[28:30], 80, seed=3, port=http.port),
        ]
        async with sending(*loads):
            await break_now_and_then([mqtt, http], seconds, seed=round(seconds))
    check_exactly_once(gentle.dsn, *loads)
    for load in loads:
        tally = load.sender.tally
        print(f"{type(load.sender).__name__}: {tally.facts_acked} acknowledged, {tally.resent} sent again")


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "server.crt", folder / "server.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    extra = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *extra], check=True, capture_output=True)
    return cert, key


class HttpsSender(Sender):
    """httpx over TLS: a task a device, each message until it is answered with 200."""

    def __init__(self, devices: Sequence[Device], load: Load, port: int, trust: ssl.SSLContext) -> None:
        super().__init__(load.on_acked)
        self._url, self._trust = f"https://127.0.0.1:{port}", trust
        self._waiting = {one.id: asyncio.Queue[Outgoing]() for one in devices}
        self._devices = devices

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["HttpsSender"]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._work(one)) for one in self._devices]
            yield self
            for task in tasks:
                task.cancel()

    def send(self, message: Outgoing) -> None:
        self.taken()
        self._waiting[message.device].put_nowait(message)

    async def online(self, timeout_s: float, share: float = 1.0) -> int:
        return len(self._devices)

    async def _work(self, device: Device) -> None:
        async with httpx.AsyncClient(verify=self._trust, trust_env=False, timeout=3, headers=device.headers) as client:
            while True:
                message = await self._waiting[device.id].get()
                began = time.monotonic()
                while not await self._try(client, message):
                    self.tally.resent += 1
                    await asyncio.sleep(0.1)
                self.acknowledged(message, time.monotonic() - began)

    async def _try(self, client: httpx.AsyncClient, message: Outgoing) -> bool:
        try:
            answer = await client.post(f"{self._url}/v1/fixes", content=message.body)
        except (httpx.TransportError, ssl.SSLError):  # httpx passes on what TLS finds while it reads
            return False
        assert answer.status_code in (200, 429, 503), answer.text
        return answer.status_code == 200


@seconds
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves sockets open: TLS failures
async def test_garbled(service_folder: Path, pem: tuple[Path, Path], seconds: float) -> None:
    cert, key = (service_folder / path.name for path in pem)
    for source, target in zip(pem, (cert, key), strict=True):
        target.write_bytes(source.read_bytes())
    tls = {
        "WANGGE_INGEST__MQTT__TLS_CERT": str(cert),
        "WANGGE_INGEST__MQTT__TLS_KEY": str(key),
        "WANGGE_HTTP__TLS_CERTIFICATE": str(cert),
        "WANGGE_HTTP__TLS_KEY": str(key),
    }
    trust = ssl.create_default_context(cafile=str(cert))
    up = Up(service_folder / "data", trust, **tls)
    async with running(up):
        devices = add_devices(up.dsn, handsets=10)
        await known(up, devices)
        async with (
            BreakableProxy("127.0.0.1", up.mqtt_port) as mqtt,
            BreakableProxy("127.0.0.1", up.http_port) as http,
        ):
            over_mqtt = paho_load(up, devices[0:6], 100, seed=1, port=mqtt.port)
            assert isinstance(over_mqtt.sender, PahoSender)
            for client in over_mqtt.sender.clients.values():
                client.tls_set_context(ssl.create_default_context(cafile=str(cert)))
                client.reconnect_delay_set(1, 1)
            over_http = Load(devices[6:10], 20, seed=2)
            over_http.sender = HttpsSender(devices[6:10], over_http, http.port, trust)
            async with sending(over_mqtt, over_http):
                ends = time.monotonic() + seconds
                while time.monotonic() < ends:
                    mqtt.garbled, http.garbled = 0.02, 0.1
                    await asyncio.sleep(1.0)
                    mqtt.heal()
                    http.heal()
                    await asyncio.sleep(0.5)
        check_exactly_once(up.dsn, over_mqtt, over_http)
        for load in (over_mqtt, over_http):
            print(f"{type(load.sender).__name__}: {load.sender.tally.facts_acked} acknowledged", end=", ")
            print(f"{load.sender.tally.resent} sent again, {load.sender.tally.connects} connections")
        assert over_http.sender.tally.resent
        assert over_mqtt.sender.tally.connects > len(over_mqtt.devices)
