"""Other people's clients against the live listener: paho-mqtt, mosquitto_pub, mosquitto_sub."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.ingest.mqtt.broker import run
from tests.ingest.mqtt.conftest import HouseMaker
from tests.ingest.mqtt.raw import Raw, until


class Paho:
    """A paho client in its thread; `got` are its messages, `acked` its finished publishes."""

    def __init__(self, user: str, **options: object) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2, **{"client_id": "paho", **options})  # type: ignore[arg-type]
        self.client.username_pw_set(user, "right")
        self.client.max_inflight_messages_set(1000)
        self.got: list[paho.MQTTMessage] = []
        self.acked: list[int] = []
        self.codes: list[str] = []
        self.present: list[bool] = []
        self.subscribed = threading.Event()
        self.client.on_connect = self._on_connect
        self.client.on_message = lambda _c, _d, message: self.got.append(message)
        self.client.on_publish = lambda _c, _d, mid, _r, _p: self.acked.append(mid)
        self.client.on_subscribe = lambda *_: self.subscribed.set()

    def _on_connect(self, _c: object, _d: object, flags: paho.ConnectFlags, code: object, _p: object) -> None:
        self.codes.append(str(code))
        self.present.append(flags.session_present)


@contextmanager
def connected(port: int, user: str, **options: object) -> Iterator[Paho]:
    device = Paho(user, **options)
    device.client.connect_async("127.0.0.1", port, keepalive=5)
    device.client.loop_start()
    try:
        yield device
    finally:
        device.client.disconnect()
        device.client.loop_stop()


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_paho_publishes(house: HouseMaker, qos: int) -> None:
    async with house() as made:
        with connected(made.port, "d1") as device:
            await until(lambda: device.codes == ["Success"])
            for number in range(300):
                device.client.publish("wangge/v1/d1/fix", b"%d" % number, qos=qos)
            await until(lambda: len(made.intake.stored) == 300 and len(device.acked) == 300, 15)
            assert sorted(map(int, made.intake.payloads())) == list(range(300))


async def test_paho_hears_downlink_and_keeps_its_session(house: HouseMaker) -> None:
    async with house() as made:
        key, topic = made.intake.device("d1").key, "wangge/v1/d1/task"
        with connected(made.port, "d1", clean_session=False) as device:
            await until(lambda: device.codes == ["Success"])
            device.client.subscribe(topic, 2)
            await until(device.subscribed.is_set)
            for number in range(50):
                assert made.listener.send(key, topic, b"%d" % number, message_id=str(number))
            await until(lambda: len(device.got) == 50)
            assert [int(m.payload) for m in device.got] == list(range(50))
            await until(lambda: made.listener.stats.delivered == 50)
        await until(lambda: made.listener.stats.connections == 0)
        with connected(made.port, "d1", clean_session=False) as device:
            await until(lambda: device.present == [True])
            assert made.listener.send(key, topic, b"more")
            await until(lambda: [m.payload for m in device.got] == [b"more"])


async def test_paho_with_wrong_password_and_with_version_5(house: HouseMaker) -> None:
    async with house() as made:
        device = Paho("revoked1")
        device.client.connect_async("127.0.0.1", made.port)
        device.client.loop_start()
        await until(lambda: device.codes == ["Not authorized"])
        device.client.loop_stop()
        newer = Paho("d1", protocol=MQTTProtocolVersion.MQTTv5)
        newer.client.connect_async("127.0.0.1", made.port)
        newer.client.loop_start()
        await until(lambda: made.listener.stats.refused.get(1, 0) >= 1)
        newer.client.loop_stop()
        assert "Success" not in newer.codes


async def test_paho_publishes_on_after_a_take_over(house: HouseMaker) -> None:
    async with house() as made:
        with connected(made.port, "d1") as device:
            await until(lambda: device.codes == ["Success"])
            device.client.reconnect_delay_set(1, 1)
            async with await Raw.open(made.port) as other:
                await other.hello("d1", "paho")
                await other.ended(10)
            device.client.publish("wangge/v1/d1/fix", b"after", qos=1)
            await until(lambda: made.intake.payloads() == [b"after"], 10)
            assert made.listener.stats.takeovers >= 2


@pytest.mark.parametrize("qos", ["0", "1", "2"])
async def test_mosquitto_pub(house: HouseMaker, qos: str) -> None:
    async with house() as made:
        login = ["-h", "127.0.0.1", "-p", str(made.port), "-u", "d1", "-P", "right", "-q", qos]
        lines = b"".join(b"%d\n" % n for n in range(200))
        status, out = await run("mosquitto_pub", *login, "-t", "wangge/v1/d1/fix", "-l", data=lines)
        assert (status, out) == (0, b"")
        await until(lambda: len(made.intake.stored) == 200)
        assert sorted(map(int, made.intake.payloads())) == list(range(200))
        status, out = await run("mosquitto_pub", *login, "-t", "wangge/v1/d1/state", "-r", "-n")
        assert status == 0
        await until(lambda: made.intake.stored[-1].retain)
        status, out = await run("mosquitto_pub", *login[:-4], "-P", "wrong", "-t", "x", "-m", "y")
        assert status != 0


async def test_mosquitto_sub(house: HouseMaker) -> None:
    async with house() as made:
        key = made.intake.device("d1").key
        made.listener.send(key, "wangge/v1/d1/task", b"kept", retain=True)
        login = ["-h", "127.0.0.1", "-p", str(made.port), "-u", "d1", "-P", "right", "-q", "2"]
        hearing = asyncio.ensure_future(
            run("mosquitto_sub", *login, "-t", "wangge/v1/d1/#", "-C", "2", "-F", "%t %r %p")
        )  # fmt: skip
        await until(lambda: ("subscribed", "d1", "wangge/v1/d1/#") in made.notes.events)
        await until(lambda: made.listener.stats.delivered == 1)
        made.listener.send(key, "wangge/v1/d1/stored", b"now")
        status, out = await hearing
        assert (status, out) == (0, b"wangge/v1/d1/task 1 kept\nwangge/v1/d1/stored 0 now\n")
        status, out = await run("mosquitto_sub", *login, "-t", "wangge/v1/d2/#", "-C", "1")
        assert b"denied" in out
