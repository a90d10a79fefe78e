"""Beginnings of whole files: files of more than 4 GiB, and tables as short as the standard allows."""

import os
from pathlib import Path

import numpy as np
import pytest

from streams.mp4.boxes import VIDEO_TRACK, Box, children, header, only
from streams.mp4.init import init_section, sample_entries
from streams.mp4.movie import MovieTrack, head
from tests.streams.clips.playing import decodes_without_a_word, pictures
from tests.support.packets import encode_video

GIB = 1 << 30


def track(sizes: list[int], offsets: list[int], entry: bytes, entry_numbers: list[int] | None = None) -> MovieTrack:
    count = len(sizes)
    numbers = np.arange(count)
    return MovieTrack(
        numbers * 6000,
        count * 6000,
        np.zeros(count, np.int64),
        np.array(offsets, np.int64),
        np.array(sizes, np.int64),
        numbers % 5 == 0,
        np.array(entry_numbers or [0] * count, np.int64),
        [entry, entry],
        0,
        count * 6000,
    )


def tables(beginning: bytes) -> dict[bytes, Box]:
    """Boxes of the `stbl` of the first track."""
    ftyp = header(beginning, 0, len(beginning))
    at = header(beginning, ftyp.end, len(beginning))
    for kind in (b"trak", b"mdia", b"minf", b"stbl"):
        at = only(beginning, at, kind)
    return {kind: boxes[0] for kind, boxes in children(beginning, at).items()}


@pytest.mark.parametrize("far", [0, 5 * GIB])
def test_samples_beyond_4_gib(tmp_path: Path, far: int) -> None:
    """A sparse file whose second half lies 5 GiB after the first."""
    packets = encode_video("h264", [number * 6000 for number in range(20)], gop=5)
    sizes = [len(packet.data) for packet in packets]
    near = np.cumsum([0, *sizes]).tolist()
    offsets = [offset + (far if number >= 10 else 0) for number, offset in enumerate(near[:-1])]
    payload = near[-1] + far
    entry = sample_entries(init_section(packets[0].formats))[VIDEO_TRACK]
    beginning = head(track(sizes, offsets, entry), None, (320, 192), payload)
    assert (b"co64" in tables(beginning)) == bool(far)
    file = tmp_path / "large.mp4"
    with file.open("wb") as out:
        out.write(beginning)
        for packet, offset in zip(packets, offsets, strict=True):
            os.pwrite(out.fileno(), packet.data, len(beginning) + offset)
    assert file.stat().st_size == len(beginning) + payload
    assert pictures(file) == list(range(20))
    decodes_without_a_word(file)


def test_runs_are_told_once() -> None:
    formats = encode_video("h264", [0])[0].formats
    entry = sample_entries(init_section(formats))[VIDEO_TRACK]
    offsets = [number * 10 + (number // 10) * 7 for number in range(40)]
    beginning = head(track([10] * 40, offsets, entry, [0] * 20 + [1] * 20), None, (16, 16), 1000)
    found = tables(beginning)

    def words(kind: bytes) -> list[int]:
        return np.frombuffer(beginning[found[kind].body + 4 : found[kind].end], ">u4").tolist()

    assert words(b"stts") == [1, 40, 6000]
    assert words(b"stsc") == [2, 1, 10, 1, 3, 10, 2]
    assert words(b"stss") == [8, *range(1, 40, 5)]
    assert b"ctts" not in found
    places = words(b"stco")
    assert places[0] == 4
    assert [place - places[1] for place in places[1:]] == [0, 107, 214, 321]
