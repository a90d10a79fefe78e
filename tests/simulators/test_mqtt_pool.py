"""The light MQTT client against a real mosquitto: delivery, resending with DUP, arrays after an absence, refusals."""

import asyncio
import io
import time
from typing import Any

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from simulators.errors import SimulatorError
from simulators.mqtt_pool import MqttPool
from simulators.outgoing import Outgoing
from simulators.paho_sender import PahoSender
from simulators.tally import AckedLog
from tests.simulators.conftest import free_port, proxy


def fix(device: str, number: int) -> Outgoing:
    return Outgoing(device, "fix", b'{"fixed_at":%d,"lat":26.4,"lon":111.6}' % number, (number,), number)


class Listener:
    """A foreign client that hears everything."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda client, data, message: self.heard.append(
            (message.topic, message.payload, message.retain)
        )
        self.client.on_connect = lambda client, *rest: client.subscribe("wangge/#", qos=1)
        self.ready = False
        self.client.on_subscribe = self._subscribed
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _subscribed(self, *rest: Any) -> None:
        self.ready = True

    def keys(self, device: str) -> list[int]:
        """Times of this device's fixes, in order, also out of arrays."""
        found = []
        for topic, payload, _ in list(self.heard):
            if topic == f"wangge/v1/{device}/fix":
                decoded = msgspec.json.decode(payload)
                found += [one["fixed_at"] for one in (decoded if isinstance(decoded, list) else [decoded])]
        return found

    def __enter__(self) -> "Listener":
        deadline = time.monotonic() + 10
        while not self.ready and time.monotonic() < deadline:
            time.sleep(0.01)
        return self

    def __exit__(self, *rest: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


async def until(condition: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


async def test_everything_arrives_and_is_logged(broker: int) -> None:
    log = io.BytesIO()
    devices = [f"pool-a{i}" for i in range(50)]
    with Listener(broker) as listener:
        pool = MqttPool([(d, "t") for d in devices], "127.0.0.1", broker, on_acked=AckedLog(log))
        async with pool.opened():
            assert await pool.online(10) == 50
            for number in range(40):
                for device in devices:
                    pool.send(fix(device, number))
            assert await pool.drained(10)
        await until(lambda: all(len(listener.keys(d)) == 40 for d in devices))
        assert all(listener.keys(d) == list(range(40)) for d in devices), "the order is kept"
    tally = pool.tally
    assert tally.facts_acked == 2000
    assert tally.sent == tally.acked <= 2000
    assert tally.errors == tally.resent == 0
    assert 0 < tally.latencies.percentile_s(0.5) <= tally.latencies.percentile_s(0.99) <= tally.latencies.max_s
    lines = [msgspec.json.decode(line) for line in log.getvalue().splitlines()]
    assert {(line["device"], line["fixed_at"]) for line in lines} == {(d, n) for d in devices for n in range(40)}


async def test_unacknowledged_messages_are_sent_again_with_dup(broker: int) -> None:
    with Listener(broker) as listener:
        async with proxy(broker) as line:
            pool = MqttPool([("pool-b", "t")], "127.0.0.1", line.port, window=5)
            async with pool.opened():
                await pool.online(10)
                await until(lambda: listener.heard)
                line.swallow = True
                for number in range(30):
                    pool.send(fix("pool-b", number))
                await until(lambda: len(listener.keys("pool-b")) >= 5)
                assert pool.tally.acked == 0
                assert pool.outstanding > 0
                del line.to_server[:]
                line.swallow = False
                line.cut()
                assert await pool.drained(15)
                assert not pool.devices["pool-b"].in_flight
            assert pool.tally.resent == 5
            assert pool.tally.connects == 2
            dup = [at for at in range(len(line.to_server)) if line.to_server[at] == 0x3A]
            assert len(dup) >= 5
            sent_again = bytes(line.to_server)
            assert sent_again.index(b'"fixed_at":0,') < sent_again.index(b'"fixed_at":4,')
        await until(lambda: set(listener.keys("pool-b")) == set(range(30)))
        payloads = [p for topic, p, _ in listener.heard if topic.endswith("pool-b/fix")]
        assert any(p.startswith(b"[") for p in payloads), "what waited came as arrays"


async def test_a_silent_server_is_left(broker: int) -> None:
    async with proxy(broker) as line:
        pool = MqttPool([("pool-c", "t")], "127.0.0.1", line.port, keepalive_s=2)
        async with pool.opened():
            await pool.online(10)
            line.swallow = True
            await until(lambda: pool.tally.errors, 20)
            line.swallow = False
            await until(lambda: pool.tally.connects == 2, 20)


async def test_the_will_tells_of_a_cut(broker: int) -> None:
    with Listener(broker) as listener:
        async with proxy(broker) as line:
            pool = MqttPool([("pool-d", "t")], "127.0.0.1", line.port)
            async with pool.opened():
                await pool.online(10)
                line.cut()
                await until(lambda: pool.tally.connects == 2)
        states = [
            msgspec.json.decode(p)["online"]
            for topic, p, retained in listener.heard
            if topic == "wangge/v1/pool-d/state" and not retained
        ]
    assert states[:3] == [True, False, True]


async def test_rejects_are_counted(broker: int) -> None:
    pool = MqttPool([("pool-e", "t")], "127.0.0.1", broker)
    with Listener(broker) as listener:
        async with pool.opened():
            await pool.online(10)
            deadline = time.monotonic() + 10
            while not pool.tally.rejected and time.monotonic() < deadline:
                listener.client.publish("wangge/v1/pool-e/reject", b'{"count": 3, "reasons": ["no position"]}', qos=1)
                await asyncio.sleep(0.1)
            assert pool.tally.rejected % 3 == 0
            assert pool.tally.rejected > 0


async def test_nobody_there() -> None:
    pool = MqttPool([("pool-f", "t")], "127.0.0.1", free_port())
    with pytest.raises(ExceptionGroup) as failed:
        async with pool.opened():
            await pool.online(0.3)
    assert failed.group_contains(SimulatorError, match="0 of 1 devices connected")


async def test_paho_sends_the_same(broker: int) -> None:
    devices = [f"paho-{i}" for i in range(5)]
    with Listener(broker) as listener:
        sender = PahoSender([(d, "t") for d in devices], "127.0.0.1", broker)
        async with sender.opened():
            await sender.online(10)
            for number in range(30):
                for device in devices:
                    sender.send(fix(device, number))
            assert await sender.drained(15)
        assert sender.tally.acked == sender.tally.sent == 150
        await until(lambda: all(listener.keys(d) == list(range(30)) for d in devices))


def test_paho_is_for_tens() -> None:
    with pytest.raises(SimulatorError, match="up to 200"):
        PahoSender([(f"d{i}", "t") for i in range(201)], "127.0.0.1", 1)
