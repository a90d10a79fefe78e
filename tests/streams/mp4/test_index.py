"""The sample index: what goes in comes out, small; garbage is refused and nothing worse."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DecodeError
from streams.mp4 import Fragment, SegmentIndex, TrackRun, decode
from streams.mp4.varints import decode_column, decode_varints, encode_column, encode_varints, read_varint, varint

U32 = st.integers(0, 2**32 - 1)
I32 = st.integers(-(2**31), 2**31 - 1)


@st.composite
def runs(draw: st.DrawFn, *, is_video: bool) -> TrackRun | None:
    count = draw(st.integers(0, 6))
    if not count:
        return None
    same = draw(st.booleans())
    durations = [6000] * count if same else [draw(U32) for _ in range(count)]
    shifts = [0] * count if same or not is_video else [draw(I32) for _ in range(count)]
    keys = [draw(st.booleans()) if is_video else True for _ in range(count)]
    sizes = [draw(U32) for _ in range(count)]
    return TrackRun(draw(st.integers(0, 2**61)), draw(st.integers(16, 10_000)), sizes, durations, shifts, keys)


@st.composite
def fragments(draw: st.DrawFn) -> list[tuple[Fragment, int]]:
    """Fragments whose payload is only said to be there, and their lengths."""
    found = []
    for _ in range(draw(st.integers(0, 5))):
        video, audio = draw(runs(is_video=True)), draw(runs(is_video=False))
        if video is None and audio is None:
            continue
        head = (video or audio).offset  # type: ignore[union-attr]
        length = head + sum(sum(run.sizes) for run in (video, audio) if run)
        found.append((Fragment(b"", video, audio), length))
    return found


@given(fragments(), st.integers(0, 2000))
def test_what_is_added_comes_back(added: list[tuple[Fragment, int]], init_bytes: int) -> None:
    index = SegmentIndex(init_bytes)
    expected: dict[int, list[tuple[int, ...]]] = {0: [], 1: []}
    starts, at = [init_bytes], init_bytes
    for one, length in added:
        index.add(one, length)
        place = at + (one.video or one.audio).offset  # type: ignore[union-attr]
        for track, run in ((0, one.video), (1, one.audio)):
            dts = run.base_dts if run else 0
            for number in range(len(run.sizes) if run else 0):
                size, duration, shift, key = (
                    values[number] for values in (run.sizes, run.durations, run.composition_offsets, run.keys)
                )  # type: ignore[union-attr]
                expected[track].append((place, size, dts, duration, shift, key))
                place, dts = place + size, dts + duration
        at += length
        starts.append(at)
    found = decode(index.encode())
    for track, samples in ((0, found.video), (1, found.audio)):
        columns = (samples.offsets, samples.sizes, samples.dts, samples.durations, samples.composition_offsets)
        rows = list(zip(*(column.tolist() for column in columns), samples.keys.tolist(), strict=True))
        assert rows == expected[track]
    assert found.fragment_starts.tolist() == starts
    assert found.init_bytes == init_bytes
    assert index.bytes == at
    assert index.samples == len(expected[0]) + len(expected[1])


@given(st.binary(max_size=300))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(b"\x01" + data) if decode_fails(b"\x01" + data) else decode(b"\x00" + data)


def decode_fails(data: bytes) -> bool:
    """Whether it is refused; anything but DecodeError is an error of the test."""
    try:
        decode(data)
    except DecodeError:
        return True
    return False


def a_minute(dice: random.Random, *, jitter: int) -> SegmentIndex:
    index = SegmentIndex(700)
    for second in range(60):
        sizes = [60_000 if number == 0 else dice.randrange(1500, 14_000) for number in range(15)]
        durations = [6000 + dice.randrange(-jitter, jitter + 1) for _ in range(15)]
        run = TrackRun(second * 90_000, 300, sizes, durations, [0] * 15, [number == 0 for number in range(15)])
        index.add(Fragment(b"", run, None), 300 + sum(sizes))
    return index


@given(st.integers(0, 2**32), st.data())
def test_a_changed_index_never_does_worse_than_be_refused(seed: int, data: st.DataObject) -> None:
    encoded = bytearray(a_minute(random.Random(seed), jitter=90).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, min(200, len(encoded) - 1)))] = data.draw(st.integers(0, 255))
    decode_fails(bytes(encoded))
    decode_fails(bytes(encoded[: data.draw(st.integers(0, len(encoded)))]))


@pytest.mark.parametrize(("jitter", "most"), [(0, 2.5), (9, 3.5), (900, 4.5)])
def test_it_is_small(jitter: int, most: float) -> None:
    assert len(a_minute(random.Random(1), jitter=jitter).encode()) / 900 <= most


@given(st.lists(st.integers(-(2**61), 2**61), max_size=400))
def test_columns_come_back(values: list[int]) -> None:
    encoded = encode_column(values)
    length, at = read_varint(encoded, 1)
    assert at + length == len(encoded)
    assert decode_column(encoded[0], encoded[at:], len(values)).tolist() == values


@given(st.lists(st.integers(0, 2**63 - 1), max_size=50))
def test_varints_come_back(values: list[int]) -> None:
    encoded = encode_varints(np.array(values, np.int64))
    assert encoded == b"".join(map(varint, values))
    assert decode_varints(encoded).tolist() == values
