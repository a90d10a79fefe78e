"""The session without a socket: any split of the bytes, order of acknowledgements, QoS 2, down-link."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.mqtt import Device, Downlink, SessionRecord, codec, complete
from ingest.mqtt.codec import Acknowledge, Bare, Connack, Connect, Packet, Publish, Suback, Subscribe, encode
from ingest.mqtt.link import Link
from ingest.mqtt.outbox import Outbox
from ingest.mqtt.session import Phase, Reason, Session, SessionLimits
from tests.ingest.mqtt.raw import fix, puback
from tests.ingest.mqtt.test_codec import decode_all

DEVICE = Device("d1", 1, "handset")
HELLO = Connect("c", user="d1", password=b"right")


class Owner:
    """Stands where the connection stands."""

    def __init__(self) -> None:
        self.session = Session(self, SessionLimits(downlink_in_flight=3, downlink_queued=5))

    def settle(self) -> None:
        self.session.settle()

    def open(self, connect: Connect = HELLO, record: SessionRecord | None = None) -> Session:
        session = self.session
        session.receive(encode(connect), 0, 0)
        assert session.connect == connect
        session.accept(DEVICE, connect, record)
        return session

    def said(self) -> list[Packet]:
        out, self.session.out = self.session.out, []
        return decode_all(b"".join(out))


STREAM = b"".join(
    encode(packet)
    for packet in (
        fix("d1", 1, b"one"), fix("d1", 0, b"two", 0), Bare(codec.PINGREQ), fix("d1", 2, b"x" * 300),
        Subscribe(9, (("wangge/v1/d1/task", 2), ("#", 0))), fix("d1", 3, b"", 2), fix("d1", 4, b"\xef\xbb\xbf{}"),
        Acknowledge(codec.PUBACK, 77), fix("d1", 5, b"y" * 200, leaf="pos"),
    )
)  # fmt: skip


def feed(pieces: list[bytes], room: int) -> tuple[list[tuple[str, bytes]], list[Packet]]:
    owner = Owner()
    session = owner.open()
    messages = []
    for piece in pieces:
        part = session.receive(piece, room, 0)
        messages += part
        while session.stalled:
            part = session.receive(b"", room, 0)
            assert len(part) <= room
            messages += part
    assert session.closing is None
    return [(m.topic, m.payload) for m in messages], owner.said()


WHOLE = feed([STREAM], 100)


@settings(deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=30), st.integers(1, 4))
def test_any_split_gives_the_same(cuts: list[int], room: int) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert feed([STREAM[a:b] for a, b in itertools.pairwise(edges)], room) == WHOLE


def test_byte_by_byte() -> None:
    assert feed([STREAM[i : i + 1] for i in range(len(STREAM))], 1) == WHOLE
    assert [payload for _, payload in WHOLE[0]] == [b"one", b"two", b"x" * 300, b"", b"\xef\xbb\xbf{}", b"y" * 200]
    assert WHOLE[1] == [Connack(False, 0), Bare(codec.PINGRESP), Suback(9, (1, 0x80))]


@settings(deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_never_raise(data: bytes, is_open: bool) -> None:
    owner = Owner()
    session = owner.open() if is_open else owner.session
    session.receive(data, 10, 0)
    assert session.closing is not None or session.receive(b"", 10, 0) == []


@settings(deadline=None)
@given(st.permutations(range(6)), st.lists(st.integers(1, 3), min_size=1))
def test_acknowledgements_leave_in_order_received(order: list[int], sizes: list[int]) -> None:
    owner = Owner()
    session = owner.open()
    qos = [1, 2, 0, 1, 1, 2]
    messages = session.receive(b"".join(encode(fix("d1", i + 1, qos=qos[i])) for i in range(6)), 6, 0)
    owner.said()
    heard: list[int] = []
    finished: set[int] = set()
    for size in sizes * 6:
        batch, order = order[:size], order[size:]
        complete([messages[i] for i in batch])
        finished |= set(batch)
        heard += [p.packet_id - 1 for p in owner.said() if isinstance(p, Acknowledge)]
        prefix = next((i for i in range(6) if i not in finished), 6)
        assert heard == [i for i in range(prefix) if qos[i]]


def test_second_connect_closes() -> None:
    session = Owner().open()
    session.receive(encode(HELLO), 1, 0)
    assert session.closing is Reason.MALFORMED


@pytest.mark.parametrize("packet", [Bare(codec.PINGREQ), fix("d1", 1), Bare(codec.DISCONNECT), Connack(False, 0)])
def test_first_packet_must_be_connect(packet: Packet) -> None:
    owner = Owner()
    owner.session.receive(encode(packet), 1, 0)
    assert owner.session.closing is Reason.MALFORMED
    assert not owner.session.out


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (Connect("c", level=5, user="d1", password=b"x"), 1), (Connect("c", level=3, user="d1", password=b"x"), 1),
        (Connect("", clean=False, user="d1", password=b"x"), 2), (Connect("c"), 4), (Connect("c", user="d1"), 4),
    ],
)  # fmt: skip
def test_refused_connects(packet: Connect, code: int) -> None:
    owner = Owner()
    owner.session.receive(encode(packet), 1, 0)
    assert owner.said() == [Connack(False, code)]
    assert owner.session.closing is Reason.REFUSED


def test_packets_after_connect_wait_for_the_judgement() -> None:
    owner = Owner()
    session = owner.session
    assert session.receive(encode(HELLO) + encode(fix("d1", 1, b"early")), 5, 0) == []
    assert session.phase is Phase.JOINING
    session.accept(DEVICE, HELLO, None)
    assert [m.payload for m in session.receive(b"", 5, 0)] == [b"early"]


def test_messages_before_a_malformed_packet_count() -> None:
    session = Owner().open()
    messages = session.receive(encode(fix("d1", 1)) + b"\x00\x00", 5, 0)
    assert len(messages) == 1
    assert session.closing is Reason.MALFORMED


def test_foreign_topic_closes() -> None:
    session = Owner().open()
    messages = session.receive(encode(fix("d1", 1)) + encode(fix("d2", 2)) + encode(fix("d1", 3)), 5, 0)
    assert len(messages) == 1
    assert (session.closing, session.detail) == (Reason.FORBIDDEN_TOPIC, "wangge/v1/d2/fix")


class TestQos2:
    def test_handshake(self) -> None:
        owner = Owner()
        session = owner.open()
        [message] = session.receive(encode(fix("d1", 7, qos=2)), 5, 0)
        owner.said()
        assert session.receive(encode(fix("d1", 7, qos=2, dup=True)), 5, 0) == []
        assert owner.said() == []
        complete([message])
        assert owner.said() == [Acknowledge(codec.PUBREC, 7)]
        assert session.receive(encode(fix("d1", 7, qos=2, dup=True)), 5, 0) == []
        assert owner.said() == [Acknowledge(codec.PUBREC, 7)]
        session.receive(encode(Acknowledge(codec.PUBREL, 7)), 5, 0)
        assert owner.said() == [Acknowledge(codec.PUBCOMP, 7)]
        assert len(session.receive(encode(fix("d1", 7, qos=2)), 5, 0)) == 1

    def test_pubrel_before_the_commit_is_no_way_to_an_acknowledgement(self) -> None:
        owner = Owner()
        session = owner.open()
        session.receive(encode(fix("d1", 7, qos=2)) + encode(Acknowledge(codec.PUBREL, 7)), 5, 0)
        assert session.closing is Reason.MALFORMED
        assert Acknowledge(codec.PUBCOMP, 7) not in owner.said()

    def test_pubrel_of_an_earlier_connection_is_answered(self) -> None:
        owner = Owner()
        owner.open().receive(encode(Acknowledge(codec.PUBREL, 9)), 5, 0)
        assert owner.said()[-1] == Acknowledge(codec.PUBCOMP, 9)


class TestDownlink:
    def test_needs_a_subscription_and_takes_the_lower_qos(self) -> None:
        owner = Owner()
        session = owner.open()
        message = Downlink("wangge/v1/d1/task", b"t", 1)
        assert not session.send(message)
        session.receive(encode(Subscribe(1, (("wangge/v1/d1/task", 0),))), 5, 0)
        owner.said()
        assert session.send(message)
        session.release()
        assert owner.said() == [Publish("wangge/v1/d1/task", b"t", 0)]
        session.receive(encode(Subscribe(2, (("wangge/v1/d1/+", 1),))), 5, 0)
        owner.said()
        assert session.send(message)
        session.release()
        assert owner.said() == [Publish("wangge/v1/d1/task", b"t", 1, 1)]

    def test_restored_session_sends_again_with_dup_and_same_ids(self) -> None:
        owner = Owner()
        one, two, three = (Downlink("wangge/v1/d1/task", bytes([n]), 1) for n in range(3))
        record = SessionRecord(1, "c", {"wangge/v1/d1/#": 1}, ((41, one), (65535, two)), (three,))
        session = owner.open(Connect("c", clean=False, user="d1", password=b"x"), record)
        session.release()
        assert owner.said() == [
            Connack(True, 0), Publish(one.topic, b"\0", 1, 41, dup=True), Publish(one.topic, b"\1", 1, 65535, dup=True),
            Publish(one.topic, b"\2", 1, 1),
        ]  # fmt: skip
        session.receive(encode(puback(41)), 5, 0)
        assert session.delivered == [one]
        assert session.record().in_flight == ((65535, two), (1, three))

    def test_outbox_is_bounded_and_never_reuses_an_id_in_flight(self) -> None:
        outbox = Outbox(window=2, capacity=3)
        messages = [Downlink("t", bytes([n]), 1, message_id=str(n)) for n in range(6)]
        assert [outbox.push(m) for m in messages] == [True, True, True, False, False, False]
        assert len(outbox.release()[0]) == 2
        assert list(outbox.in_flight) == [1, 2]
        outbox.acked(2)
        for _ in range(70_000):
            outbox.push(messages[3])
            outbox.release()
            newest = next(reversed(outbox.in_flight))
            assert newest != 1
            outbox.acked(newest)
        assert outbox.in_flight[1] == messages[0]
        assert outbox.acked(60_000) is None


def test_subscriptions_are_bounded() -> None:
    owner = Owner()
    session = owner.open()
    session.receive(encode(Subscribe(1, tuple((f"wangge/v1/d1/{n}", 1) for n in range(70)))), 5, 0)
    assert owner.said()[-1] == Suback(1, (1,) * 64 + (0x80,) * 6)


def test_link_shares_window_and_rate() -> None:
    link = Link(Device("d", 1, "handset", window=10), rate=5.0, burst=20.0, now=0.0)
    assert link.room(0.0) == 10
    link.take(10)
    assert link.room(0.0) == 0
    assert link.window_is_full()
    link.in_flight = 0
    assert link.room(0.0) == 10
    link.take(10)
    link.in_flight = 0
    assert link.room(0.0) == 0
    assert not link.window_is_full()
    assert link.room(1.0) == 5
    assert not link.is_idle(1.0)
    assert link.is_idle(10.0)
    link.hold(2.0, 10.0)
    assert link.room(10.0) < 0
    assert link.room(12.4) == 2
