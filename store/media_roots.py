"""Media roots: folders that hold footage, who serves them, and how full they are. Look-ups for the console, too."""

from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from store.footage import lease_name

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


@dataclass(frozen=True, slots=True)
class Serving:
    """The worker that records a camera just now."""

    camera: int
    url: str
    root: str
    worker: str


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


async def url_of_root(connection: Connection, root: str) -> str | None:
    """Media port that serves the files of a root: of a living worker on it, None while there is none."""
    found = await connection.execute(
        "SELECT url FROM stream_workers WHERE root = %s AND expires_at > clock_timestamp() "
        "ORDER BY expires_at DESC, holder LIMIT 1",
        (root,),
    )
    row = await found.fetchone()
    return None if row is None else str(row[0])


async def serving(connection: Connection, camera: int) -> Serving | None:
    """Who records a camera just now (its lease), None while nobody does. Index: leases_pkey."""
    found = await connection.execute(
        "SELECT details->>'url', details->>'root', details->>'worker' FROM leases "
        "WHERE name = %s AND expires_at > clock_timestamp()",
        (lease_name(camera),),
    )
    row = await found.fetchone()
    return None if row is None or row[0] is None else Serving(camera, *row)


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


async def media_key(connection: Connection) -> str:
    """What workers and consoles show each other on the internal media port. A secret: never logged."""
    found = await connection.execute("SELECT value FROM meta WHERE name = 'media_key'")
    row = await found.fetchone()
    assert row is not None, "migration 0007 made it"
    return str(row[0])
