"""Devices that send all the time through the simulators' clients, and the proof of what became of it.

Every fact has a key of its own (device and time; of terminals boot and number too), so that sent, acknowledged and
stored can be compared one by one. Some fixes are SOS, some records tell of tampering: each must be in an event, once.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal

from simulators.http_pool import HttpPool
from simulators.mqtt_pool import MqttPool
from simulators.outgoing import Key, Outgoing, rfc3339
from simulators.paho_sender import PahoSender
from simulators.sender import Sender
from simulators.tally import Latencies
from tests.faults.harness import Device, Process, rows, until

TICK_S = 0.02
ALARMS = 0.03
OLD = 0.03
DRAINS_WITHIN_S = 60.0
CATCHES_UP_WITHIN_S = 60.0

FactKey = tuple[str, Key]


class Load:
    """Sends `rate` facts a second, spread over its devices, while `run` runs."""

    def __init__(self, devices: Sequence[Device], rate: float, seed: int = 0) -> None:
        self.devices = devices
        self.rate = rate
        self.sent: set[FactKey] = set()
        self.alarms: set[FactKey] = set()
        self.acked: set[FactKey] = set()
        self.acked_again = 0
        self.latencies = Latencies()
        self.sender: Sender
        self._rng = random.Random(seed)
        self._last_ms = dict.fromkeys((one.id for one in devices), 0)
        self._boot = f"boot-{seed}"
        self._number = 0

    def on_acked(self, message: Outgoing, sent_ms: int, acked_ms: int) -> None:
        """Called by the sender."""
        self.latencies.add((acked_ms - sent_ms) / 1000)
        for key in message.keys:
            self.acked_again += (message.device, key) in self.acked
            self.acked.add((message.device, key))

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        due, at = 0.0, loop.time()
        while True:
            due += self.rate * TICK_S
            while due >= 1:
                due -= 1
                self.sender.send(self._message(self._rng.choice(self.devices)))
            at += TICK_S
            await asyncio.sleep(max(0.0, at - loop.time()))

    def _message(self, device: Device) -> Outgoing:
        now_ms = round(time.time() * 1000)
        at_ms = self._last_ms[device.id] = max(now_ms, self._last_ms[device.id] + 1)
        is_alarm = self._rng.random() < ALARMS
        if not is_alarm and self._rng.random() < OLD:
            at_ms -= 3_600_000
        self._number += 1
        key: Key
        if device.kind == "handset":
            key = at_ms
            body = b'{"fixed_at":%d,"lat":%.6f,"lon":%.6f,"seq":%d%b}' % (
                at_ms,
                26.4 + self._rng.random() / 1000,
                111.6 + self._rng.random() / 1000,
                self._number,
                b',"alarm":"sos"' if is_alarm else b"",
            )
        else:
            key = (at_ms, self._boot, self._number)
            said = b'"kind":"tamper","sensor":"case"' if is_alarm else b'"kind":"heartbeat","paper":"ok"'
            body = b'{%b,"at":"%b","boot":"%b","seq":%d}' % (
                said,
                rfc3339(at_ms).encode(),
                self._boot.encode(),
                self._number,
            )
        self.sent.add((device.id, key))
        if is_alarm:
            self.alarms.add((device.id, key))
        kind: Literal["fix", "pos"] = "fix" if device.kind == "handset" else "pos"
        return Outgoing(device.id, kind, body, (key,), at_ms)

    async def progress(self, seconds: float = DRAINS_WITHIN_S) -> None:
        """Waits until something more is acknowledged than now."""
        before = len(self.acked)
        await until(lambda: len(self.acked) > before, seconds, "another acknowledgement")


def mqtt_load(service: Process, devices: Sequence[Device], rate: float, *, seed: int = 0, port: int = 0) -> Load:
    """Over our own MQTT listener, or through `port`."""
    load = Load(devices, rate, seed)
    pairs = [one.credential for one in devices]
    load.sender = MqttPool(pairs, "127.0.0.1", port or service.mqtt_port, on_acked=load.on_acked, seed=seed)
    return load


def paho_load(service: Process, devices: Sequence[Device], rate: float, *, seed: int = 0, port: int = 0) -> Load:
    """The same with paho-mqtt. Its keep alive is short: a garbled length in TLS leaves both sides waiting."""
    load = Load(devices, rate, seed)
    pairs = [one.credential for one in devices]
    load.sender = PahoSender(pairs, "127.0.0.1", port or service.mqtt_port, keepalive_s=5, on_acked=load.on_acked)
    return load


def http_load(service: Process, devices: Sequence[Device], rate: float, *, seed: int = 0, port: int = 0) -> Load:
    """Over HTTP for devices, or through `port`."""
    load = Load(devices, rate, seed)
    pairs = [one.credential for one in devices]
    url = f"http://127.0.0.1:{port or service.http_port}"
    load.sender = HttpPool(pairs, url, connections=8, on_acked=load.on_acked, seed=seed)
    return load


@asynccontextmanager
async def sending(*loads: Load) -> AsyncIterator[None]:
    """Sends for the block; then waits until everything is acknowledged."""
    async with AsyncExitStack() as stack:
        for load in loads:
            await stack.enter_async_context(load.sender.opened())
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(load.run()) for load in loads]
            for load in loads:
                await load.progress()
            yield
            for task in tasks:
                task.cancel()
        for load in loads:
            assert await load.sender.drained(DRAINS_WITHIN_S), f"{load.sender.outstanding} messages got no answer"


def stored(dsn: str, devices: Sequence[Device]) -> Counter[FactKey]:
    """How often each fact of these devices is stored."""
    ids = [one.id for one in devices]
    found: Counter[FactKey] = Counter(
        (device, int(at_ms))
        for device, at_ms in rows(
            dsn,
            "SELECT d.id, round(extract(epoch FROM f.fixed_at) * 1000) FROM fixes f JOIN devices d ON d.key = f.device "
            "WHERE d.id = ANY (%s)",
            ids,
        )
    )
    found.update(
        (device, (int(at_ms), boot, seq))
        for device, at_ms, boot, seq in rows(
            dsn,
            "SELECT d.id, round(extract(epoch FROM p.at) * 1000), p.boot, p.seq FROM pos_records p "
            "JOIN devices d ON d.key = p.device WHERE d.id = ANY (%s)",
            ids,
        )
    )
    return found


def check_exactly_once(dsn: str, *loads: Load) -> None:
    """Every acknowledged fact is stored, once; nothing else is."""
    for load in loads:
        found = stored(dsn, load.devices)
        assert not load.acked - set(found), "acknowledged and not stored"
        assert not set(found) - load.sent, "stored and never sent"
        assert not [key for key, count in found.items() if count > 1], "stored twice"
        assert load.acked == load.sent, "sent, given time, and not acknowledged"
        assert load.sender.tally.rejected == load.acked_again == 0


async def check_events(dsn: str, *loads: Load) -> None:
    """Every SOS and every tampering is in exactly one event: one event a device, which counts them all."""
    deadline = time.monotonic() + CATCHES_UP_WITHIN_S
    while left := waiting(dsn):
        assert time.monotonic() < deadline, f"the engine has not read {left}"
        await asyncio.sleep(0.1)
    for load in loads:
        wanted = Counter(device for device, key in load.alarms if (device, key) in load.acked)
        events = rows(
            dsn,
            "SELECT subject, count FROM grid_events WHERE subject = ANY (%s) AND code IN ('TRK-01', 'POS-02')",
            [one.id for one in load.devices],
        )
        assert len(events) == len(dict(events)), "an event is doubled"
        assert dict(events) == dict(wanted)
    (changes,) = rows(
        dsn, "SELECT count(*), count(DISTINCT (event_id, version)), count(DISTINCT seq) FROM event_changes"
    )
    assert len(set(changes)) == 1


def waiting(dsn: str) -> list[tuple[object, ...]]:
    """(family, lane, batches, rows) that the rule engine has not read yet (of messages it reads none)."""
    return rows(
        dsn,
        "SELECT b.family, b.lane, count(*), sum(b.rows) FROM batches b LEFT JOIN cursors c ON c.reader = 'alerts' "
        "AND (c.family, c.lane) = (b.family, b.lane) WHERE b.family <> 'message' AND b.seq > coalesce(c.seq, 0) "
        "GROUP BY 1, 2",
    )
