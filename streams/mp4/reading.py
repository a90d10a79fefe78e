"""Reads a segment file back: its whole fragments and their sample index, whatever its end looks like.

For the start-up sweep. A file may end anywhere (SIGKILL, full disk) or hold zeros where data never reached the disk
(power cut): what counts is the longest beginning that consists of an init section and whole fragments of ours.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import DecodeError
from streams.mp4.boxes import AUDIO_TRACK, VIDEO_TRACK, Box, children, header, only
from streams.mp4.fragment import AUDIO_TRUN, KEY_FLAGS, OTHER_FLAGS, VIDEO_TRUN, Fragment, TrackRun
from streams.mp4.index import SegmentIndex
from streams.mp4.init import sample_entries

MOST_MOOF_BYTES = 1 << 20
"""A fragment of a second has some hundred bytes of `moof`; what claims more is garbage."""


@dataclass(frozen=True, slots=True)
class ReadSegment:
    """init: the init section's bytes. index: of the whole fragments; index.bytes is the length up to which the file is
    good (the length of `init` when there is no whole fragment). torn_bytes: what follows, to be cut off."""

    init: bytes
    index: SegmentIndex
    torn_bytes: int


def read_segment(path: Path, *, check_payload_from: int = 0) -> ReadSegment:
    """Reads a segment file from its beginning; blocking, about as long as reading the `moof`s takes.

    check_payload_from: from this byte on, fragments must also hold whole NAL units (their lengths add up), which zeros
    left by a power cut do not; give the file's size to check none.
    Raises DecodeError when there is no whole init section, OSError when the file cannot be read; nothing else.
    """
    with open(path, "rb") as file:
        return read_descriptor(file.fileno(), check_payload_from=check_payload_from)


def read_descriptor(descriptor: int, *, check_payload_from: int = 0) -> ReadSegment:
    """The same of an open file."""
    size = os.fstat(descriptor).st_size
    init = _read_init(descriptor, size)
    index = SegmentIndex(len(init))
    while (found := _read_fragment(descriptor, index.bytes, size, check_payload_from)) is not None:
        index.add(found[0], found[1])
    return ReadSegment(init, index, size - index.bytes)


def _read_init(descriptor: int, size: int) -> bytes:
    at = 0
    for kind in (b"ftyp", b"moov"):
        found = header(os.pread(descriptor, 16, at), 0, min(16, size - at))
        if found.kind != kind or found.end > min(MOST_MOOF_BYTES, size - at):
            raise DecodeError(f"The file has no whole {kind.decode()} where it belongs.")
        at += found.end
    init = os.pread(descriptor, at, 0)
    if VIDEO_TRACK not in sample_entries(init):
        raise DecodeError("The init section describes no video.")
    return init


def _read_fragment(descriptor: int, at: int, size: int, check_from: int) -> tuple[Fragment, int] | None:
    """The fragment at `at` and its length; None when there is no whole one."""
    try:
        head = header(os.pread(descriptor, 16, at), 0, min(16, size - at))
        if head.kind != b"moof" or head.end > min(MOST_MOOF_BYTES, size - at):
            return None
        data = os.pread(descriptor, head.end + 16, at)
        mdat = header(data, head.end, len(data))
        if mdat.kind != b"mdat" or at + mdat.end > size:
            return None
        moof = Box(b"moof", 0, head.body, head.end)
        found = parse_moof(data, moof, mdat)
    except (DecodeError, struct.error):
        return None
    if at + mdat.end > check_from and not _has_whole_units(descriptor, at, found):
        return None
    return found, mdat.end


def parse_moof(data: bytes, moof: Box, mdat: Box) -> Fragment:
    """The runs of a fragment whose first byte is data[0]; its `data` is left empty.

    Raises DecodeError, struct.error.
    """
    runs: dict[int, TrackRun] = {}
    for traf in children(data, moof).get(b"traf", []):
        (track,) = struct.unpack_from(">I", data, only(data, traf, b"tfhd").body + 4)
        if track not in (VIDEO_TRACK, AUDIO_TRACK) or track in runs:
            raise DecodeError("The fragment has a track that we did not write.")
        runs[track] = _parse_run(data, traf, VIDEO_TRUN if track == VIDEO_TRACK else AUDIO_TRUN)
    at = mdat.body
    for track in sorted(runs):
        if runs[track].offset != at:
            raise DecodeError("The samples of a fragment do not lie one after another.")
        at += sum(runs[track].sizes)
    if not runs or at != mdat.end:
        raise DecodeError("The samples of a fragment do not fill it.")
    return Fragment(b"", runs.get(VIDEO_TRACK), runs.get(AUDIO_TRACK))


def _parse_run(data: bytes, traf: Box, expected: int) -> TrackRun:
    (base_dts,) = struct.unpack_from(">Q", data, only(data, traf, b"tfdt").body + 4)
    trun = only(data, traf, b"trun")
    flags, count, offset = struct.unpack_from(">IIi", data, trun.body)
    fields = 4 if expected == VIDEO_TRUN else 2
    if flags != 1 << 24 | expected or not count or trun.body + 12 + 4 * fields * count != trun.end or base_dts >> 62:
        raise DecodeError("The fragment has a sample table that we did not write.")
    table = np.frombuffer(data, ">u4", fields * count, trun.body + 12).reshape(count, fields)
    durations, sizes = table[:, 0].tolist(), table[:, 1].tolist()
    if fields == 2:
        return TrackRun(base_dts, offset, sizes, durations, [0] * count, [True] * count)
    if not np.isin(table[:, 2], (KEY_FLAGS, OTHER_FLAGS)).all():
        raise DecodeError("The fragment has sample flags that we did not write.")
    shifts = table[:, 3].astype(np.uint32).view(np.int32).tolist()
    return TrackRun(base_dts, offset, sizes, durations, shifts, (table[:, 2] == KEY_FLAGS).tolist())


def _has_whole_units(descriptor: int, at: int, found: Fragment) -> bool:
    """Whether each video sample is a chain of NAL units with 4-byte lengths, none empty, that fills it."""
    if found.video is None:
        return True
    data = os.pread(descriptor, sum(found.video.sizes), at + found.video.offset)
    start = 0
    for size in found.video.sizes:
        end = start + size
        while start + 4 < end:
            length = int.from_bytes(data[start : start + 4], "big")
            if not length:
                return False
            start += 4 + length
        if start != end:
            return False
    return True
