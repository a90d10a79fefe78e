"""Reads of footage: segments of a camera by time, clock maps, init sections. Open segments are read like closed."""

from collections.abc import Collection
from typing import Any, Final

from psycopg import AsyncConnection

from store.footage import LONGEST_SEGMENT_S, ClockRow, InitRow, RunRow, SegmentRow

Connection = AsyncConnection[Any]


def epoch_us(column: str) -> str:
    """SQL of a time as epoch microseconds (exact until 2100: float8 has them)."""
    return f"(date_part('epoch', {column}) * 1e6)::bigint"


SEGMENT_COLUMNS: Final = (
    "s.run, s.n, s.camera, s.stream, s.root, s.day, s.state, s.init_digest, s.start_pts, s.end_pts, "
    f"{epoch_us('s.start_at')}, {epoch_us('s.end_at')}, {epoch_us('s.durable_until')}, s.bytes, s.samples"
)
"""Columns of `SegmentRow` but the last, of a table named s."""


async def segments_between(
    connection: Connection, camera: int, stream: int, from_us: int, to_us: int, *, with_index: bool = True
) -> list[SegmentRow]:
    """Segments with footage in [from, to), by start; what is being deleted is left out. stream: 0 main, 1 sub.

    with_index False leaves `sample_index` empty, which is much quicker for long spans. Recordings may overlap.
    Index: footage_segments_time, from LONGEST_SEGMENT_S before the span.
    """
    index = "s.sample_index" if with_index else "''::bytea"
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(
            f"SELECT {SEGMENT_COLUMNS}, {index} FROM footage_segments s WHERE s.camera = %(camera)s "  # noqa: S608
            "AND s.stream = %(stream)s AND s.start_at < to_timestamp(%(to)s / 1e6) "
            "AND s.start_at > to_timestamp(%(from)s / 1e6 - %(longest)s) AND s.end_at > to_timestamp(%(from)s / 1e6) "
            "AND s.state <> 2 ORDER BY s.start_at, s.run, s.n".encode(),
            {"camera": camera, "stream": stream, "from": from_us, "to": to_us, "longest": LONGEST_SEGMENT_S},
        )
        return [SegmentRow(*row) for row in await cursor.fetchall()]


async def runs(connection: Connection, ids: Collection[str]) -> dict[str, RunRow]:
    """Runs by id; unknown ones are missing."""
    found = await connection.execute(
        f"SELECT id, camera, stream, root, epoch, {epoch_us('began_at')}, reason FROM footage_runs "  # noqa: S608
        "WHERE id = ANY (%s)".encode(),
        (list(ids),),
    )
    return {row[0]: RunRow(*row) for row in await found.fetchall()}


async def clock_points(connection: Connection, ids: Collection[str], kind: str = "map") -> dict[str, list[ClockRow]]:
    """Points of the clock maps of these runs, by media time. Index: footage_clocks_pkey."""
    found = await connection.execute(
        "SELECT run, kind, pts_90k, utc_us FROM footage_clocks WHERE run = ANY (%s) AND kind = %s "
        "ORDER BY run, pts_90k",
        (list(ids), kind),
    )
    points: dict[str, list[ClockRow]] = {run: [] for run in ids}
    for row in await found.fetchall():
        points[row[0]].append(ClockRow(*row))
    return points


async def inits(connection: Connection, digests: Collection[bytes]) -> dict[bytes, InitRow]:
    """Initialisation sections by digest."""
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(
            "SELECT digest, codecs, width, height, init FROM footage_inits WHERE digest = ANY (%b)", (list(digests),)
        )
        return {row[0]: InitRow(*row) for row in await cursor.fetchall()}


async def first_and_last_us(connection: Connection, camera: int, stream: int) -> tuple[int, int] | None:
    """When the footage of a stream begins, and where its newest segment ends; None without any."""
    of_stream = "FROM footage_segments WHERE camera = %(camera)s AND stream = %(stream)s AND state <> 2"
    found = await connection.execute(
        f"SELECT (SELECT {epoch_us('start_at')} {of_stream} ORDER BY start_at LIMIT 1), "
        f"(SELECT {epoch_us('end_at')} {of_stream} ORDER BY start_at DESC LIMIT 1)".encode(),
        {"camera": camera, "stream": stream},
    )
    row = await found.fetchone()
    return None if row is None or row[0] is None else (row[0], row[1])
