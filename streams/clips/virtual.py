"""A clip as a virtual file: an MP4 with its `moov` first whose `mdat` is ranges of segment files, copied by nobody.

Every segment gives one range, from its first wanted sample to its last; the `moof`s between its fragments come along
as bytes that no table names (some 300 a second). Times of several pieces are put one after another, so gaps are cut
out and the time line never goes back; pictures before the instant asked for are there to be decoded and hidden by the
edit list. The same rows make the same bytes, and so the same ETag, on every machine.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.errors import NotFound
from store.footage import InitRow
from store.footage_spans import StoredSegment
from streams.clips.places import FolderOf, FootageGone, segment_path
from streams.clips.samples import PieceSamples, TrackPart, piece_samples
from streams.clips.select import Gap, Selection
from streams.mp4.boxes import AUDIO_TRACK, VIDEO_TRACK
from streams.mp4.init import sample_entries
from streams.mp4.movie import MovieTrack, head
from streams.mp4.varints import Ints


@dataclass(frozen=True, slots=True)
class FileRange:
    """Bytes [offset, offset + length) of a file."""

    path: Path
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class VirtualFile:
    """head: ftyp, moov and the mdat's header; then the ranges. length: of it all, bytes. etag: strong, with quotes.

    start_us, end_us: first and last instant that it shows, UTC epoch microseconds; gaps: what of the span asked for it
    does not show. pictures: shown ones.
    """

    head: bytes
    ranges: tuple[FileRange, ...]
    length: int
    etag: str
    start_us: int
    end_us: int
    gaps: tuple[Gap, ...]
    pictures: int


def virtual_file(selection: Selection, inits: Mapping[bytes, InitRow], folder_of: FolderOf) -> VirtualFile:
    """Computes the file; CPU: a millisecond a minute of footage, half a second a day.

    Raises NotFound when the selection has no picture, FootageGone when the folder of a root is not served here,
    DecodeError when an index or init section is broken.
    """
    parts = [found for found in map(piece_samples, selection.pieces) if found is not None]
    if not parts:
        raise NotFound("There is no footage of this camera in that time.")
    film = _Film(inits)
    for part in parts:
        film.add(part)
    first = parts[0].piece.segments[0]
    size = (inits[first.init_digest].width, inits[first.init_digest].height)
    video, audio = film.tracks()
    payload = sum(length for _, _, length in film.ranges)
    beginning = head(video, audio, size, payload)
    digest = hashlib.sha256(beginning)
    ranges = []
    for segment, offset, length in film.ranges:
        digest.update(f"{segment.run} {segment.n} {offset} {length}\n".encode())
        folder = folder_of(segment.root)
        if folder is None:
            raise FootageGone("This footage lies in a folder that is not served here.", root=segment.root)
        ranges.append(FileRange(segment_path(folder, segment), offset, length))
    return VirtualFile(
        beginning,
        tuple(ranges),
        len(beginning) + payload,
        f'"{digest.hexdigest()[:32]}"',
        parts[0].piece.clock.utc(parts[0].shown_from),
        parts[-1].piece.clock.utc(parts[-1].shown_to),
        selection.gaps,
        film.pictures,
    )


def _rising(samples: TrackPart) -> TrackPart:
    """The same, dts never going back, whatever an index says."""
    dts = np.maximum.accumulate(samples.dts)
    return samples if (dts == samples.dts).all() else replace(samples, dts=dts, pts=samples.pts + dts - samples.dts)


class _Film:
    """Puts pieces one after another on one time line and in one `mdat`."""

    def __init__(self, inits: Mapping[bytes, InitRow]) -> None:
        self.ranges: list[tuple[StoredSegment, int, int]] = []
        self.pictures = 0
        self._inits = inits
        self._sections: dict[bytes, dict[int, bytes]] = {}
        self._entries: dict[int, list[bytes]] = {VIDEO_TRACK: [], AUDIO_TRACK: []}
        self._columns: dict[int, list[tuple[Ints, ...]]] = {VIDEO_TRACK: [], AUDIO_TRACK: []}
        self._payload = 0
        self._next_dts = self._next_pts = 0
        self._audio_end = 0
        self._shown_from: int | None = None
        self._shown_to = 0

    def add(self, part: PieceSamples) -> None:
        """The piece goes behind those that are there."""
        video, audio = _rising(part.video), _rising(part.audio)
        dts = video.dts
        shift = max(self._next_dts - int(dts[0]), self._next_pts - int(video.pts[0])) if self.ranges else -int(dts[0])
        places = self._add_ranges(part)
        self._add_track(VIDEO_TRACK, part, video, shift, places)
        self._add_track(AUDIO_TRACK, part, audio, shift, places)
        self._next_dts = int(dts[-1] + video.durations[-1]) + shift
        self._next_pts = int((video.pts + video.durations).max()) + shift
        if len(part.audio):
            self._audio_end = int(part.audio.dts[-1] + part.audio.durations[-1]) + shift
        if self._shown_from is None:
            self._shown_from = part.shown_from + shift
        self._shown_to = part.shown_to + shift
        self.pictures += int((video.pts >= part.shown_from).sum())

    def _add_ranges(self, part: PieceSamples) -> Ints:
        """One range a segment; returns what to add to an offset in a segment's file to get one in the payload."""
        places = np.zeros(len(part.piece.segments), np.int64)
        together = np.concatenate([part.video.segment, part.audio.segment])
        starts = np.concatenate([part.video.offsets, part.audio.offsets])
        ends = np.concatenate([part.video.offsets + part.video.sizes, part.audio.offsets + part.audio.sizes])
        least = np.full(len(places), np.iinfo(np.int64).max)
        most = np.zeros(len(places), np.int64)
        np.minimum.at(least, together, starts)
        np.maximum.at(most, together, ends)
        for number in np.flatnonzero(most).tolist():
            offset, length = int(least[number]), int(most[number] - least[number])
            places[number] = self._payload - offset
            self.ranges.append((part.piece.segments[number], offset, length))
            self._payload += length
        return places

    def _add_track(self, number: int, part: PieceSamples, samples: TrackPart, shift: int, places: Ints) -> None:
        if not len(samples):
            return
        entries = np.array([self._entry(number, segment.init_digest) for segment in part.piece.segments], np.int64)
        self._columns[number].append(
            (
                samples.dts + shift,
                samples.pts - samples.dts,
                samples.offsets + places[samples.segment],
                samples.sizes,
                samples.keys.astype(np.int64),
                entries[samples.segment],
            )
        )

    def _entry(self, number: int, digest: bytes) -> int:
        """Number of the sample entry that the init section has for the track, -1 when it has none."""
        if digest not in self._sections:
            self._sections[digest] = sample_entries(self._inits[digest].init)
        entry = self._sections[digest].get(number)
        if entry is None:
            return -1
        entries = self._entries[number]
        if entry not in entries:
            entries.append(entry)
        return entries.index(entry)

    def tracks(self) -> tuple[MovieTrack, MovieTrack | None]:
        """Video, and audio where there is some."""
        assert self._shown_from is not None, "a film has pieces"
        video = self._track(VIDEO_TRACK, self._next_dts, self._shown_from, self._shown_to)
        if not self._columns[AUDIO_TRACK] or self._audio_end <= self._shown_from:
            return video, None
        first, last = int(self._columns[AUDIO_TRACK][0][0][0]), int(self._columns[AUDIO_TRACK][-1][0][-1])
        # The last frame reaches past the last picture: players would take the file for that much longer.
        end_dts = max(last, min(self._audio_end, self._shown_to))
        empty = max(0, first - self._shown_from)
        begin, end = max(0, self._shown_from - first), min(end_dts, self._shown_to) - first
        if end <= begin:
            return video, None
        return video, self._track(AUDIO_TRACK, end_dts, begin, end, empty_before=empty)

    def _track(self, number: int, end_dts: int, edit_start: int, edit_end: int, *, empty_before: int = 0) -> MovieTrack:
        dts, shifts, offsets, sizes, keys, entry_numbers = (
            np.concatenate(columns) for columns in zip(*self._columns[number], strict=True)
        )
        return MovieTrack(
            dts,
            end_dts,
            shifts,
            offsets,
            sizes,
            keys.astype(np.bool_),
            entry_numbers,
            self._entries[number],
            edit_start,
            edit_end,
            empty_before,
        )
