"""The live listener and raw sockets: connect phase, acknowledgements, limits, traps."""

import asyncio
import random
import struct
from typing import Any

import pytest

from ingest.mqtt import codec
from ingest.mqtt.codec import Acknowledge, Bare, Connack, Connect, Publish, Subscribe, Unsubscribe, encode
from tests.ingest.mqtt.conftest import HouseMaker
from tests.ingest.mqtt.double import FakeClock, MemoryIntake, MemoryStore
from tests.ingest.mqtt.raw import Raw, fix, puback, until


async def test_publish_is_acknowledged_after_the_commit(house: HouseMaker) -> None:
    async with house(intake=MemoryIntake(manual=True)) as made, await Raw.open(made.port) as client:
        assert await client.hello("d1") == Connack(False, 0)
        client.send(fix("d1", 5, b"a"), fix("d1", 6, b"b"), fix("d1", 0, b"c", 0), fix("d1", 7, b"d"))
        await until(lambda: len(made.intake.waiting) == 4)
        await client.silent()
        made.intake.commit(made.intake.waiting[1:])
        await client.silent()
        made.intake.commit()
        assert [await client.expect() for _ in range(3)] == [puback(5), puback(6), puback(7)]
        assert made.listener.stats.stored == made.listener.stats.messages == 4
        assert made.listener.stats.acks == 3


async def test_order_under_random_commits(house: HouseMaker) -> None:
    async with house() as made, await Raw.open(made.port) as client:
        await client.hello("d1")
        ids = list(range(1, 2001))
        client.send(b"".join(encode(fix("d1", i, b"%d" % i)) for i in ids))
        assert [await client.expect() for _ in ids] == [puback(i) for i in ids]
        assert sorted(map(int, made.intake.payloads())) == ids
        assert made.intake.most_waiting <= 100


async def test_window_is_shared_by_the_connections_of_a_device(house: HouseMaker) -> None:
    async with (
        house(intake=MemoryIntake(manual=True)) as made,
        await Raw.open(made.port) as one,
        await Raw.open(made.port) as two,
    ):
        await one.hello("d1", "one")
        await two.hello("d1", "two")
        for client in (one, two):
            client.send(b"".join(encode(fix("d1", i)) for i in range(1, 91)))
        await until(lambda: len(made.intake.waiting) == 100)
        await one.silent()
        assert len(made.intake.waiting) == 100
        await until(lambda: made.listener.stats.paused >= 1)
        while made.listener.stats.stored < 180:
            made.intake.commit()
            await asyncio.sleep(0.01)
        for client in (one, two):
            assert [await client.expect() for _ in range(90)] == [puback(i) for i in range(1, 91)]


async def test_full_lanes_hold_the_device_back_and_lose_nothing(house: HouseMaker) -> None:
    async with house(intake=MemoryIntake(capacity=7)) as made:
        clients = [await Raw.open(made.port) for _ in range(5)]
        for number, client in enumerate(clients):
            await client.hello(f"d{number}")
            client.send(b"".join(encode(fix(f"d{number}", i, b"%d" % i)) for i in range(1, 201)))
        for client in clients:
            assert [await client.expect() for _ in range(200)] == [puback(i) for i in range(1, 201)]
        assert made.intake.most_waiting <= 7
        for number in range(5):
            payloads = [int(m.payload) for m in made.intake.stored if m.device.device_id == f"d{number}"]
            assert sorted(payloads) == list(range(1, 201))
        for client in clients:
            client.cut()


async def test_rate_limit_reads_slower_and_drops_nothing(house: HouseMaker) -> None:
    clock = FakeClock()
    async with house(clock=clock, messages_per_s=10, burst_s=5) as made, await Raw.open(made.port) as client:
        await client.hello("d1")
        client.send(b"".join(encode(fix("d1", i)) for i in range(1, 81)))
        await until(lambda: made.listener.stats.stored == 50)
        await asyncio.sleep(0.15)
        assert made.listener.stats.messages == 50
        clock.now += 1.0
        await until(lambda: made.listener.stats.stored == 60)
        clock.now += 2.0
        assert [await client.expect() for _ in range(80)] == [puback(i) for i in range(1, 81)]
        made.listener.hold(made.intake.device("d1").key, 1.0)
        client.send(fix("d1", 90))
        await client.silent(0.15)
        clock.now += 1.2
        assert await client.expect() == puback(90)


async def test_qos2(house: HouseMaker) -> None:
    async with house() as made, await Raw.open(made.port) as client:
        await client.hello("d1")
        client.send(fix("d1", 3, b"x", 2))
        assert await client.expect() == Acknowledge(codec.PUBREC, 3)
        client.send(Acknowledge(codec.PUBREL, 3))
        assert await client.expect() == Acknowledge(codec.PUBCOMP, 3)
        assert made.intake.payloads() == [b"x"]


@pytest.mark.parametrize(
    ("user", "fields", "code"),
    [
        ("d1", {"password": b"wrong"}, 4), ("revoked1", {}, 5), ("d1", {"level": 5}, 1), (None, {"password": None}, 4),
        ("d1", {"client_id": "", "clean": False}, 2), ("d1", {"client_id": "x" * 2000}, 2),
        ("d1", {"will_topic": "wangge/v1/d2/state"}, 5),
    ],
)  # fmt: skip
async def test_refusals(house: HouseMaker, user: str | None, fields: dict[str, Any], code: int) -> None:
    async with house() as made, await Raw.open(made.port) as client:
        assert await client.hello(user, **fields) == Connack(False, code)
        assert await client.ended() == b""
        assert made.listener.stats.refused == {code: 1}
        assert made.listener.stats.accepted == 0


async def test_store_away_at_connect(house: HouseMaker) -> None:
    intake, store = MemoryIntake(), MemoryStore()
    intake.down = store.down = True
    cases: list[tuple[str, dict[str, Any]]] = [("slow1", {}), ("d1", {"clean": False})]
    async with house(intake=intake, store=store) as made:
        for user, fields in cases:
            async with await Raw.open(made.port) as client:
                assert await client.hello(user, **fields) == Connack(False, 3)
                await client.ended()


async def test_slow_judgement_keeps_what_came_early(house: HouseMaker) -> None:
    async with house() as made, await Raw.open(made.port) as client:
        client.send(Connect("c", user="slow1", password=b"right"), fix("slow1", 1), Bare(codec.PINGREQ))
        assert await client.expect() == Connack(False, 0)
        assert await client.expect() == Bare(codec.PINGRESP)
        assert await client.expect() == puback(1)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00", b"GET / HTTP/1.1\r\n\r\n", encode(Connect("c", user="d1", password=b"right")), b"\x82\x02\x00\x01",
        b"\x30\xff\xff\xff\xff\x01", b"\x32\xff\xff\xff\x7f", encode(Publish("wangge/v1/d1/#", b"")),
        b"\x60\x02\x00\x01",
        encode(Subscribe(1, (("a/#/b", 0),))), encode(Publish("\ufeffx\u0001", b"")), b"\x36\x07\x00\x03a/b\x00\x01",
    ],
)  # fmt: skip
async def test_what_closes_an_open_connection(house: HouseMaker, data: bytes) -> None:
    async with house() as made, await Raw.open(made.port) as client, await Raw.open(made.port) as other:
        await client.hello("d1")
        await other.hello("d2")
        client.send(data)
        assert await client.ended() == b""
        assert made.listener.stats.malformed + made.listener.stats.forbidden == 1
        await other.ping()


@pytest.mark.parametrize("topic", ["wangge/v1/d2/fix", "wangge/v1/d1/task", "x", "t" * 65535, "wangge/v1/events/a/b"])
async def test_foreign_topic_closes_and_is_reported(house: HouseMaker, topic: str) -> None:
    async with house() as made, await Raw.open(made.port) as client:
        await client.hello("d1")
        client.send(fix("d1", 1), Publish(topic, b"{}", 1, 2), fix("d1", 3))
        await client.ended()
        assert ("forbidden_topic", "d1", topic) in made.notes.events
        await until(lambda: len(made.intake.stored) == 1)


async def test_operators_never_publish(house: HouseMaker) -> None:
    async with house() as made, await Raw.open(made.port) as client:
        await client.hello("op1")
        client.send(Publish("wangge/v1/events/city/TRK-01", b"{}", 1, 2))
        await client.ended()
        assert made.listener.stats.forbidden == 1
    async with house() as made, await Raw.open(made.port) as client:
        assert await client.hello("op1", will_topic="wangge/v1/op1/state") == Connack(False, 5)


async def test_packet_size_limit(house: HouseMaker) -> None:
    async with house() as made, await Raw.open(made.port) as client:
        await client.hello("d1")
        client.send(fix("d1", 1, b"x" * ((1 << 20) - 24)))
        assert await client.expect() == puback(1)
        client.send(fix("d1", 2, b"x" * (1 << 20)))
        await client.ended()
        assert made.listener.stats.malformed == 1


async def test_subscribe_unsubscribe_and_downlink(house: HouseMaker) -> None:
    async with house() as made, await Raw.open(made.port) as client:
        listener, key = made.listener, made.intake.device("d1").key
        assert not listener.send(key, "wangge/v1/d1/task", b"none")
        await client.hello("d1")
        assert not listener.send(key, "wangge/v1/d1/task", b"unheard")
        client.send(Subscribe(3, (("wangge/v1/d1/task", 2), ("wangge/v1/d2/task", 1), ("#", 0), ("wangge/v1/d1/+", 0))))
        assert await client.expect() == codec.Suback(3, (1, 0x80, 0x80, 0))
        assert listener.send(key, "wangge/v1/d1/task", b"one", message_id="m1")
        assert listener.send(key, "wangge/v1/d1/task", b"again", message_id="m1")
        packet = await client.message(ack=False)
        assert packet == Publish("wangge/v1/d1/task", b"one", 1, packet.packet_id)
        assert ("delivered", "d1", "m1") not in made.notes.events
        client.send(puback(packet.packet_id))
        await until(lambda: ("delivered", "d1", "m1") in made.notes.events)
        client.send(Unsubscribe(4, ("wangge/v1/d1/task", "wangge/v1/d1/+")))
        assert await client.expect() == Acknowledge(codec.UNSUBACK, 4)
        assert not listener.send(key, "wangge/v1/d1/task", b"gone")


async def test_rejects_are_told(house: HouseMaker) -> None:
    async with house() as made, await Raw.open(made.port) as client:
        await client.hello("d1")
        await client.subscribe("wangge/v1/d1/#")
        client.send(fix("d1", 1, b"bad"))
        assert await client.expect() == puback(1)
        notice = await client.message()
        assert (notice.topic, notice.payload) == ("wangge/v1/d1/reject", b'{"count":1,"reasons":["not JSON"]}')
        client.send(fix("d1", 0, b"bad", 0))
        assert (await client.message()).topic == "wangge/v1/d1/reject"


async def test_operator_hears_events_in_scope(house: HouseMaker) -> None:
    async with house() as made, await Raw.open(made.port) as one, await Raw.open(made.port) as two:
        await one.hello("op1")
        await two.hello("op2")
        assert await one.subscribe("wangge/v1/events/#") == 1
        assert await two.subscribe("wangge/v1/events/city/#") == 1
        sent = made.listener.broadcast("wangge/v1/events/grid/TRK-01", b"{}", lambda who: who.device_id == "op1")
        assert sent == 1
        assert (await one.message()).topic == "wangge/v1/events/grid/TRK-01"
        hidden = made.listener.broadcast("wangge/v1/events/city/SEC-01", b"{}", lambda who: who.device_id == "op1")
        assert hidden == 1
        assert (await one.message()).topic == "wangge/v1/events/city/SEC-01"
        assert made.listener.broadcast("wangge/v1/events/city/VID-03", b"{}", lambda who: True) == 2
        assert (await two.message()).topic == "wangge/v1/events/city/VID-03"
        await two.silent()


async def test_revoked_credential_is_cut_at_once(house: HouseMaker) -> None:
    async with house() as made, await Raw.open(made.port) as client:
        await client.hello("d1")
        assert made.listener.disconnect(made.intake.device("d1").key) == 1
        assert await client.ended(1.0) == b""


async def test_peer_that_never_reads_is_closed(house: HouseMaker) -> None:
    async with house(write_buffer_bytes=4096, max_packet_bytes=1 << 20) as made, await Raw.open(made.port) as client:
        await client.hello("d1")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        pings = encode(Bare(codec.PINGREQ)) * 50_000
        for _ in range(400):
            client.writer.write(pings)
            await asyncio.sleep(0.002)
            if made.listener.stats.connections == 0:
                break
        await until(lambda: made.listener.stats.closed.get("slow_reader") == 1)


async def test_thousand_connections_at_once(house: HouseMaker) -> None:
    async with house() as made:
        clients = await asyncio.gather(*(Raw.open(made.port) for _ in range(1000)))

        async def work(number: int, client: Raw) -> None:
            assert await client.hello(f"d{number}") == Connack(False, 0)
            client.send(*(fix(f"d{number}", i, b"%d" % number) for i in (1, 2, 3)))
            assert [await client.expect(20) for _ in range(3)] == [puback(i) for i in (1, 2, 3)]

        await asyncio.gather(*(work(n, c) for n, c in enumerate(clients)))
        assert len(made.intake.stored) == 3000
        assert made.listener.stats.connections == 1000
        for client in clients:
            client.cut()
        await until(lambda: made.listener.stats.connections == 0)


async def test_mutated_packets_never_disturb_a_good_client(house: HouseMaker) -> None:
    seeds = [
        encode(Connect("c", user="d1", password=b"right", will_topic="wangge/v1/d1/state")), encode(fix("d1", 1, b"x")),
        encode(fix("d1", 2, b"y", 2)), encode(Subscribe(1, (("wangge/v1/d1/#", 1),))), encode(Bare(codec.PINGREQ)),
        encode(Unsubscribe(1, ("a",))), encode(puback(1)), encode(Acknowledge(codec.PUBREL, 2)),
    ]  # fmt: skip
    dice = random.Random(5)
    async with house() as made, await Raw.open(made.port) as good:
        await good.hello("good")
        for number in range(250):
            async with await Raw.open(made.port) as bad:
                if number % 2:
                    bad.send(seeds[0])
                for _ in range(20):
                    raw = bytearray(dice.choice(seeds))
                    for _ in range(dice.randint(1, 3)):
                        raw[dice.randrange(len(raw))] = dice.randrange(256)
                    bad.send(bytes(raw))
                await asyncio.sleep(0)
            if number % 10 == 0:
                good.send(fix("good", number + 1))
                assert await good.expect() == puback(number + 1)
        await good.ping()
        assert made.listener.stats.malformed > 10


async def test_reset_in_the_middle_of_a_packet(house: HouseMaker) -> None:
    async with house() as made, await Raw.open(made.port) as client:
        await client.hello("d1")
        client.send(fix("d1", 1), encode(fix("d1", 2, b"x" * 1000))[:500])
        assert await client.expect() == puback(1)
        sock = client.writer.get_extra_info("socket")
        sock.setsockopt(1, 13, struct.pack("ii", 1, 0))
        client.cut()
        await until(lambda: made.listener.stats.connections == 0)
        assert len(made.intake.stored) == 1
