"""What the start-up sweep and `wangge doctor --deep` ask the store: which files there should be, a folder at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from psycopg import AsyncConnection

from store.footage_reading import epoch_us

Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Expected:
    """A segment as its row describes it. is_live: its run's lease lives, so a recorder may be writing it."""

    run: str
    n: int
    camera: int
    camera_id: str
    stream: int
    day: date
    state: int
    size: int
    start_pts: int
    end_pts: int
    start_us: int
    end_us: int
    durable_until_us: int
    is_live: bool


_COLUMNS: Final = (
    "s.run, s.n, s.camera, d.id, s.stream, s.day, s.state, s.bytes, s.start_pts, s.end_pts, "
    f"{epoch_us('s.start_at')}, {epoch_us('s.end_at')}, {epoch_us('s.durable_until')}, "
    "EXISTS (SELECT FROM leases l WHERE l.name = 'camera:' || s.camera AND l.epoch = r.epoch "
    "AND l.expires_at > clock_timestamp())"
)
_FROM: Final = "footage_segments s JOIN footage_runs r ON r.id = s.run JOIN devices d ON d.key = s.camera"


async def cameras(connection: Connection) -> dict[str, int]:
    """All cameras that ever were, id → key."""
    found = await connection.execute("SELECT id, key FROM devices WHERE kind = 'camera' ORDER BY id")
    return dict(await found.fetchall())


async def segments_of_day(
    connection: Connection, root: str, camera: int, stream: int, day: date
) -> dict[tuple[str, int], Expected]:
    """What should lie in one day folder, in whatever state, by (run, n). Index: footage_segments_time.

    A clock map that changed may move a start over midnight, so the days beside are looked through, too.
    """
    found = await connection.execute(
        f"SELECT {_COLUMNS} FROM {_FROM} WHERE s.camera = %(camera)s AND s.stream = %(stream)s "  # noqa: S608
        "AND s.root = %(root)s AND s.day = %(day)s AND s.start_at >= %(day)s::date - interval '1 day' "
        "AND s.start_at < %(day)s::date + interval '2 days'".encode(),
        {"camera": camera, "stream": stream, "root": root, "day": day},
    )
    rows = [Expected(*row) for row in await found.fetchall()]
    return {(row.run, row.n): row for row in rows}


async def days(connection: Connection, root: str, camera: int, stream: int) -> set[date]:
    """Days that have rows, by hops over the index footage_segments_time: a probe a day, not a row."""
    found: set[date] = set()
    after = date(1970, 1, 1)
    while True:
        answer = await connection.execute(
            "SELECT day, (start_at AT TIME ZONE 'UTC')::date FROM footage_segments WHERE camera = %s AND stream = %s "
            "AND root = %s AND start_at >= %s::date ORDER BY start_at LIMIT 1",
            (camera, stream, root, after),
        )
        row = await answer.fetchone()
        if row is None:
            return found
        found.update(row)
        after = date.fromordinal(row[1].toordinal() + 1)


async def open_segments(connection: Connection, root: str, most: int = 10_000) -> list[Expected]:
    """Rows of segments that are open. Index: footage_segments_unfinished."""
    found = await connection.execute(
        f"SELECT {_COLUMNS} FROM {_FROM} WHERE s.root = %s AND s.state = 0 AND s.state <> 1 "  # noqa: S608
        "ORDER BY s.run, s.n LIMIT %s".encode(),
        (root, most),
    )
    return [Expected(*row) for row in await found.fetchall()]


async def settle(
    connection: Connection,
    run: str,
    n: int,
    *,
    end_pts: int,
    end_us: int,
    size: int,
    samples: int,
    sample_index: bytes,
) -> bool:
    """Writes what a file really holds into its row and closes it; False when the row is gone or being deleted."""
    done = await connection.execute(
        "UPDATE footage_segments SET state = 1, end_pts = %(end_pts)s, end_at = to_timestamp(%(end_us)s / 1e6), "
        "durable_until = to_timestamp(%(end_us)s / 1e6), bytes = %(size)s, samples = %(samples)s, "
        "sample_index = %(index)b WHERE run = %(run)s AND n = %(n)s AND state <> 2",
        {
            "run": run,
            "n": n,
            "end_pts": end_pts,
            "end_us": end_us,
            "size": size,
            "samples": samples,
            "index": sample_index,
        },
    )
    return done.rowcount == 1


async def indexes(connection: Connection, segments: Sequence[tuple[str, int]]) -> dict[tuple[str, int], bytes]:
    """`sample_index` of closed segments."""
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(
            "SELECT s.run, s.n, s.sample_index FROM footage_segments s JOIN unnest(%s::text[], %s::integer[]) "
            "AS wanted (run, n) USING (run, n) WHERE s.state = 1",
            ([run for run, _ in segments], [n for _, n in segments]),
        )
        return {(run, n): index for run, n, index in await cursor.fetchall()}


async def run_offset(connection: Connection, run: str) -> tuple[int, int, bytes] | None:
    """(start_pts, start_us, sample_index) of some segment of a run, which tells where its media time lies."""
    found = await connection.execute(
        f"SELECT start_pts, {epoch_us('start_at')}, sample_index FROM footage_segments WHERE run = %s "  # noqa: S608
        "ORDER BY n DESC LIMIT 1".encode(),
        (run,),
    )
    return await found.fetchone()
