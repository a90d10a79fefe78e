"""Tracks of a device out of the store: read in pieces, written in one of four formats; every export is audited.

Rows come in order of (fixed_at, digest), flagged ones included; a fix whose position was stripped has none. Constant
memory: the formats are generators. `datum` shifts positions at this edge only.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg import AsyncConnection

from console import reach
from console.rights import Operator
from console.where import Where
from core.errors import InvalidInput, NotFound
from core.fix import AlarmCode, Datum, Flag, SourceCode
from core.place import from_wgs84
from store.audit import Entry, record

Connection = AsyncConnection[Any]
Format = Literal["geojson", "gpx", "mfjson", "csv"]
ITEMS_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Point:
    """One stored fix for people and their programs; positions in the datum that was asked for."""

    fixed_at: datetime
    received_at: datetime
    lat: float | None
    lon: float | None
    accuracy_m: float | None
    altitude_m: float | None
    speed_mps: float | None
    heading_deg: float | None
    battery: float | None
    satellites: int | None
    source: str | None
    alarm: str | None
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose track, when ([since, until)), in which datum, and what for."""

    device: str
    since: datetime
    until: datetime
    datum: Datum = "wgs84"
    purpose: str | None = None


_COLUMNS = """f.fixed_at, f.received_at, f.lat, f.lon, f.accuracy_m, f.altitude_m, f.speed_mps, f.heading_deg,
              f.battery, f.satellites, f.source, f.alarm, f.flags"""


async def permit(connection: Connection, caller: Operator, wanted: Wanted, grid: str | None, action: str) -> int:
    """Checks the device and writes the audit row in the caller's transaction; returns the device's key.

    grid: the device's grid when the interval begins, for the audit row. Raises NotFound (unknown, or never in the
    caller's scope in that time), InvalidInput (empty interval).
    """
    if wanted.until <= wanted.since:
        raise InvalidInput("to: it must be later than from.")
    key = await reach.device_between(connection, caller, wanted.device, wanted.since, wanted.until)
    if key is None:
        raise NotFound(f"There is no device {wanted.device} in your scope.")
    scope = grid if grid is not None and caller.sees(grid) else caller.division or None
    details: dict[str, object] = {"from": wanted.since.isoformat(), "to": wanted.until.isoformat()}
    await record(
        connection,
        Entry(caller.who, action, caller.role, wanted.device, scope, wanted.purpose, caller.peer, details),
    )
    return key


async def points(connection: Connection, caller: Operator, key: int, wanted: Wanted) -> AsyncIterator[Point]:
    """The track in pieces through a server-side cursor; needs an open transaction. Index: primary key of fixes.

    A worker gets only what was recorded while the handset was the own one, a caller with a division only what was
    recorded while the device belonged to it.
    """
    where = Where().add("f.device = %s", key).add("f.fixed_at >= %s", wanted.since)
    reach.belonging(where.add("f.fixed_at < %s", wanted.until), caller, "f.device", "f.fixed_at")
    if caller.role == "worker":
        where.add(
            """EXISTS (SELECT FROM handset_workers h WHERE h.handset = f.device AND h.worker = %s
               AND h.valid_from <= f.fixed_at AND (h.valid_to IS NULL OR f.fixed_at < h.valid_to))""",
            caller.worker,
        )
    async with connection.cursor("track") as cursor:
        cursor.itersize = ITEMS_AT_ONCE
        query = f"SELECT {_COLUMNS} FROM fixes f WHERE {where.sql} ORDER BY f.fixed_at, f.digest"  # noqa: S608
        await cursor.execute(query, where.values)
        async for row in cursor:
            yield point_of(row, wanted.datum)


def point_of(row: tuple[Any, ...], datum: Datum) -> Point:
    """A row of `_COLUMNS` in the datum that was asked for."""
    fixed_at, received_at, lat, lon, accuracy, altitude, speed, heading, battery, satellites, source, alarm, flags = row
    if lat is not None and lon is not None and datum != "wgs84":
        lat, lon = from_wgs84(lat, lon, datum)
    return Point(
        fixed_at,
        received_at,
        lat,
        lon,
        accuracy,
        altitude,
        speed,
        heading,
        battery,
        satellites,
        None if source is None else SourceCode(source).name.lower(),
        None if alarm is None else AlarmCode(alarm).name.lower(),
        tuple(flag.name.lower() for flag in Flag(flags) if flag.name),
    )
