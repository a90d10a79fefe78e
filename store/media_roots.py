"""Media roots: folders that hold footage, who serves them, and how full they are. Look-ups for the console, too."""

from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from store.footage import LONGEST_SEGMENT_S

Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class MediaRoot:
    """One folder. url: media port of a worker that serves it, None while none does. seen_ms: epoch milliseconds."""

    id: str
    host: str
    path: str
    url: str | None
    seen_ms: int
    bytes_free: int | None
    bytes_total: int | None


_COLUMNS = "id, host, path, url, (date_part('epoch', seen_at) * 1000)::bigint, bytes_free, bytes_total"


async def register(connection: Connection, root: str, host: str, path: str) -> None:
    """Makes the root known before anything is recorded to it, or tells where it is now."""
    await connection.execute(
        "INSERT INTO media_roots (id, host, path) VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE "
        "SET host = EXCLUDED.host, path = EXCLUDED.path, seen_at = clock_timestamp()",
        (root, host, path),
    )


async def beat(connection: Connection, root: str, url: str | None, bytes_free: int, bytes_total: int) -> None:
    """Every few seconds: it is there, who serves it, how full it is."""
    await connection.execute(
        "UPDATE media_roots SET url = coalesce(%s, url), seen_at = clock_timestamp(), bytes_free = %s, "
        "bytes_total = %s WHERE id = %s",
        (url, bytes_free, bytes_total, root),
    )


async def roots(connection: Connection) -> list[MediaRoot]:
    """All of them, the freshest first."""
    found = await connection.execute(f"SELECT {_COLUMNS} FROM media_roots ORDER BY seen_at DESC".encode())  # noqa: S608
    return [MediaRoot(*row) for row in await found.fetchall()]


@dataclass(frozen=True, slots=True)
class MediaWorker:
    """A living worker as the console asks it. cameras: keys of those that it records just now."""

    holder: str
    url: str
    root: str
    cameras: frozenset[int]


async def media_workers(connection: Connection) -> list[MediaWorker]:
    """Every living worker with its cameras, in a stable order."""
    found = await connection.execute(
        "SELECT w.holder, w.url, w.root, coalesce(array_agg(substr(l.name, length('camera:') + 1)::integer) "
        "FILTER (WHERE l.name IS NOT NULL), '{}') FROM stream_workers w "
        "LEFT JOIN leases l ON l.holder = w.holder AND l.name LIKE 'camera:%' AND l.expires_at > clock_timestamp() "
        "WHERE w.expires_at > clock_timestamp() GROUP BY w.holder ORDER BY w.worker, w.holder"
    )
    return [MediaWorker(holder, url, root, frozenset(keys)) for holder, url, root, keys in await found.fetchall()]


async def roots_of_span(connection: Connection, camera: int, stream: int, from_us: int, to_us: int) -> list[str]:
    """Roots that hold footage of a camera's stream in [from, to), the one with the most segments first.

    Index: footage_segments_time; a segment is at most LONGEST_SEGMENT_S long.
    """
    found = await connection.execute(
        "SELECT root FROM footage_segments WHERE camera = %(camera)s AND stream = %(stream)s "
        "AND start_at < to_timestamp(%(to)s / 1e6) AND start_at > to_timestamp((%(from)s - %(longest)s) / 1e6) "
        "AND end_at > to_timestamp(%(from)s / 1e6) AND state <> 2 GROUP BY root ORDER BY count(*) DESC, root",
        {
            "camera": camera,
            "stream": stream,
            "from": from_us,
            "to": to_us,
            "longest": LONGEST_SEGMENT_S * 1_000_000,
        },
    )
    return [str(root) for (root,) in await found.fetchall()]


async def root_of_run(connection: Connection, run: str) -> list[str]:
    """The root that a run lies in; empty for an unknown one."""
    found = await connection.execute("SELECT root FROM footage_runs WHERE id = %s", (run,))
    return [str(root) for (root,) in await found.fetchall()]


async def media_key(connection: Connection) -> str:
    """What workers and consoles show each other on the internal media port. A secret: never logged."""
    found = await connection.execute("SELECT value FROM meta WHERE name = 'media_key'")
    row = await found.fetchone()
    assert row is not None, "migration 0007 made it"
    return str(row[0])
