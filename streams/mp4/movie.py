"""The beginning of a whole MP4 file: `ftyp`, `moov` with full sample tables, and the header of its `mdat`.

Tables come from numpy arrays and are run-length coded with numpy, so that a day of 25 pictures a second (2 million
samples) takes a fraction of a second. ISO/IEC 14496-12: 8.6 (times), 8.7 (places), 8.6.6 (edit list).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.mp4.boxes import LARGEST_32, box, full_box, mdat_header
from streams.mp4.init import FTYP, audio_track, mvhd, stsd, video_track
from streams.mp4.varints import Ints


@dataclass(frozen=True, slots=True)
class MovieTrack:
    """Samples of one track of a whole file, in decoding order; arrays of one length, at least one sample.

    dts: ticks of 1/90 000 s, from 0, never going back; end_dts: where the last sample ends. offsets: from the first
    byte of the `mdat`'s payload; sizes in bytes. entry_numbers: which of `entries` (whole sample entries, counted from
    0) each sample needs. Shown is [edit_start, edit_end) of the track's own time, empty_before ticks after the film's
    beginning.
    """

    dts: Ints
    end_dts: int
    composition_offsets: Ints
    offsets: Ints
    sizes: Ints
    keys: NDArray[np.bool_]
    entry_numbers: Ints
    entries: Sequence[bytes]
    edit_start: int
    edit_end: int
    empty_before: int = 0


def head(video: MovieTrack, audio: MovieTrack | None, size: tuple[int, int], payload_bytes: int) -> bytes:
    """All bytes of the file before the `mdat`'s payload. size: width and height to be shown at, pixels."""
    tracks = [_Tables(video, payload_bytes)]
    if audio is not None:
        tracks.append(_Tables(audio, payload_bytes))
    tail = mdat_header(payload_bytes)
    # Boxes have sizes of fixed length, so the tables may be left out to learn how long the rest is.
    rest = len(_moov(tracks, size, [b""] * len(tracks)))
    before = len(FTYP) + rest + sum(track.table_bytes for track in tracks) + len(tail)
    return b"".join((FTYP, _moov(tracks, size, [track.table(before) for track in tracks]), tail))


def _moov(tracks: Sequence["_Tables"], size: tuple[int, int], tables: Sequence[bytes]) -> bytes:
    made: list[bytes] = []
    for track, table in zip(tracks, tables, strict=True):
        shown = {"duration": track.duration, "shown": track.shown}
        edits = _edits(track.track)
        made.append(
            audio_track(table, edits=edits, **shown) if made else video_track(size, table, edits=edits, **shown)
        )
    return box(b"moov", mvhd(max(track.shown for track in tracks)), *made)


class _Tables:
    """The boxes of a track's `stbl`; only the chunk offsets depend on where the payload begins."""

    def __init__(self, track: MovieTrack, payload_bytes: int) -> None:
        self.track = track
        self.duration = track.end_dts - int(track.dts[0])
        self.shown = track.empty_before + track.edit_end - track.edit_start
        chunks = _chunk_starts(track)
        self._chunk_offsets = track.offsets[chunks]
        durations = np.diff(track.dts, append=track.end_dts)
        parts = [stsd(*track.entries), full_box(b"stts", 0, 0, _counted(durations))]
        if track.composition_offsets.any():
            parts.append(full_box(b"ctts", 1, 0, _counted(track.composition_offsets)))
        if not track.keys.all():
            numbers = np.flatnonzero(track.keys) + 1
            parts.append(full_box(b"stss", 0, 0, struct.pack(">I", len(numbers)), numbers.astype(">u4").tobytes()))
        parts.append(full_box(b"stsc", 0, 0, _chunk_runs(track, chunks)))
        parts.append(
            full_box(b"stsz", 0, 0, struct.pack(">II", 0, len(track.sizes)), track.sizes.astype(">u4").tobytes())
        )
        self._head = b"".join(parts)
        # A moov of more than 1 GiB is not to be: so this much room decides without knowing its length.
        self._is_large = payload_bytes + (1 << 30) > LARGEST_32

    @property
    def table_bytes(self) -> int:
        """Length of what `table` gives."""
        return len(self._head) + 16 + len(self._chunk_offsets) * (8 if self._is_large else 4)

    def table(self, payload_at: int) -> bytes:
        """All boxes, for a payload that begins at that byte of the file."""
        count = struct.pack(">I", len(self._chunk_offsets))
        places = self._chunk_offsets + payload_at
        if self._is_large:
            return self._head + full_box(b"co64", 0, 0, count, places.astype(">u8").tobytes())
        return self._head + full_box(b"stco", 0, 0, count, places.astype(">u4").tobytes())


def _chunk_starts(track: MovieTrack) -> Ints:
    """Numbers of the samples that begin a chunk: where a sample does not follow the one before, or needs another
    entry."""
    breaks = np.flatnonzero(
        (track.offsets[1:] != track.offsets[:-1] + track.sizes[:-1])
        | (track.entry_numbers[1:] != track.entry_numbers[:-1])
    )
    return np.concatenate(([0], breaks + 1)).astype(np.int64)


def _chunk_runs(track: MovieTrack, chunks: Ints) -> bytes:
    """`stsc`: chunks of as many samples with the same entry as the one before are left out."""
    counts = np.diff(chunks, append=len(track.sizes))
    entries = track.entry_numbers[chunks] + 1
    firsts = np.flatnonzero(np.concatenate(([True], (counts[1:] != counts[:-1]) | (entries[1:] != entries[:-1]))))
    rows = np.stack([firsts + 1, counts[firsts], entries[firsts]], axis=1)
    return struct.pack(">I", len(rows)) + rows.astype(">u4").tobytes()


def _counted(values: Ints) -> bytes:
    """Runs of equal values as `stts` and `ctts` have them: number of runs, then how many and which value each."""
    firsts = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    counts = np.diff(firsts, append=len(values))
    rows = np.stack([counts, values[firsts]], axis=1)
    return struct.pack(">I", len(rows)) + rows.astype(">i4").tobytes()


def _edits(track: MovieTrack) -> bytes:
    rows = []
    if track.empty_before:
        rows.append(struct.pack(">QqI", track.empty_before, -1, 0x10000))
    rows.append(struct.pack(">QqI", track.edit_end - track.edit_start, track.edit_start, 0x10000))
    return box(b"edts", full_box(b"elst", 1, 0, struct.pack(">I", len(rows)), *rows))
