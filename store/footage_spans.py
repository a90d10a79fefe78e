"""Footage as clips, playlists, pictures and the time line read it: segments with what their run and camera say.

Rows change while footage is recorded: an open segment grows, a clock map gets points (and moves a run by up to a
second while it settles). So reads by time look a little further than asked, and what is exact follows from the clock
map. Segments that are being deleted are left out. Times are UTC epoch microseconds.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection

from store.footage import LONGEST_SEGMENT_S
from store.footage_reading import epoch_us

Connection = AsyncConnection[Any]

_US: Final = 1_000_000
_MARGIN_US: Final = 2 * _US
"""A run whose clock errs by more than a second is ended."""


class StoredSegment(msgspec.Struct, frozen=True, gc=False):
    """A segment with its run and camera. sample_index: empty where it was not asked for.

    camera_id: the device's name, a folder of the file's path. start_pts: media time of its first picture. end_us,
    end_pts: end of the last sample, excluded. length: good bytes of the file. epoch, run_*: of the run.
    """

    run: str
    n: int
    camera_id: str
    stream: int
    root: str
    day: date
    state: int
    init_digest: bytes
    start_pts: int
    end_pts: int
    start_us: int
    end_us: int
    length: int
    samples: int
    epoch: int
    run_began_us: int
    run_reason: str
    sample_index: bytes = b""


_COLUMNS: Final = (
    "SELECT s.run, s.n, d.id, s.stream, s.root, s.day, s.state, s.init_digest, s.start_pts, s.end_pts, "
    f"{epoch_us('s.start_at')}, {epoch_us('s.end_at')}, s.bytes, s.samples, r.epoch, {epoch_us('r.began_at')}, r.reason"
)
_FROM: Final = " FROM footage_segments s JOIN footage_runs r ON r.id = s.run JOIN devices d ON d.key = s.camera "
_BETWEEN: Final = (
    "WHERE s.camera = %(camera)s AND s.stream = %(stream)s AND s.start_at < to_timestamp(%(until)s / 1e6) "
    "AND s.start_at > to_timestamp(%(earliest)s / 1e6) AND s.end_at > to_timestamp(%(since)s / 1e6) AND s.state <> 2 "
    "ORDER BY s.start_at, s.run, s.n LIMIT %(most)s"
)
_BEFORE: Final = (
    "WHERE s.camera = %(camera)s AND s.stream = %(stream)s AND s.start_at <= to_timestamp(%(at)s / 1e6) "
    "AND s.start_at > to_timestamp(%(earliest)s / 1e6) AND s.state <> 2 "
    "ORDER BY s.start_at DESC, s.run DESC, s.n DESC LIMIT 3"
)
_ONE: Final = "WHERE s.run = %(run)s AND s.n = %(n)s AND s.camera = %(camera)s AND s.state <> 2"


async def segments_between(
    connection: Connection,
    camera: int,
    stream: int,
    from_us: int,
    to_us: int,
    *,
    with_index: bool = True,
    most: int = 20_000,
) -> list[StoredSegment]:
    """Segments that have or may have footage of [from_us, to_us), by their start. Index: footage_segments_time.

    camera: registry key. stream: 0 main, 1 sub. most: a limit for safety; rows beyond it are left out.
    """
    span = {
        "camera": camera,
        "stream": stream,
        "since": from_us - _MARGIN_US,
        "until": to_us + _MARGIN_US,
        "earliest": from_us - _MARGIN_US - LONGEST_SEGMENT_S * _US,
        "most": most,
    }
    return await _segments(connection, _BETWEEN, span, with_index=with_index)


async def segments_before(
    connection: Connection, camera: int, stream: int, at_us: int, reach_us: int
) -> list[StoredSegment]:
    """The newest segments (at most 3, newest first) that may have a picture of [at_us - reach_us, at_us].

    Index: footage_segments_time.
    """
    earliest = at_us - reach_us - _MARGIN_US - LONGEST_SEGMENT_S * _US
    span = {"camera": camera, "stream": stream, "at": at_us + _MARGIN_US, "earliest": earliest}
    return await _segments(connection, _BEFORE, span)


async def segment(connection: Connection, camera: int, run: str, n: int) -> StoredSegment | None:
    """One segment of the camera; None when it is not (or no more) there. Index: footage_segments_pkey."""
    found = await _segments(connection, _ONE, {"camera": camera, "run": run, "n": n}, with_index=False)
    return found[0] if found else None


async def _segments(
    connection: Connection, where: str, parameters: Mapping[str, object], *, with_index: bool = True
) -> list[StoredSegment]:
    columns = _COLUMNS + (", s.sample_index" if with_index else "")
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute((columns + _FROM + where).encode(), parameters)
        return [StoredSegment(*row) for row in await cursor.fetchall()]


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """Segments of one run without a hole between them, counted whole. first_n: number of the first.
    length: bytes. reason: why the run began. is_open: its last segment still grows.
    """

    run: str
    stream: int
    first_n: int
    start_us: int
    end_us: int
    length: int
    segments: int
    reason: str
    is_open: bool


async def stretches(connection: Connection, camera: int, from_us: int, to_us: int) -> list[Stretch]:
    """What is there of [from_us, to_us), both streams, by stream and start.

    30 days are 43,200 rows a stream, read through footage_segments_time and grouped by the server.
    """
    statement = (
        f"SELECT s.run, s.stream, min(s.n), {epoch_us('min(s.start_at)')}, {epoch_us('max(s.end_at)')}, "  # noqa: S608
        "sum(s.bytes)::bigint, count(*)::integer, r.reason, bool_or(s.state = 0) "
        "FROM (SELECT run, n, n - row_number() OVER (PARTITION BY run ORDER BY n) AS island, stream, start_at, end_at, "
        "bytes, state FROM footage_segments WHERE camera = %(camera)s AND stream IN (0, 1) "
        "AND start_at < to_timestamp(%(until)s / 1e6) AND start_at > to_timestamp(%(earliest)s / 1e6) "
        "AND end_at > to_timestamp(%(since)s / 1e6) AND state <> 2) s "
        "JOIN footage_runs r ON r.id = s.run GROUP BY s.run, s.stream, s.island, r.reason "
        "ORDER BY s.stream, min(s.start_at), s.run"
    )
    span = {"camera": camera, "since": from_us, "until": to_us, "earliest": from_us - LONGEST_SEGMENT_S * _US}
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(statement.encode(), span)
        return [Stretch(*row) for row in await cursor.fetchall()]
