"""What is missing before a stream's first run in this process: only rows, and the last file itself, know it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from psycopg import AsyncConnection

from core.camera import CameraFact
from core.errors import DecodeError
from core.media import STREAMS
from store.footage import OPEN
from streams.adopting import content_of
from streams.layout import SegmentName
from streams.mp4 import read_segment
from streams.recorder.gaps import gap_fact
from streams.recorder.outbox import Start

log = structlog.get_logger()

Connection = AsyncConnection[Any]

CONNECTING_US = 15_000_000
"""So long a camera may take to bring its first picture before the wait counts as its own."""


@dataclass(frozen=True, slots=True)
class Place:
    """A media root that can be read here: its id and folder."""

    root: str
    folder: Path


async def gaps_before(connection: Connection, start: Start, gap_us: int, place: Place | None) -> list[CameraFact]:
    """Facts of what is missing: until we came it was ours, then the camera's. gap_us: shorter ones are none.

    The row of a file that a killed recorder left open is some seconds behind the file until the sweep closes it; so
    the file is asked where it is at hand (place). Index: footage_segments_time.
    """
    ended_us = await _end_before(connection, start, place)
    if ended_us is None:
        return []
    stream = STREAMS[start.stream]
    came_us = min(max(ended_us, start.added_us), start.began_us)
    gaps = []
    if start.began_us - came_us > max(gap_us, CONNECTING_US):
        gaps.append(gap_fact(start.camera, stream, came_us, start.began_us, "signal"))
    else:
        came_us = start.began_us
    if came_us - ended_us > gap_us:
        gaps.insert(0, gap_fact(start.camera, stream, ended_us, came_us, "restart"))
    return gaps


async def _end_before(connection: Connection, start: Start, place: Place | None) -> int | None:
    """Where the footage before a run ended, epoch microseconds."""
    found = await connection.execute(
        "SELECT (date_part('epoch', s.end_at) * 1e6)::bigint, s.state, s.root, d.id, s.day, s.run, s.n, s.bytes, "
        "s.end_pts - s.start_pts FROM footage_segments s JOIN devices d ON d.key = s.camera "
        "WHERE s.camera = %s AND s.stream = %s AND s.start_at < to_timestamp(%s / 1e6) AND s.run <> %s "
        "ORDER BY s.start_at DESC LIMIT 1",
        (start.camera, start.stream, start.began_us, start.run),
    )
    row = await found.fetchone()
    if row is None:
        return None
    ended_us, state, root, camera_id, day, run, n, size, ticks = row
    if state != OPEN or place is None or root != place.root:
        return int(ended_us)
    path = place.folder / SegmentName(camera_id, start.stream, day, run, n).path
    longer = await asyncio.to_thread(_ticks_of, path, size)
    return int(ended_us + max(0, longer - ticks) * 100 // 9)


def _ticks_of(path: Path, known: int) -> int:
    """How long a file is, 1/90 000 s; 0 where it cannot be told. known: bytes that are good as its row says."""
    try:
        content = content_of(read_segment(path, check_payload_from=known))
    except (OSError, DecodeError) as error:
        log.warning("ledger.file_before_unreadable", file=path.name, reason=type(error).__name__)
        return 0
    return 0 if content is None else content.ticks
