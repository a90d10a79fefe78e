"""Presence: the last sign of life of each device, for status pages and absence rules. Facts stay the truth.

Collectors gather sights in memory and write them every few seconds in one statement; an older sight never replaces a
newer one, so several collectors and late back-fill do no harm.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from store.pool import Connection

WRITE = """
INSERT INTO presence AS p (device, received_at, fixed_at, lat, lon, battery, online, online_at, via)
SELECT s.device, to_timestamp(s.received_ms / 1000.0), to_timestamp(s.fixed_ms / 1000.0), s.lat, s.lon, s.battery,
       s.online, to_timestamp(s.online_ms / 1000.0), s.via
FROM unnest(%s::integer[], %s::bigint[], %s::bigint[], %s::double precision[], %s::double precision[], %s::real[],
            %s::boolean[], %s::bigint[], %s::text[])
     AS s (device, received_ms, fixed_ms, lat, lon, battery, online, online_ms, via)
ORDER BY s.device
ON CONFLICT (device) DO UPDATE SET
    received_at = greatest(p.received_at, excluded.received_at),
    fixed_at = greatest(p.fixed_at, excluded.fixed_at),
    lat = CASE WHEN excluded.fixed_at >= p.fixed_at OR p.fixed_at IS NULL THEN excluded.lat ELSE p.lat END,
    lon = CASE WHEN excluded.fixed_at >= p.fixed_at OR p.fixed_at IS NULL THEN excluded.lon ELSE p.lon END,
    battery = CASE WHEN excluded.received_at >= p.received_at OR p.received_at IS NULL
              THEN coalesce(excluded.battery, p.battery) ELSE p.battery END,
    online = CASE WHEN excluded.online_at >= p.online_at OR p.online_at IS NULL
             THEN coalesce(excluded.online, p.online) ELSE p.online END,
    online_at = greatest(p.online_at, excluded.online_at),
    via = coalesce(excluded.via, p.via)
"""
READ = """
SELECT device, received_at, fixed_at, lat, lon, battery, online, online_at, via
FROM presence WHERE %(keys)s::integer[] IS NULL OR device = ANY (%(keys)s::integer[])
"""
COUNTS = """
SELECT d.kind, count(*), count(*) FILTER (WHERE p.online),
       count(*) FILTER (WHERE p.received_at >= now() - make_interval(secs => %(within_s)s))
FROM devices d LEFT JOIN presence p ON p.device = d.key
WHERE d.retired_at IS NULL GROUP BY d.kind
"""


class Sight(NamedTuple):
    """What a collector saw of a device since its last write. Instants: epoch milliseconds; None: nothing new.

    lat/lon belong to fixed_ms and are WGS-84 (None when stripped); online belongs to online_ms.
    """

    device: int
    received_ms: int | None = None
    fixed_ms: int | None = None
    lat: float | None = None
    lon: float | None = None
    battery: float | None = None
    online: bool | None = None
    online_ms: int | None = None
    via: str | None = None


class Presence(NamedTuple):
    """The last sign of life of a device."""

    device: int
    received_at: datetime | None
    fixed_at: datetime | None
    lat: float | None
    lon: float | None
    battery: float | None
    online: bool | None
    online_at: datetime | None
    via: str | None


class KindCount(NamedTuple):
    """How many devices of a kind are in service, connected, and heard of lately."""

    registered: int
    online: int
    heard: int


async def write_sights(connection: Connection, sights: Iterable[Sight]) -> None:
    """Writes sights, at most one a device, in one statement (index: presence_pkey)."""
    rows = list(sights)
    if rows:
        await connection.execute(WRITE, [list(column) for column in zip(*rows, strict=True)])


async def read_presence(connection: Connection, keys: Iterable[int] | None = None) -> Iterator[Presence]:
    """Presence of some devices, or of all; devices never heard of are missing."""
    rows = await (await connection.execute(READ, {"keys": None if keys is None else list(keys)})).fetchall()
    return (Presence(*row) for row in rows)


async def count_presence(connection: Connection, within_s: float) -> dict[str, KindCount]:
    """Per kind of device: registered, online, and heard of within so many seconds."""
    rows = await (await connection.execute(COUNTS, {"within_s": within_s})).fetchall()
    return {kind: KindCount(*counts) for kind, *counts in rows}
