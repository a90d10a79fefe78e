"""Packets: golden bytes, round trips, and nothing but DecodeError for anything else."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.errors import DecodeError
from ingest.mqtt import codec
from ingest.mqtt.codec import Acknowledge, Bare, Connack, Connect, Packet, Publish, Suback, Subscribe, Unsubscribe

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "mqtt" / "packets.json").read_text())


def decode_all(data: bytes, limit: int = codec.MAX_PACKET_BYTES) -> list[Packet]:
    packets, at = [], 0
    while at < len(data):
        start, end = codec.header(data, at, limit)
        if end > len(data):
            raise DecodeError("incomplete")
        packets.append(codec.decode(data, at, start, end))
        assert end > at
        at = end
    return packets


@pytest.mark.parametrize("case", GOLDEN["good"], ids=lambda case: case["name"])
def test_golden_packets_decode_and_encode(case: dict[str, object]) -> None:
    data = bytes.fromhex(str(case["hex"]))
    [packet] = decode_all(data)
    shown = {k: v.decode("latin-1") if isinstance(v, bytes) else v for k, v in packet.__rich_repr__()}
    assert json.loads(json.dumps({"packet": type(packet).__name__, **shown})) == case["value"]
    assert codec.encode(packet) == data


@pytest.mark.parametrize("case", GOLDEN["bad"], ids=lambda case: case["name"])
def test_golden_malformed_packets(case: dict[str, str]) -> None:
    with pytest.raises(DecodeError):
        decode_all(bytes.fromhex(case["hex"]))


_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
_TOPIC = st.text(st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), min_size=1, max_size=40)
_ID = st.integers(1, 65535)
_BLOB = st.binary(max_size=300)
_QOS = st.integers(0, 2)


@st.composite
def publishes(draw: st.DrawFn) -> Publish:
    qos = draw(_QOS)
    packet_id = draw(_ID) if qos else 0
    return Publish(draw(_TOPIC), draw(_BLOB), qos, packet_id, draw(st.booleans()), bool(qos) and draw(st.booleans()))


@st.composite
def connects(draw: st.DrawFn) -> Connect:
    will: dict[str, object] = {}
    if draw(st.booleans()):
        will = {
            "will_topic": draw(_TOPIC), "will_payload": draw(_BLOB), "will_qos": draw(_QOS),
            "will_retain": draw(st.booleans()),
        }  # fmt: skip
    user = draw(st.none() | _TEXT)
    password = draw(st.none() | _BLOB) if user is not None else None
    keep_alive_s = draw(st.integers(0, 65535))
    return Connect(draw(_TEXT), keep_alive_s, draw(st.booleans()), user, password, **will)  # type: ignore[arg-type]


packets = st.one_of(
    publishes(),
    connects(),
    st.builds(Connack, st.booleans(), st.integers(0, 5)),
    st.builds(
        Acknowledge,
        st.sampled_from([codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP, codec.UNSUBACK]),
        _ID,
    ),
    st.builds(Subscribe, _ID, st.lists(st.tuples(_TEXT, _QOS), min_size=1, max_size=5).map(tuple)),
    st.builds(Suback, _ID, st.lists(st.sampled_from([0, 1, 2, 0x80]), min_size=1, max_size=5).map(tuple)),
    st.builds(Unsubscribe, _ID, st.lists(_TEXT, min_size=1, max_size=5).map(tuple)),
    st.builds(Bare, st.sampled_from([codec.PINGREQ, codec.PINGRESP, codec.DISCONNECT])),
)


@settings(deadline=None)
@given(st.lists(packets, max_size=6))
def test_round_trip(sent: list[Packet]) -> None:
    assert decode_all(b"".join(map(codec.encode, sent))) == sent


@settings(deadline=None)
@given(st.binary(max_size=400))
@example(b"\x30")
@example(b"\x10\xff\xff\xff\xff\x01")
def test_decoder_raises_only_decode_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode_all(data)


@settings(deadline=None)
@given(packets, st.data())
def test_mutated_packets_raise_only_decode_error(packet: Packet, data: st.DataObject) -> None:
    raw = bytearray(codec.encode(packet))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DecodeError):
        decode_all(bytes(raw))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 1_000_000])
def test_length_field_sizes(size: int) -> None:
    packet = Publish("t", b"x" * size)
    assert decode_all(codec.encode(packet)) == [packet]


def test_topic_of_65535_bytes_and_limit() -> None:
    packet = Publish("t" * 65535, b"")
    assert decode_all(codec.encode(packet)) == [packet]
    with pytest.raises(DecodeError, match="larger"):
        decode_all(codec.encode(packet), limit=65_000)


def test_header_says_how_much_is_missing() -> None:
    data = codec.encode(Publish("t", b"x" * 500))
    assert codec.header(data[:1], 0, 1000)[1] == 2
    assert codec.header(data[:2], 0, 1000)[1] == 3
    assert codec.header(data[:3], 0, 1000)[1] == len(data)


@pytest.mark.parametrize("raw", [b"\xed\xa0\x80", b"a\0b", b"\xff", b"\xc0\x80"])
def test_text_refuses(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        codec.text(raw)


def test_byte_order_mark_stays() -> None:
    assert codec.text(b"\xef\xbb\xbfa") == "\ufeffa"
