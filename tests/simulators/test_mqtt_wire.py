"""MQTT bytes: golden packets of the standard, and any stream cut anywhere."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import mqtt_wire as wire
from simulators.errors import SimulatorError


@pytest.mark.parametrize(
    ("length", "encoded"),
    [(0, "00"), (127, "7f"), (128, "8001"), (16_383, "ff7f"), (16_384, "808001"), (268_435_455, "ffffff7f")],
)
def test_remaining_length(length: int, encoded: str) -> None:
    assert wire.remaining_length(length).hex() == encoded


def test_connect() -> None:
    packet = wire.connect("d1", "d1", "pw", keepalive_s=60, clean=True)
    assert packet.hex() == "101600044d51545404c2003c00026431000264310002" + b"pw".hex()
    will = wire.connect("d1", "d1", "pw", keepalive_s=60, clean=False, will=("w", b"{}"))
    assert will[9] == 0xC0 | 0x20 | 0x08 | 0x04
    assert will[2 + 10 + 4 : 2 + 10 + 4 + 7] == b"\x00\x01w\x00\x02{}"


def test_publish_and_again() -> None:
    packet = wire.publish(wire.string("a/b"), 7, b"{}")
    assert packet.hex() == "32090003" + b"a/b".hex() + "0007" + b"{}".hex()
    assert wire.again(packet) == b"\x3a" + packet[1:]


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(1, 50), max_size=60))
def test_a_stream_may_be_cut_anywhere(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(b"\x30" + wire.remaining_length(len(body)) + body for body in bodies)
    splitter, found, at = wire.Splitter(), [], 0
    for size in cuts:
        found += list(splitter.feed(stream[at : at + size]))
        at += size
    found += list(splitter.feed(stream[at:]))
    assert found == [(0x30, body) for body in bodies]


@given(st.binary(max_size=400))
def test_garbage_never_hangs(data: bytes) -> None:
    splitter = wire.Splitter()
    with suppress(SimulatorError):
        for first, body in splitter.feed(data):
            assert 0 <= first <= 255
            assert len(body) <= len(data)


def test_a_length_field_of_five_bytes_is_refused() -> None:
    with pytest.raises(SimulatorError, match="length field"):
        list(wire.Splitter().feed(b"\x30\xff\xff\xff\xff\x01"))
