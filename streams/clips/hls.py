"""HLS of a span (RFC 8216, version 7): entries are byte ranges of the segment files as they lie on disk. Pure.

An entry is whole fragments of one file from a key picture to the next one that ends it, `playlist_entry_s` or a GOP
long. Entries of a file are cut from its beginning, whatever span is asked for, and of a file that still grows the last
GOP is held back: so an entry never changes, and a playlist that reaches now only gets longer (EVENT).

Players: hls.js (1.7 in Chromium) plays and seeks across discontinuities and changes of size; it gives up where audio
comes or goes in the middle, since a browser's source buffers are fixed. ffmpeg drops the first fragment after a
discontinuity whose times start again at 0.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np

from core.media import TICKS_PER_S
from store.footage import OPEN, InitRow
from store.footage_spans import StoredSegment
from streams.clips.select import Piece, Selection
from streams.mp4.index import Samples, decode

MEDIA_TYPE = "application/vnd.apple.mpegurl"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LEAST_TARGET_S = 10
"""Target duration of a playlist that grows: it must not change, and a camera's GOP is up to 10 s."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Bytes [offset, offset + length) of the segment's file: ticks of video that begin with a key picture.

    start_us: UTC of its first picture. breaks: nothing of it continues the entry before (another run, a hole, other
    parameters).
    """

    segment: StoredSegment
    offset: int
    length: int
    ticks: int
    start_us: int
    breaks: bool


def entries(selection: Selection, entry_s: float) -> list[Entry]:
    """Entries of the pieces, in order. Raises DecodeError when an index is broken."""
    found: list[Entry] = []
    for piece in selection.pieces:
        before: StoredSegment | None = None
        for segment in piece.segments:
            breaks = before is None or before.init_digest != segment.init_digest
            new = list(_entries_of(piece, segment, entry_s, breaks=breaks))
            found.extend(new)
            before = segment if new else before
    return found


def _entries_of(piece: Piece, segment: StoredSegment, entry_s: float, *, breaks: bool) -> Iterator[Entry]:
    samples = decode(segment.sample_index)
    video = samples.video
    if not len(video):
        return
    base = segment.start_pts - int(video.dts[0] + video.composition_offsets[0])
    pts = video.dts + video.composition_offsets + base
    first_tick, end_tick = piece.clock.pts(piece.from_us), piece.clock.pts(piece.to_us)
    bounds = _bounds(samples, entry_s, is_open=segment.state == OPEN)
    for start, end in pairwise(bounds):
        first, last = int(samples.fragment_video[start]), int(samples.fragment_video[end])
        begin_pts, end_pts = int(pts[first]), int(video.dts[last - 1] + video.durations[last - 1]) + base
        is_wanted = begin_pts >= first_tick if piece.starts_on_key else end_pts > first_tick
        if not is_wanted or begin_pts >= end_tick:
            continue
        offset, stop = int(samples.fragment_starts[start]), int(samples.fragment_starts[end])
        ticks = end_pts - int(video.dts[first]) - base
        yield Entry(segment, offset, stop - offset, ticks, piece.clock.utc(begin_pts), breaks)
        breaks = False


def _bounds(samples: Samples, entry_s: float, *, is_open: bool) -> list[int]:
    """Numbers of the fragments that begin an entry, and the end of the last whole one."""
    video, first_video = samples.video, samples.fragment_video
    count = len(first_video) - 1
    has_video = first_video[1:] > first_video[:-1]
    begins = np.flatnonzero(has_video)
    begins = begins[video.keys[first_video[:-1][begins]]]
    found: list[int] = []
    for fragment in begins.tolist():
        at = int(video.dts[first_video[fragment]])
        if not found or at - int(video.dts[first_video[found[-1]]]) >= entry_s * TICKS_PER_S:
            found.append(fragment)
    if not is_open:
        found.append(count)
    return found


def playlist(
    selection: Selection,
    inits: Mapping[bytes, InitRow],
    url_of: Callable[[StoredSegment], str],
    entry_s: float,
    *,
    may_grow: bool,
) -> str:
    """The media playlist. url_of: address of a segment's file, relative to the playlist.

    may_grow: the span reaches now. It also grows while wanted footage of an open segment is held back. Gaps of the
    selection become discontinuities; PROGRAM-DATE-TIME tells each file's time. Raises DecodeError.
    """
    found = entries(selection, entry_s)
    is_finished = not may_grow and not _holds_back(selection, found)
    longest_s = max((entry.ticks for entry in found), default=0) / TICKS_PER_S
    target_s = max(1, round_half_up(longest_s)) if is_finished else max(LEAST_TARGET_S, round_half_up(longest_s))
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{target_s}", "#EXT-X-MEDIA-SEQUENCE:0"]
    lines += ["#EXT-X-INDEPENDENT-SEGMENTS", f"#EXT-X-PLAYLIST-TYPE:{'VOD' if is_finished else 'EVENT'}"]
    before: Entry | None = None
    for entry in found:
        url = url_of(entry.segment)
        is_new_file = before is None or (before.segment.run, before.segment.n) != (entry.segment.run, entry.segment.n)
        if entry.breaks and before is not None:
            lines.append("#EXT-X-DISCONTINUITY")
        if entry.breaks or before is None:
            size = len(inits[entry.segment.init_digest].init)
            lines.append(f'#EXT-X-MAP:URI="{url}",BYTERANGE="{size}@0"')
        if is_new_file:
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{_date(entry.start_us)}")
        lines += [f"#EXTINF:{entry.ticks / TICKS_PER_S:.5f},", f"#EXT-X-BYTERANGE:{entry.length}@{entry.offset}", url]
        before = entry
    if is_finished:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def _holds_back(selection: Selection, found: Sequence[Entry]) -> bool:
    """Whether an open segment has or may get wanted footage after its last entry."""
    ends = {(entry.segment.run, entry.segment.n): entry.start_us + entry.ticks * 100 // 9 for entry in found}
    return any(
        segment.state == OPEN and ends.get((segment.run, segment.n), 0) < piece.to_us
        for piece in selection.pieces
        for segment in piece.segments
    )


def round_half_up(seconds: float) -> int:
    """As RFC 8216 compares durations with the target (4.3.3.1)."""
    return math.floor(seconds + 0.5)


def _date(at_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
