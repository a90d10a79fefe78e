"""The consumer of a foreign broker, with a real mosquitto that is killed."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import paho.mqtt.client as paho
import pytest

from core.errors import ConfigurationError
from ingest.mqtt import MqttSettings
from ingest.mqtt.consumer import Consumer
from tests.ingest.mqtt.broker import Mosquitto
from tests.ingest.mqtt.double import MemoryIntake, MemoryLedger, RealClock
from tests.ingest.mqtt.raw import until
from tests.ingest.mqtt.test_clients import Paho, connected


@asynccontextmanager
async def consuming(
    broker: Mosquitto, intake: MemoryIntake, ledger: MemoryLedger | None = None, **settings: object
) -> AsyncIterator[Consumer]:
    url = f"mqtt://127.0.0.1:{broker.port}"
    made = MqttSettings.model_validate({"broker_url": url, **settings})
    consumer = Consumer(made, intake, RealClock(), ledger or MemoryLedger())
    running = asyncio.ensure_future(consumer.run())
    try:
        await until(lambda: consumer.stats.subscriptions or running.done())
        yield consumer
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def numbers_of(intake: MemoryIntake) -> set[int]:
    return {json.loads(payload)["seq"] for payload in intake.payloads()}


async def test_acknowledges_after_the_commit_and_publishes_receipts() -> None:
    intake = MemoryIntake(manual=True)
    async with Mosquitto() as broker, consuming(broker, intake) as consumer:
        with connected(broker.port, "d1") as device:
            await until(lambda: device.codes == ["Success"])
            device.client.subscribe("wangge/v1/d1/+", 1)
            await until(device.subscribed.is_set)
            for number in range(1, 4):
                device.client.publish("wangge/v1/d1/pos", b'{"seq": %d}' % number, qos=1)
            device.client.publish("wangge/v1/d1/answer", b"bad", qos=1)
            device.client.publish("wangge/v1/ghost/fix", b'{"seq": 9}', qos=1)
            device.client.publish("owntracks/u/phone", b"{}", qos=1)
            await until(lambda: len(intake.waiting) == 6)
            assert consumer.stats.stored == 0
            assert [m.device.kind for m in intake.waiting if m.topic.startswith("wangge/v1/ghost")] == ["unknown"]
            intake.commit(intake.waiting[1:])
            await asyncio.sleep(0.1)
            assert not [m for m in device.got if m.topic.endswith("stored")]
            intake.commit()
            await until(lambda: {m.topic for m in device.got} >= {"wangge/v1/d1/reject", "wangge/v1/d1/stored"})
            receipts = [json.loads(m.payload) for m in device.got if m.topic == "wangge/v1/d1/stored"]
            assert receipts == [{"up_to": 3}]
            assert consumer.stats.stored == 6
            assert consumer.stats.unknown == 1


async def test_window_is_bounded_and_nothing_is_lost() -> None:
    intake = MemoryIntake(manual=True, capacity=5)
    async with Mosquitto() as broker, consuming(broker, intake, broker_window=20) as consumer:
        with connected(broker.port, "d1") as device:
            for number in range(300):
                device.client.publish("wangge/v1/d1/fix", b'{"seq": %d}' % number, qos=1)
            await until(lambda: len(device.acked) == 300)
            await until(lambda: consumer.stats.messages == 20)
            await asyncio.sleep(0.2)
            assert (consumer.stats.messages, len(intake.waiting)) == (20, 5)
            async with asyncio.timeout(20):
                while len(intake.stored) < 300:
                    intake.commit()
                    await asyncio.sleep(0.005)
            assert numbers_of(intake) == set(range(300))
            assert len(intake.stored) == 300


async def test_no_receipt_covers_what_the_broker_lost() -> None:
    """The device keeps what no receipt covers and sends it again; what a receipt covers is stored."""
    intake = MemoryIntake()
    total, kills = 600, 2
    async with Mosquitto() as broker, consuming(broker, intake) as consumer:
        consumer._client.reconnect_delay_set(1, 1)
        with connected(broker.port, "d1", clean_session=False) as device:
            device.client.reconnect_delay_set(1, 1)
            covered: list[int] = []
            lies: list[int] = []

            def on_receipt(_client: object, _data: object, message: paho.MQTTMessage) -> None:
                up_to = json.loads(message.payload)["up_to"]
                covered.append(up_to)
                lies.extend(set(range(1, up_to + 1)) - numbers_of(intake))

            device.client.on_message = on_receipt
            await until(lambda: device.codes != [])
            device.client.subscribe("wangge/v1/d1/stored", 1)
            for number in range(1, total + 1):
                device.client.publish("wangge/v1/d1/fix", b'{"seq": %d}' % number, qos=1)
                await asyncio.sleep(0.001)
                if number % (total // (kills + 1)) == 0 and number < total:
                    await until(lambda: consumer.stats.connected and device.client.is_connected(), 15)
                    broker.kill()
                    await until(lambda: not consumer.stats.connected)
                    await broker.start()
                    await until(device.client.is_connected, 15)
                    device.client.subscribe("wangge/v1/d1/stored", 1)
            await until(lambda: consumer.stats.connected and device.client.is_connected(), 15)
            async with asyncio.timeout(30):
                while not covered or max(covered) < total:
                    await asyncio.sleep(1.0)
                    for number in range(max(covered, default=0) + 1, total + 1):
                        device.client.publish("wangge/v1/d1/fix", b'{"seq": %d}' % number, qos=1)
            assert numbers_of(intake) == set(range(1, total + 1))
            assert consumer.stats.connections == kills + 1
            assert lies == []


async def test_receipts_wait_for_a_ledger_that_is_away() -> None:
    intake, ledger = MemoryIntake(), MemoryLedger()
    ledger.down = True
    async with Mosquitto() as broker, consuming(broker, intake, ledger) as consumer:
        with connected(broker.port, "d1") as device:
            await until(lambda: device.codes == ["Success"])
            device.client.subscribe("wangge/v1/d1/stored", 1)
            await until(device.subscribed.is_set)
            for number in range(1, 6):
                device.client.publish("wangge/v1/d1/fix", b'{"seq": %d}' % number, qos=1)
            await until(lambda: consumer.stats.stored == 5)
            await asyncio.sleep(0.5)
            assert device.got == []
            ledger.down = False
            await until(lambda: [json.loads(m.payload) for m in device.got] == [{"up_to": 5}])


async def test_a_restarted_consumer_gets_what_was_not_acknowledged() -> None:
    """mosquitto reads one packet a turn, and a new connection that takes the session over throws away what it has not
    read of the old one: acknowledgements among it. So the test waits until the broker has read them.
    """
    first, second = MemoryIntake(manual=True), MemoryIntake()
    async with Mosquitto() as broker:
        with connected(broker.port, "d1") as device:
            async with consuming(broker, first) as consumer:
                for number in range(30):
                    device.client.publish("wangge/v1/d1/fix", b'{"seq": %d}' % number, qos=1)
                await until(lambda: len(first.waiting) == 30)
                first.commit(first.waiting[:10])
                marker = consumer._client.publish("wangge/v1/d1/task", b"after the acknowledgements", qos=1)
                await until(marker.is_published)
            for number in range(30, 40):
                device.client.publish("wangge/v1/d1/fix", b'{"seq": %d}' % number, qos=1)
            async with consuming(broker, second):
                await until(lambda: len(second.stored) == 30)
            assert numbers_of(first) | numbers_of(second) == set(range(40))
            assert numbers_of(first) & numbers_of(second) == set()


async def test_never_acknowledges_on_another_connection() -> None:
    """Packet ids of a lost connection mean nothing on the next one: what came before is not acknowledged there."""
    intake, after = MemoryIntake(manual=True), MemoryIntake()
    async with Mosquitto() as broker:
        async with consuming(broker, intake) as consumer:
            consumer._client.reconnect_delay_set(1, 1)
            with connected(broker.port, "d1") as device:
                for number in range(5):
                    device.client.publish("wangge/v1/d1/fix", b'{"seq": %d}' % number, qos=1)
                await until(lambda: len(intake.waiting) == 5)
                await until(lambda: broker.saved_bytes() > 900)
            broker.kill()
            await broker.start()
            await until(lambda: len(intake.waiting) == 10, 15)
            intake.commit(intake.waiting[:5])
            assert consumer.stats.stored == 5
            await asyncio.sleep(0.1)
        async with consuming(broker, after):
            await until(lambda: numbers_of(after) == set(range(5)))


async def test_group_shares_the_messages() -> None:
    one, two = MemoryIntake(), MemoryIntake(seed=2)
    async with (
        Mosquitto() as broker,
        consuming(broker, one, broker_group="g", broker_client_id="w1"),
        consuming(broker, two, broker_group="g", broker_client_id="w2"),
    ):
        with connected(broker.port, "d1") as device:
            for number in range(200):
                device.client.publish("wangge/v1/d1/fix", b'{"seq": %d}' % number, qos=1)
            await until(lambda: len(one.stored) + len(two.stored) == 200)
            assert numbers_of(one) | numbers_of(two) == set(range(200))
            assert one.stored
            assert two.stored


async def test_drain_acknowledges_what_is_under_way() -> None:
    intake = MemoryIntake(manual=True)
    async with Mosquitto() as broker, consuming(broker, intake) as consumer:
        with connected(broker.port, "d1") as device:
            device.client.publish("wangge/v1/d1/fix", b'{"seq": 1}', qos=1)
            await until(lambda: len(intake.waiting) == 1)
            draining = asyncio.ensure_future(consumer.drain(5))
            await asyncio.sleep(0.05)
            device.client.publish("wangge/v1/d1/fix", b'{"seq": 2}', qos=1)
            await until(lambda: len(device.acked) == 2)
            intake.commit()
            assert await draining
            assert consumer.stats.messages == 1
        again = MemoryIntake()
        async with consuming(broker, again):
            await until(lambda: again.payloads() == [b'{"seq": 2}'])


@pytest.mark.parametrize("url", ["", "http://x", "mqtt://", "broker:1883"])
def test_unusable_url(url: str) -> None:
    with pytest.raises(ConfigurationError, match="broker_url"):
        Consumer(MqttSettings(broker_url=url), MemoryIntake(), RealClock(), MemoryLedger())


def test_api_of_paho_is_the_one_we_use() -> None:
    assert isinstance(Paho("d1").client, paho.Client)
