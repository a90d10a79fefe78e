"""Reading back what a crash left: whole fragments count, whatever follows them."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import DecodeError
from core.media import Packet, TrackFormats, VideoFormat
from streams.mp4 import decode, read_segment
from tests.streams.mp4.test_fragment import written

FORMATS = TrackFormats(VideoFormat("h264", 640, 360, bytes.fromhex("0164001effe1")))


def packets(count: int) -> list[Packet]:
    """Samples that are chains of NAL units, of random bytes."""
    dice = random.Random(count)
    return [
        Packet(0, number * 6000, number * 6000, 0, number % 10 == 0, units(dice), 0, 0.0, 0, FORMATS)
        for number in range(count)
    ]


def units(dice: random.Random) -> bytes:
    parts = [dice.randbytes(dice.randrange(1, 60)) for _ in range(dice.randrange(1, 4))]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


WHOLE, INDEX = written(packets(40), 8)
STARTS = decode(INDEX.encode()).fragment_starts.tolist()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, len(WHOLE)), tail=st.one_of(st.just(b""), st.binary(max_size=200), st.just(bytes(5000))))
def test_a_torn_tail_is_cut_off(tmp_path: Path, cut: int, tail: bytes) -> None:
    file = tmp_path / "torn.mp4"
    file.write_bytes(WHOLE[:cut] + tail)
    if cut < STARTS[0]:
        # Zeros may stand where zeros belong, so that the last bytes of the init section are not missed.
        assert refused_or_empty(file)
        return
    found = read_segment(file)
    whole = max(start for start in STARTS if start <= cut)
    if tail and found.index.bytes > whole:  # other bytes inside of a last NAL unit cannot be told
        whole = min(start for start in STARTS if start > cut)
    assert found.index.bytes == whole
    assert found.index.fragments == STARTS.index(whole)
    assert found.torn_bytes == cut - whole + len(tail)
    assert found.init == WHOLE[: STARTS[0]]


def refused_or_empty(file: Path) -> bool:
    """Whether there is no init section, or no fragment after it."""
    try:
        return read_segment(file).index.fragments == 0
    except DecodeError:
        return True


def test_zeros_of_a_power_cut_are_no_footage(tmp_path: Path) -> None:
    last = STARTS[-2]
    file = tmp_path / "zeros.mp4"
    file.write_bytes(WHOLE[: last + 300] + bytes(len(WHOLE) - last - 300))
    assert read_segment(file).index.bytes == last
    assert read_segment(file, check_payload_from=len(WHOLE)).index.bytes == len(WHOLE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.data())
def test_changed_bytes_never_do_worse_than_end_the_file(tmp_path: Path, data: st.DataObject) -> None:
    garbled = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 5))):
        garbled[data.draw(st.integers(0, len(WHOLE) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path / "garbled.mp4"
    file.write_bytes(garbled)
    try:
        found = read_segment(file)
    except DecodeError:
        return
    assert found.index.bytes + found.torn_bytes == len(WHOLE)
    decode(found.index.encode())


@given(data=st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_is_no_segment(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "garbage.mp4"
    file.write_bytes(data)
    with pytest.raises(DecodeError):
        read_segment(file)
