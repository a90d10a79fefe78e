"""Connections over time: take-over, keep alive, wills, kept sessions, retained messages, drain, TLS."""

import asyncio
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ingest.mqtt import Downlink, Reason, SessionRecord, Will, codec
from ingest.mqtt.codec import Acknowledge, Bare, Connack, Publish
from tests.ingest.mqtt.conftest import House, HouseMaker
from tests.ingest.mqtt.double import FakeClock, MemoryIntake, MemoryStore
from tests.ingest.mqtt.raw import Raw, fix, puback, until

WILL: dict[str, Any] = {"will_topic": "wangge/v1/d1/state", "will_payload": b"off", "will_qos": 1, "will_retain": True}


def wills(made: House) -> list[tuple[str, bytes, bool]]:
    return [(m.topic, m.payload, m.retain) for m in made.intake.stored if m.kind == "state"]


THE_WILL = [("wangge/v1/d1/state", b"off", True)]


async def test_take_over_by_the_same_client_id(house: HouseMaker) -> None:
    async with house() as made, await Raw.open(made.port) as old, await Raw.open(made.port) as new:
        await old.hello("d1", **WILL)
        async with await Raw.open(made.port) as stranger, await Raw.open(made.port) as sibling:
            await stranger.hello("d2")
            await sibling.hello("d1", "other")
            await new.hello("d1")
            assert await old.ended() == b""
            for client in (new, stranger, sibling):
                await client.ping()
        await until(lambda: wills(made) == THE_WILL)
        assert made.listener.stats.takeovers == 1
        assert ("disconnected", "d1", "c", "taken_over") in made.notes.events


async def test_take_over_while_the_old_has_unstored_messages(house: HouseMaker) -> None:
    async with house(intake=MemoryIntake(manual=True)) as made:
        async with await Raw.open(made.port) as old:
            await old.hello("d1")
            old.send(*(fix("d1", i) for i in range(1, 61)))
            await until(lambda: len(made.intake.waiting) == 60)
        async with await Raw.open(made.port) as new:
            await new.hello("d1")
            new.send(*(fix("d1", i, dup=True) for i in range(1, 61)))
            await until(lambda: len(made.intake.waiting) == 100)
            await new.silent()
            assert len(made.intake.waiting) == 100
            made.intake.commit()
            await until(lambda: len(made.intake.waiting) == 20)
            made.intake.commit()
            assert [await new.expect() for _ in range(60)] == [puback(i) for i in range(1, 61)]
            assert made.listener.link_of(made.intake.device("d1")).in_flight == 0


async def test_take_over_while_the_older_is_still_judged(house: HouseMaker) -> None:
    async with house() as made:
        clients = [await Raw.open(made.port) for _ in range(5)]
        answers = await asyncio.gather(
            *(c.hello("slow1", clean=False) for c in clients), return_exceptions=True
        )  # fmt: skip
        good = [c for c, answer in zip(clients, answers, strict=True) if isinstance(answer, Connack)]
        await until(lambda: made.listener.stats.connections == 1)
        alive = 0
        for client in good:
            try:
                await client.ping()
                alive += 1
            except (EOFError, ConnectionError):
                pass
        assert alive == 1
        for client in clients:
            client.cut()


async def test_connect_time_out(house: HouseMaker) -> None:
    clock = FakeClock()
    async with house(clock=clock) as made, await Raw.open(made.port) as client:
        await until(lambda: made.listener.stats.connections == 1)
        client.send(b"\x10")
        clock.now += 9.9
        made.listener.sweep()
        await client.silent()
        clock.now += 0.2
        made.listener.sweep()
        assert await client.ended() == b""
        assert made.listener.stats.closed == {"connect_timeout": 1}


@pytest.mark.parametrize(("keep_alive_s", "limit_s"), [(20, 30.0), (1, 1.5), (0, 600.0)])
async def test_keep_alive(house: HouseMaker, keep_alive_s: int, limit_s: float) -> None:
    clock = FakeClock()
    async with house(clock=clock) as made, await Raw.open(made.port) as client:
        await client.hello("d1", keep_alive_s=keep_alive_s, **WILL)
        for _ in range(3):
            clock.now += limit_s - 0.1
            made.listener.sweep()
            await client.ping()
        clock.now += limit_s - 0.1
        client.send(b"\xc0")
        await asyncio.sleep(0.02)
        clock.now += 0.2
        made.listener.sweep()
        await client.ended()
        await until(lambda: wills(made) == THE_WILL)
        assert made.listener.stats.keepalive_timeouts == 1


async def test_keep_alive_does_not_count_while_we_do_not_read(house: HouseMaker) -> None:
    clock = FakeClock()
    async with house(clock=clock, intake=MemoryIntake(manual=True)) as made, await Raw.open(made.port) as client:
        await client.hello("d1", keep_alive_s=10)
        client.send(*(fix("d1", i) for i in range(1, 151)))
        await until(lambda: made.listener.stats.paused == 1)
        clock.now += 3600
        made.listener.sweep()
        made.intake.commit()
        await until(lambda: len(made.intake.waiting) == 50)
        made.listener.sweep()
        made.intake.commit()
        assert [await client.expect() for _ in range(150)] == [puback(i) for i in range(1, 151)]
        clock.now += 16
        made.listener.sweep()
        await client.ended()


async def test_disconnect_discards_the_will_and_a_cut_publishes_it(house: HouseMaker) -> None:
    async with house() as made:
        for last, expected in ((Bare(codec.DISCONNECT), []), (b"", THE_WILL), (b"\0\0", THE_WILL)):
            made.intake.stored.clear()
            async with await Raw.open(made.port) as client:
                await client.hello("d1", **WILL)
                client.send(last)
                if last:
                    await client.ended()
            await until(lambda: made.listener.stats.connections == 0)
            await asyncio.sleep(0.05)
            assert wills(made) == expected


async def test_a_will_waits_for_room(house: HouseMaker) -> None:
    async with house(intake=MemoryIntake(manual=True, capacity=1)) as made, await Raw.open(made.port) as one:
        await one.hello("d2")
        one.send(fix("d2", 1))
        await until(lambda: len(made.intake.waiting) == 1)
        for _ in range(3):
            async with await Raw.open(made.port) as client:
                await client.hello("d1", **WILL)
            await until(lambda: made.listener.stats.connections == 1)
        made.intake.commit()
        await until(lambda: [m.kind for m in made.intake.waiting] == ["state"])
        made.intake.commit()
        assert await one.expect() == puback(1)
        assert wills(made) == THE_WILL


class TestKeptSessions:
    async def test_subscriptions_and_unacknowledged_survive(self, house: HouseMaker) -> None:
        store = MemoryStore()
        async with house(store=store) as made:
            key = made.intake.device("d1").key
            async with await Raw.open(made.port) as client:
                assert await client.hello("d1", clean=False) == Connack(False, 0)
                await client.subscribe("wangge/v1/d1/task")
                for text in (b"one", b"two", b"three"):
                    made.listener.send(key, "wangge/v1/d1/task", text, message_id=text.decode())
                first = await client.message()
                two = await client.message(ack=False)
                await until(lambda: ("delivered", "d1", "one") in made.notes.events)
            await until(lambda: made.listener.stats.connections == 0)
            assert first.payload == b"one"
        async with house(store=store) as made, await Raw.open(made.port) as client:
            assert await client.hello("d1", clean=False) == Connack(True, 0)
            again = await client.message()
            assert (again.payload, again.packet_id, again.dup, again.retain) == (b"two", two.packet_id, True, False)
            assert (await client.message()).payload == b"three"
            assert made.listener.send(key, "wangge/v1/d1/task", b"four")
            assert (await client.message()).payload == b"four"

    async def test_queued_messages_survive_too(self, house: HouseMaker) -> None:
        async with house(downlink_in_flight=1) as made:
            key = made.intake.device("d1").key
            async with await Raw.open(made.port) as client:
                await client.hello("d1", clean=False)
                await client.subscribe("wangge/v1/d1/task")
                for number in range(4):
                    made.listener.send(key, "wangge/v1/d1/task", b"%d" % number)
                await client.message(ack=False)
                await client.silent()
            await until(lambda: made.listener.stats.connections == 0)
            async with await Raw.open(made.port) as client:
                await client.hello("d1", clean=False)
                assert [(await client.message()).payload for _ in range(4)] == [b"0", b"1", b"2", b"3"]

    async def test_clean_session_forgets(self, house: HouseMaker) -> None:
        async with house() as made:
            for clean, present in ((False, False), (False, True), (True, False), (False, False)):
                async with await Raw.open(made.port) as client:
                    assert await client.hello("d1", clean=clean) == Connack(present, 0)
                    client.send(Bare(codec.DISCONNECT))
                    await client.ended()
            async with await Raw.open(made.port) as client:
                assert await client.hello("d2", clean=False) == Connack(False, 0)

    async def test_a_will_left_by_a_killed_service_is_published(self, house: HouseMaker) -> None:
        store = MemoryStore()
        key = MemoryIntake().device("d1").key
        left = Will("wangge/v1/d1/state", b"off", 1, True)
        store.save(SessionRecord(key, "c", {}, will=left), 1.0)
        async with house(store=store) as made, await Raw.open(made.port) as client:
            await client.hello("d1", clean=False)
            await until(lambda: wills(made) == THE_WILL)
            assert store.sessions[key, "c"].will is None

    async def test_the_will_is_kept_with_the_open_session(self, house: HouseMaker) -> None:
        async with house() as made, await Raw.open(made.port) as client:
            await client.hello("d1", clean=False, **WILL)
            key = made.intake.device("d1").key
            assert made.store.sessions[key, "c"].will == Will("wangge/v1/d1/state", b"off", 1, True)
            client.send(Bare(codec.DISCONNECT))
            await client.ended()
            assert made.store.sessions[key, "c"].will is None


async def test_retained_downlink(house: HouseMaker) -> None:
    async with house() as made, await Raw.open(made.port) as client:
        key, topic = made.intake.device("d1").key, "wangge/v1/d1/task"
        await client.hello("d1")
        assert not made.listener.send(key, topic, b"kept", retain=True)
        assert await client.subscribe(topic) == 1
        packet = await client.message()
        assert (packet.payload, packet.retain) == (b"kept", True)
        assert made.listener.send(key, topic, b"newer", retain=True)
        packet = await client.message()
        assert (packet.payload, packet.retain) == (b"newer", False)
        await client.subscribe("wangge/v1/d1/#", 0, 2)
        packet = await client.message()
        assert (packet.payload, packet.retain) == (b"newer", True)
        made.listener.send(key, topic, b"", retain=True)
        assert (await client.message()).payload == b""
        await client.subscribe(topic, 1, 3)
        await client.silent()


async def test_retained_state_reaches_the_intake(house: HouseMaker) -> None:
    async with house() as made, await Raw.open(made.port) as client:
        await client.hello("d1")
        client.send(Publish("wangge/v1/d1/state", b'{"online": true}', 1, 1, retain=True))
        client.send(Publish("wangge/v1/d1/state", b"", 1, 2, retain=True))
        await client.expect()
        await client.expect()
        assert sorted(wills(made)) == [
            ("wangge/v1/d1/state", b"", True),
            ("wangge/v1/d1/state", b'{"online": true}', True),
        ]


class TestDrain:
    async def test_waits_for_acknowledgements_and_publishes_wills(self, house: HouseMaker) -> None:
        async with house(intake=MemoryIntake(manual=True)) as made, await Raw.open(made.port) as client:
            await client.hello("d1", **WILL)
            client.send(fix("d1", 1))
            await until(lambda: len(made.intake.waiting) == 1)
            draining = asyncio.ensure_future(made.listener.drain(5.0))
            await asyncio.sleep(0.05)
            client.send(fix("d1", 2))
            await asyncio.sleep(0.05)
            made.intake.commit()
            await until(lambda: [m.kind for m in made.intake.waiting] == ["state"])
            made.intake.commit()
            assert await client.expect() == puback(1)
            assert await client.ended() == b""
            client.cut()
            assert await draining
            assert wills(made) == THE_WILL
            assert made.listener.stats.messages == 1

    async def test_gives_up_at_the_deadline_and_acknowledges_nothing(self, house: HouseMaker) -> None:
        async with house(intake=MemoryIntake(manual=True)) as made, await Raw.open(made.port) as client:
            await client.hello("d1")
            client.send(fix("d1", 1))
            await until(lambda: len(made.intake.waiting) == 1)
            assert not await made.listener.drain(0.2)
            assert await client.ended() == b""

    async def test_nobody_gets_in(self, house: HouseMaker) -> None:
        async with house() as made:
            assert await made.listener.drain(1.0)
            with pytest.raises(ConnectionRefusedError):
                await Raw.open(made.port)


async def test_too_many_connections(house: HouseMaker) -> None:
    async with house(max_connections=1) as made, await Raw.open(made.port) as one:
        await one.hello("d1")
        async with await Raw.open(made.port) as two:
            assert await two.ended() == b""
        await one.ping()
        assert made.listener.stats.closed["full"] == 1


async def test_operator_who_does_not_keep_up_is_closed(house: HouseMaker) -> None:
    async with house(downlink_in_flight=2, downlink_queued=3) as made, await Raw.open(made.port) as client:
        await client.hello("op1")
        await client.subscribe("wangge/v1/events/#")
        for _ in range(7):
            made.listener.broadcast("wangge/v1/events/a/b", b"{}", lambda who: True)
        await client.ended()
        assert made.listener.stats.closed == {Reason.SLOW_READER: 1}


async def test_idle_devices_are_forgotten(house: HouseMaker) -> None:
    clock = FakeClock()
    async with house(clock=clock) as made:
        async with await Raw.open(made.port) as client:
            await client.hello("d1")
            client.send(fix("d1", 1))
            await client.expect()
        await until(lambda: made.listener.stats.connections == 0)
        clock.now += 61
        made.listener.sweep()
        assert not made.listener._links


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "server.crt", folder / "server.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    extra = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *extra], check=True, capture_output=True)
    return cert, key


class TestTls:
    async def test_publish_and_end_without_notify(self, house: HouseMaker, pem: tuple[Path, Path]) -> None:
        trust = ssl.create_default_context(cafile=pem[0])
        async with house(tls_cert=str(pem[0]), tls_key=str(pem[1])) as made:
            async with await Raw.open(made.port, trust) as client:
                await client.hello("d1", **WILL)
                client.send(*(fix("d1", i, b"x" * 200) for i in range(1, 501)))
                assert [await client.expect() for _ in range(500)] == [puback(i) for i in range(1, 501)]
            await until(lambda: wills(made) == THE_WILL)
            assert made.listener.stats.connections == 0

    async def test_plain_bytes_and_silence_do_no_harm(self, house: HouseMaker, pem: tuple[Path, Path]) -> None:
        trust = ssl.create_default_context(cafile=pem[0])
        async with house(tls_cert=str(pem[0]), tls_key=str(pem[1]), connect_timeout_s=1) as made:
            async with await Raw.open(made.port) as plain, await Raw.open(made.port) as silent:
                plain.send(b"GET / HTTP/1.1\r\n\r\n")
                await plain.ended()
                await silent.ended()
            async with await Raw.open(made.port, trust) as client:
                assert await client.hello("d1") == Connack(False, 0)
                client.send(Acknowledge(codec.PUBREL, 1))
                assert await client.expect() == Acknowledge(codec.PUBCOMP, 1)


def test_downlink_default_is_not_retained() -> None:
    assert not Downlink("t", b"", 1).retain
