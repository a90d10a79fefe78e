"""RTP packets by the published vectors, and back to what they were made of."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.cameras import nal
from simulators.cameras.packets import MOST_PAYLOAD, framed, payloads

IDR = bytes.fromhex("6510111213141516171819")


def test_the_published_vector() -> None:
    found = framed(payloads("h264", [IDR], most=7), 96)
    whole = "24000013806000640001 5F90112233447C85101112131424000013 80E000650001 5F90112233447C451516171819"
    assert bytes(found.addressed(0, 100, 90_000, 0x11223344)).hex() == whole.replace(" ", "").lower()


def restored(codec: nal.Codec, found: list[bytes]) -> list[bytes]:
    """NAL units of the payloads (RFC 6184 5.7–5.8, RFC 7798 4.4)."""
    units: list[bytes] = []
    for payload in found:
        kind = nal.kind(codec, payload)
        head = 1 if codec == "h264" else 2
        if kind == (24 if codec == "h264" else 48):
            at = head
            while at < len(payload):
                (size,) = struct.unpack_from(">H", payload, at)
                units.append(payload[at + 2 : at + 2 + size])
                at += 2 + size
        elif kind == (28 if codec == "h264" else 49):
            state = payload[head]
            if state & 0x80:
                if codec == "h264":
                    units.append(bytes([payload[0] & 0xE0 | state & 0x1F]))
                else:
                    units.append(bytes([payload[0] & 0x81 | (state & 0x3F) << 1, payload[1]]))
            units[-1] += payload[head + 1 :]
        else:
            units.append(payload)
    return units


@st.composite
def access_units(draw: st.DrawFn) -> tuple[nal.Codec, list[bytes]]:
    codec: nal.Codec = draw(st.sampled_from(["h264", "h265"]))
    kinds = st.sampled_from([7, 8, 6, 1, 5] if codec == "h264" else [32, 33, 34, 39, 1, 19])
    units = []
    for kind in draw(st.lists(kinds, min_size=1, max_size=6)):
        head = bytes([0x60 | kind]) if codec == "h264" else bytes([kind << 1, 1])
        size = draw(st.sampled_from([1, 20, 1380, 1387, 1388, 1389, 5000]))
        units.append(head + bytes([draw(st.integers(1, 255))]) * size)
    return codec, units


@given(access_units())
def test_units_come_back_whole(case: tuple[nal.Codec, list[bytes]]) -> None:
    codec, units = case
    found = payloads(codec, units)
    assert restored(codec, found) == units
    assert all(len(one) <= MOST_PAYLOAD for one in found)
    data = framed(found, 96)
    filled = data.addressed(4, 65_535, 1, 2)
    heads = [struct.unpack_from(">BBHBBHII", filled, offset) for offset in data.offsets]
    assert [head[5] for head in heads] == [(65_535 + n) & 0xFFFF for n in range(len(heads))]
    assert [head[4] >> 7 for head in heads] == [0] * (len(heads) - 1) + [1]
    assert {head[1] for head in heads} == {4}


@given(st.lists(st.binary(min_size=1, max_size=50).filter(lambda one: b"\0" not in one), max_size=5))
def test_annex_b_is_taken_apart(units: list[bytes]) -> None:
    assert nal.split(nal.joined(units)) == units
    assert nal.split(b"".join(b"\0\0\1" + unit for unit in units)) == units


@given(st.binary(max_size=200))
def test_taking_apart_never_fails(data: bytes) -> None:
    assert all(nal.split(data))


@pytest.mark.parametrize(("kind", "key"), [(0x65, True), (0x41, False)])
def test_key_frames(kind: int, key: bool) -> None:
    assert nal.is_key("h264", [b"\x67x", bytes([kind, 1])]) is key
