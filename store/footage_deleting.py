"""Deleting footage: the rows' part of its three durable steps (design §4), and what the cleaner wants to know.

1. `mark`: rows → state 2, commit. 2. The files are unlinked and their folder synced (streams.cleaner). 3. `forget`:
rows go, their numbers into `footage_runs.gone`. Whatever is killed between, `unfinished` finds the rest. Open segments
are never marked. All inside the caller's transaction, which is fenced by the lease `cleaner:<root>`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from psycopg import AsyncConnection

from store.footage_reading import epoch_us
from store.protections import ACTIVE, COVERS, LOCK

Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Doomed:
    """A segment in state 2. camera_id: the device's id, as in its path. start_us: epoch microseconds."""

    run: str
    n: int
    camera_id: str
    stream: int
    day: date
    size: int
    start_us: int


_DOOMED: Final = f"s.run, s.n, d.id, s.stream, s.day, s.bytes, {epoch_us('s.start_at')}"

_MARK: Final = f"""
WITH chosen AS (
    SELECT s.run, s.n FROM footage_segments s WHERE s.root = %(root)s AND s.stream = %(stream)s AND s.state <> 2
        AND s.state = 1 AND s.start_at >= to_timestamp(%(after)s / 1e6) AND s.start_at < to_timestamp(%(before)s / 1e6)
        AND s.end_at <= to_timestamp(%(before)s / 1e6) AND NOT {COVERS}
    ORDER BY s.start_at LIMIT %(most)s FOR UPDATE OF s SKIP LOCKED
)
UPDATE footage_segments s SET state = 2 FROM chosen, devices d
WHERE s.run = chosen.run AND s.n = chosen.n AND d.key = s.camera RETURNING {_DOOMED}
"""  # noqa: S608 - our own constants


async def mark(
    connection: Connection, root: str, stream: int, *, after_us: int, before_us: int, most: int
) -> list[Doomed]:
    """Step 1: the oldest closed, unprotected segments of a stream in [after, before), at most `most`, by start.

    after_us: nothing unprotected is older, so that a lot of protected footage is not read again each time.
    Index: footage_segments_oldest.
    """
    await connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", (LOCK,))
    found = await connection.execute(
        _MARK.encode(), {"root": root, "stream": stream, "after": after_us, "before": before_us, "most": most}
    )
    return sorted((Doomed(*row) for row in await found.fetchall()), key=lambda doomed: doomed.start_us)


async def unfinished(connection: Connection, root: str, most: int) -> list[Doomed]:
    """Segments that somebody marked and did not forget. Index: footage_segments_unfinished."""
    found = await connection.execute(
        f"SELECT {_DOOMED} FROM footage_segments s JOIN devices d ON d.key = s.camera "  # noqa: S608
        "WHERE s.root = %s AND s.state = 2 AND s.state <> 1 LIMIT %s".encode(),
        (root, most),
    )
    return [Doomed(*row) for row in await found.fetchall()]


async def forget(connection: Connection, segments: Sequence[tuple[str, int]]) -> int:
    """Step 3: the rows go, in whatever state they are; returns how many. Runs first: see store.footage.record."""
    keys: dict[str, object] = {"runs": [run for run, _ in segments], "numbers": [n for _, n in segments]}
    await connection.execute(
        "WITH lost AS (SELECT run, range_agg(int4range(n, n + 1)) AS numbers FROM unnest(%(runs)s::text[], "
        "%(numbers)s::integer[]) AS lost (run, n) GROUP BY run), "
        "locked AS (SELECT id FROM footage_runs WHERE id IN (SELECT run FROM lost) ORDER BY id FOR NO KEY UPDATE) "
        "UPDATE footage_runs r SET gone = r.gone + lost.numbers FROM lost, locked "
        "WHERE r.id = lost.run AND locked.id = r.id",
        keys,
    )
    done = await connection.execute(
        "DELETE FROM footage_segments s USING unnest(%(runs)s::text[], %(numbers)s::integer[]) AS lost (run, n) "
        "WHERE s.run = lost.run AND s.n = lost.n",
        keys,
    )
    return done.rowcount


async def drop_empty_runs(connection: Connection, root: str, before_us: int, most: int) -> int:
    """Deletes runs (and their clock maps) that began before an instant and have no segment; returns how many.

    The caller leaves so much time that no journal can still hold segments of theirs.
    """
    done = await connection.execute(
        "DELETE FROM footage_runs WHERE id = ANY (ARRAY(SELECT r.id FROM footage_runs r WHERE r.root = %s "
        "AND r.began_at < to_timestamp(%s / 1e6) "
        "AND NOT EXISTS (SELECT FROM footage_segments s WHERE s.run = r.id) LIMIT %s))",
        (root, before_us, most),
    )
    return done.rowcount


async def oldest_us(
    connection: Connection, root: str, stream: int, after_us: int, *, with_protected: bool = False
) -> int | None:
    """Start of the oldest (unprotected) footage of a stream from `after_us` on. Index: footage_segments_oldest."""
    found = await connection.execute(
        f"SELECT {epoch_us('s.start_at')} FROM footage_segments s WHERE s.root = %s AND s.stream = %s "  # noqa: S608
        f"AND s.state <> 2 AND s.start_at >= to_timestamp(%s / 1e6) AND (%s OR NOT {COVERS}) "
        "ORDER BY s.start_at LIMIT 1".encode(),
        (root, stream, after_us, with_protected),
    )
    row = await found.fetchone()
    return None if row is None else row[0]


async def protection_state(connection: Connection) -> tuple[int, int]:
    """Changes whenever a protection begins or ends: what was passed over must be looked at again."""
    found = await connection.execute(
        f"SELECT count(*), coalesce(max(p.id), 0) FROM footage_protections p WHERE {ACTIVE}".encode()  # noqa: S608
    )
    row = await found.fetchone()
    assert row is not None
    return row[0], row[1]


async def bytes_between(connection: Connection, root: str, stream: int, from_us: int, to_us: int) -> tuple[int, int]:
    """Bytes of the segments that began in [from, to), and when the first of them did (0 without any).

    Index: footage_segments_oldest.
    """
    found = await connection.execute(
        f"SELECT coalesce(sum(bytes), 0)::bigint, coalesce({epoch_us('min(start_at)')}, 0) "  # noqa: S608
        "FROM footage_segments WHERE root = %s AND stream = %s AND state <> 2 "
        "AND start_at >= to_timestamp(%s / 1e6) AND start_at < to_timestamp(%s / 1e6)".encode(),
        (root, stream, from_us, to_us),
    )
    row = await found.fetchone()
    assert row is not None
    return row[0], row[1]
