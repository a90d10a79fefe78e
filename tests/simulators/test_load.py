"""The load generator against mosquitto: all acknowledged, figures that add up, refusals said."""

import asyncio

import msgspec
import pytest

from simulators.errors import SimulatorError
from simulators.load import load
from tests.simulators.conftest import free_port, serving
from tests.simulators.test_mqtt_pool import Listener, until

BASE_MS = 1_764_000_000_000


@pytest.mark.parametrize(("window", "array", "messages"), [(20, 0, 5003), (1, 0, 200), (7, 25, 400), (200, 0, 3)])
async def test_every_message_is_acknowledged_and_unique(broker: int, window: int, array: int, messages: int) -> None:
    devices = [(f"load-{window}-{array}-{i}", "t") for i in range(8)]
    with Listener(broker) as listener:
        report = await load(
            "127.0.0.1", broker, devices, messages=messages, window=window, array=array, base_ms=BASE_MS
        )
        fixes = messages * max(1, array)
        assert (report.messages, report.fixes, report.connections) == (messages, fixes, 8)
        await until(lambda: sum(len(listener.keys(d)) for d, _ in devices) == fixes)
        for device, _ in devices:
            keys = listener.keys(device)
            assert keys == list(range(BASE_MS, BASE_MS + len(keys)))
    assert report.messages_per_s == pytest.approx(messages / report.seconds)
    assert 0 < report.ack_p50_s <= report.ack_p99_s <= report.ack_max_s <= report.seconds
    assert report.last_fixed_at_ms == BASE_MS + -(-messages // 8) * max(1, array) - 1


async def test_more_messages_than_packet_ids(broker: int) -> None:
    report = await load("127.0.0.1", broker, [("load-wrap", "t")], messages=70_000, window=100, base_ms=BASE_MS)
    assert report.messages == 70_000


async def test_the_topic_is_free(broker: int) -> None:
    with Listener(broker) as listener:
        await load("127.0.0.1", broker, [("x%y", "t")], messages=2, base_ms=BASE_MS, topic="wangge/other%/{device}")
        await until(lambda: len(listener.heard) >= 2)
        topics = {topic for topic, _, retained in listener.heard if not retained}
        assert topics == {"wangge/other%/x%y"}
        assert all(msgspec.json.decode(p)["lat"] for _, p, retained in listener.heard if not retained)


async def test_nobody_there_and_refused() -> None:
    with pytest.raises(SimulatorError, match="cannot connect"):
        await load("127.0.0.1", free_port(), [("a", "t")], messages=1, base_ms=BASE_MS)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\x20\x02\x00\x04")
        await reader.read()

    async with serving(refuse) as port:
        with pytest.raises(SimulatorError, match="was refused"):
            await load("127.0.0.1", port, [("a", "t")], messages=1, base_ms=BASE_MS)


async def test_a_server_that_goes_away_or_lies_is_noticed() -> None:
    answers = [b"", b"\x40\x02\x00\x02"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"t")
        writer.write(b"\x20\x02\x00\x00")
        await reader.readuntil(b"}")
        writer.write(answers.pop(0))

    async with serving(serve) as port:
        with pytest.raises(SimulatorError, match="was closed after 0"):
            await load("127.0.0.1", port, [("a", "t")], messages=5, base_ms=BASE_MS)
        with pytest.raises(SimulatorError, match="not acknowledged in the order"):
            await load("127.0.0.1", port, [("a", "t")], messages=5, base_ms=BASE_MS)


async def test_times_have_thirteen_digits() -> None:
    with pytest.raises(SimulatorError, match="13 digits"):
        await load("127.0.0.1", 1, [("a", "t")], messages=5, base_ms=1)
