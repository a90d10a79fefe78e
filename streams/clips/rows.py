"""From rows of the store to a selection: what is read for a span, and which of it can be part of the answer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from store.footage import OPEN, ClockRow, InitRow
from store.footage_reading import clock_points, inits
from store.footage_spans import StoredSegment, segments_before, segments_between
from store.pool import Connection, Store
from streams.clips.places import FolderOf, segment_path
from streams.clips.select import SMALLEST_GAP_US, Gap, GapReason, Selection, select

ROW_LAG_US = 15_000_000
"""Rows of an open segment follow its file within seconds: what is missing for so long before now is no gap."""


@dataclass(frozen=True, slots=True)
class FootageRows:
    """Segments, clock maps of their runs, and their init sections."""

    segments: Sequence[StoredSegment]
    clocks: Mapping[str, Sequence[ClockRow]]
    inits: Mapping[bytes, InitRow]


async def rows_between(store: Store, camera: int, stream: int, from_us: int, to_us: int) -> FootageRows:
    """Rows that may have footage of [from_us, to_us). Raises StoreUnavailable."""
    async with store.connection() as connection:
        return await _with_details(connection, await segments_between(connection, camera, stream, from_us, to_us))


async def rows_before(store: Store, camera: int, stream: int, at_us: int, reach_us: int) -> FootageRows:
    """Rows that may have a picture of [at_us - reach_us, at_us], newest first. Raises StoreUnavailable."""
    async with store.connection() as connection:
        return await _with_details(connection, await segments_before(connection, camera, stream, at_us, reach_us))


async def _with_details(connection: Connection, segments: Sequence[StoredSegment]) -> FootageRows:
    if not segments:
        return FootageRows(segments, {}, {})
    clocks = await clock_points(connection, {segment.run for segment in segments})
    return FootageRows(segments, clocks, await inits(connection, {segment.init_digest for segment in segments}))


def choose(
    rows: FootageRows, from_us: int, to_us: int, now_us: int, folder_of: FolderOf, *, one_codec: bool
) -> Selection:
    """The selection of [from_us, to_us). Looks at each segment's file, so in a thread: one that is lost costs its own
    footage and not the whole answer.

    one_codec: only footage in the codec of the first picture (an MP4 track cannot change it). now_us: the future is no
    gap, nor is what an open segment's row does not say yet.
    """
    left_out: dict[tuple[str, int], GapReason] = {}
    for segment in rows.segments:
        reason = _unavailable(segment, folder_of)
        if reason is not None:
            left_out[segment.run, segment.n] = reason
    found = select(rows.segments, rows.clocks, from_us, to_us, left_out=left_out)
    if one_codec and found.pieces:
        codec = _codec(rows, found.pieces[0].segments[0])
        for segment in rows.segments:
            if (segment.run, segment.n) not in left_out and _codec(rows, segment) != codec:
                left_out[segment.run, segment.n] = "codec"
        found = select(rows.segments, rows.clocks, from_us, to_us, left_out=left_out)
    newest = max((segment.end_us for segment in rows.segments if segment.state == OPEN), default=None)
    return replace(found, gaps=tuple(_without_future(found.gaps, now_us, newest)))


def _unavailable(segment: StoredSegment, folder_of: FolderOf) -> GapReason | None:
    folder = folder_of(segment.root)
    if folder is None:
        return "elsewhere"
    try:
        return None if segment_path(folder, segment).stat().st_size >= segment.length else "lost"
    except OSError:
        return "lost"


def _codec(rows: FootageRows, segment: StoredSegment) -> str:
    return rows.inits[segment.init_digest].codecs[:4]


def _without_future(gaps: Collection[Gap], now_us: int, newest_us: int | None) -> list[Gap]:
    """Gaps as far as they lie in the past; that after an open segment only when it is longer than rows may lag."""
    past = [replace(gap, to_us=min(gap.to_us, now_us)) for gap in gaps]
    least = ROW_LAG_US if newest_us is not None else SMALLEST_GAP_US
    return [
        gap
        for gap in past
        if gap.to_us - gap.from_us >= (least if newest_us is not None and gap.from_us >= newest_us else SMALLEST_GAP_US)
    ]
