"""A segment's file, read for the sweep: what its row should say, and the file cut to its whole fragments.

A file that a recorder is writing is locked (`flock`), which the kernel takes away with the process: the one sign of
life that needs no store and no clock.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from core.errors import DecodeError
from core.media import AudioFormat, VideoFormat
from store.footage import InitRow
from streams.layout import LOST_AND_FOUND, sync_folder
from streams.mp4.boxes import AUDIO_TRACK, VIDEO_TRACK
from streams.mp4.codecs import audio_codec, video_codec
from streams.mp4.index import SegmentIndex, decode
from streams.mp4.init import sample_entries
from streams.mp4.reading import ReadSegment, read_descriptor

_ENTRY_SIZE_AT = 32
_CONFIG_AT = 94
_ASC_TAG = b"\x05\x80\x80\x80"


class BeingWritten(Exception):
    """A recorder has the file open."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds. first_pts, end_pts: in the file's own ticks (from the run's first dts); index.bytes is its
    good length."""

    init: bytes
    index: SegmentIndex
    first_pts: int
    end_pts: int
    cut_bytes: int

    @property
    def ticks(self) -> int:
        """From its first picture to its end."""
        return self.end_pts - self.first_pts


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """A descriptor of a file that nobody writes, for reading and writing. Raises BeingWritten, OSError."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BeingWritten from error
        yield descriptor
    finally:
        os.close(descriptor)


def salvage(path: Path) -> Content | None:
    """Reads a file that nobody writes, cuts off what is no whole fragment and makes it durable; blocking.

    None: there is no whole fragment, and the file stays as it is. Raises BeingWritten, OSError (FileNotFoundError).
    """
    with locked(path) as descriptor:
        try:
            found = read_descriptor(descriptor)
        except DecodeError:
            return None
        content = content_of(found)
        if content is None:
            return None
        if found.torn_bytes:
            os.ftruncate(descriptor, found.index.bytes)
        os.fsync(descriptor)
        return content


def content_of(found: ReadSegment) -> Content | None:
    """The times of what was read; None without a whole fragment of video."""
    if not found.index.video.sizes:
        return None
    video = decode(found.index.encode()).video
    shown = video.dts + video.composition_offsets
    return Content(found.init, found.index, int(shown[0]), int((shown + video.durations).max()), found.torn_bytes)


def init_row(init: bytes) -> InitRow:
    """The row of an init section that we wrote. Raises DecodeError."""
    entries = sample_entries(init)
    if VIDEO_TRACK not in entries:
        raise DecodeError("The init section has no video track.")
    entry = entries[VIDEO_TRACK]
    width, height = (int.from_bytes(entry[at : at + 2], "big") for at in (_ENTRY_SIZE_AT, _ENTRY_SIZE_AT + 2))
    codec = "h264" if entry[4:8] == b"avc1" else "h265"
    names = [video_codec(VideoFormat(codec, width, height, entry[_CONFIG_AT:]))]  # type: ignore[arg-type]
    if AUDIO_TRACK in entries:
        config = entries[AUDIO_TRACK].partition(_ASC_TAG)[2][1:3]
        names.append(audio_codec(AudioFormat(0, 0, config)))
    return InitRow(sha256(init).digest(), ",".join(names), width, height, init)


def put_aside(root: Path, path: str) -> str:
    """Moves a file (relative path) to `lost+found`, where nothing touches it; returns its new relative path.

    Raises OSError.
    """
    aside = root / LOST_AND_FOUND
    aside.mkdir(exist_ok=True)
    name, number = path.replace("/", "_"), 0
    while (aside / name).exists():
        number += 1
        name = f"{number}_{path.replace('/', '_')}"
    os.rename(root / path, aside / name)
    sync_folder(aside)
    sync_folder((root / path).parent)
    return f"{LOST_AND_FOUND}/{name}"
