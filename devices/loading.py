"""Reads the registry's tables from the store: all rows, or those of some keys. Blocking, for a thread of its own.

Rows are reduced in SQL to integers and texts (instants as epoch milliseconds, shift plans as one text a worker), and
equal plans are parsed once and shared: 10,590 workers have a few dozen different plans.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import TupleRow

from devices.geometry import Grid
from devices.records import FOREVER, Assignment, DeviceRecord, Division, Place, Site, Worker
from devices.shifts import DayShift, PlanRow, WorkerShifts

Connection = psycopg.Connection[TupleRow]
Keys = list[Any] | None
"""None: all rows."""

DEVICES = """
SELECT d.key, d.id, d.kind, d.name, d.model, d.datum, d.url, d.settings,
       (extract(epoch FROM d.retired_at) * 1000)::bigint, CASE WHEN d.retired_at IS NULL THEN c.token_sha256 END
FROM devices d LEFT JOIN credentials c ON c.device = d.key AND c.revoked_at IS NULL
WHERE %(keys)s::integer[] IS NULL OR d.key = ANY (%(keys)s::integer[])
ORDER BY d.key
"""
ALIASES = "SELECT protocol, alias, device FROM device_aliases"
HANDSET_WORKERS = """
SELECT handset, (extract(epoch FROM valid_from) * 1000)::bigint, (extract(epoch FROM valid_to) * 1000)::bigint, worker
FROM handset_workers WHERE %(keys)s::integer[] IS NULL OR handset = ANY (%(keys)s::integer[])
ORDER BY handset, valid_from
"""
SITES = """
SELECT device, (extract(epoch FROM valid_from) * 1000)::bigint, (extract(epoch FROM valid_to) * 1000)::bigint,
       grid, lat, lon
FROM device_sites WHERE %(keys)s::integer[] IS NULL OR device = ANY (%(keys)s::integer[])
ORDER BY device, valid_from
"""
WORKERS = """
SELECT id, name, phone, team, (extract(epoch FROM retired_at) * 1000)::bigint
FROM workers WHERE %(keys)s::text[] IS NULL OR id = ANY (%(keys)s::text[])
"""
WORKER_GRIDS = """
SELECT worker, (extract(epoch FROM valid_from) * 1000)::bigint, (extract(epoch FROM valid_to) * 1000)::bigint, grid
FROM worker_grids WHERE %(keys)s::text[] IS NULL OR worker = ANY (%(keys)s::text[])
ORDER BY worker, valid_from, grid
"""
PLANS = """
SELECT worker, string_agg(concat_ws(',', weekday, extract(epoch FROM starts_at)::integer / 60,
           extract(epoch FROM ends_at)::integer / 60, valid_from - date '0001-01-01' + 1,
           valid_to - date '0001-01-01' + 1), ';' ORDER BY valid_from, weekday, starts_at)
FROM shift_plans WHERE %(keys)s::text[] IS NULL OR worker = ANY (%(keys)s::text[])
GROUP BY worker
"""
EXCEPTIONS = """
SELECT worker, string_agg(concat_ws(',', day - date '0001-01-01' + 1, extract(epoch FROM starts_at)::integer / 60,
           extract(epoch FROM ends_at)::integer / 60), ';' ORDER BY day, starts_at)
FROM shift_exceptions WHERE %(keys)s::text[] IS NULL OR worker = ANY (%(keys)s::text[])
GROUP BY worker
"""
GRIDS = """
SELECT code, name, kind, polygon::text, min_lon, min_lat, max_lon, max_lat
FROM grids WHERE %(keys)s::text[] IS NULL OR code = ANY (%(keys)s::text[])
ORDER BY code
"""
PLACES = """
SELECT id, grid, kind, name, lat, lon, radius_m, dwell_s, ordinal
FROM places WHERE %(keys)s::text[] IS NULL OR grid = ANY (%(keys)s::text[])
ORDER BY grid, ordinal NULLS LAST, id
"""
DIVISIONS = """
SELECT code, name, kind FROM divisions WHERE %(keys)s::text[] IS NULL OR code = ANY (%(keys)s::text[])
"""


class Family(NamedTuple):
    """One mapping of `registry.Tables`: which SQL tables feed it and how it is read. by_key: keys can be reloaded."""

    name: str
    sources: tuple[str, ...]
    load: Callable[["Loader", Connection, Keys], dict[Any, Any]]
    by_key: bool = True


class Loader:
    """Reads families of the registry; keeps the parsed shift plans so that equal ones are one object."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._shifts: dict[tuple[str, str], WorkerShifts] = {}

    def devices(self, connection: Connection, keys: Keys) -> dict[int, DeviceRecord]:
        """Records with the digest of their valid token."""
        rows = connection.execute(DEVICES, {"keys": keys})
        return {row[0]: DeviceRecord(*row) for row in rows}

    def aliases(self, connection: Connection, keys: Keys) -> dict[tuple[str, str], int]:
        """Names that protocols know devices by."""
        return {(protocol, alias): key for protocol, alias, key in connection.execute(ALIASES)}

    def sites(self, connection: Connection, keys: Keys) -> dict[int, tuple[Site, ...]]:
        """Where devices stand."""
        rows = connection.execute(SITES, {"keys": keys})
        return _grouped((key, Site(since, _end(until), *rest)) for key, since, until, *rest in rows)

    def workers(self, connection: Connection, keys: Keys) -> dict[str, Worker]:
        """People."""
        return {row[0]: Worker(*row) for row in connection.execute(WORKERS, {"keys": keys})}

    def assignments(self, statement: str, connection: Connection, keys: Keys) -> dict[Any, tuple[Assignment, ...]]:
        """Whose handset, whose grid."""
        rows = connection.execute(cast("Any", statement), {"keys": keys})
        return _grouped((key, Assignment(since, _end(until), to)) for key, since, until, to in rows)

    def shifts(self, connection: Connection, keys: Keys) -> dict[str, WorkerShifts]:
        """Weekly plans and exceptions."""
        if keys is None:
            self._shifts = {}
        plans: dict[str, str] = dict(connection.execute(PLANS, {"keys": keys}).fetchall())
        exceptions: dict[str, str] = dict(connection.execute(EXCEPTIONS, {"keys": keys}).fetchall())
        return {
            worker: self._parsed(plans.get(worker, ""), exceptions.get(worker, ""))
            for worker in plans.keys() | exceptions.keys()
        }

    def grids(self, connection: Connection, keys: Keys) -> dict[str, Grid]:
        """Grids, polygons as text."""
        rows = connection.execute(GRIDS, {"keys": keys})
        return {code: Grid(code, name, kind, geojson, tuple(box)) for code, name, kind, geojson, *box in rows}

    def places(self, connection: Connection, keys: Keys) -> dict[str, tuple[Place, ...]]:
        """Work places and checkpoints by grid."""
        rows = connection.execute(PLACES, {"keys": keys})
        return _grouped((row[1], Place(*row)) for row in rows)

    def divisions(self, connection: Connection, keys: Keys) -> dict[str, Division]:
        """Divisions by code."""
        return {row[0]: Division(*row) for row in connection.execute(DIVISIONS, {"keys": keys})}

    def _parsed(self, plan: str, exceptions: str) -> WorkerShifts:
        shifts = self._shifts.get((plan, exceptions))
        if shifts is None:
            shifts = parse_shifts(plan, exceptions, self._zone)
            self._shifts[plan, exceptions] = shifts
        return shifts


FAMILIES = (
    Family("devices", ("devices", "credentials"), Loader.devices),
    Family("aliases", ("device_aliases",), Loader.aliases, by_key=False),
    Family("handset_workers", ("handset_workers",), lambda a, c, k: a.assignments(HANDSET_WORKERS, c, k)),
    Family("sites", ("device_sites",), Loader.sites),
    Family("workers", ("workers",), Loader.workers),
    Family("worker_grids", ("worker_grids",), lambda a, c, k: a.assignments(WORKER_GRIDS, c, k)),
    Family("shifts", ("shift_plans", "shift_exceptions"), Loader.shifts),
    Family("grids", ("grids",), Loader.grids),
    Family("places", ("places",), Loader.places),
    Family("divisions", ("divisions",), Loader.divisions),
)
FAMILY_OF = {source: family for family in FAMILIES for source in family.sources}

_FINGERPRINT = "SELECT '{0}', count(*), coalesce(sum(hashint8(xmin::text::bigint)::bigint), 0)::bigint FROM {0}"
FINGERPRINTS = " UNION ALL ".join(_FINGERPRINT.format(source) for source in FAMILY_OF)
"""Per table a number that changes with every committed change of it (row versions carry their transaction)."""


def read_fingerprints(connection: Connection) -> dict[str, tuple[int, int]]:
    """Fingerprint of each source table."""
    rows = connection.execute(cast("Any", FINGERPRINTS))
    return {table: (count, total) for table, count, total in rows}


def parse_shifts(plan: str, exceptions: str, zone: ZoneInfo) -> WorkerShifts:
    """The shifts of a worker from the texts that PLANS and EXCEPTIONS give."""
    return WorkerShifts(_plan(plan), _exceptions(exceptions), zone)


def _end(until: int | None) -> int:
    return FOREVER if until is None else until


def _grouped(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, tuple[Any, ...]]:
    groups: dict[Any, list[Any]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in groups.items()}


def _plan(text: str) -> tuple[PlanRow, ...]:
    rows = ([int(number) for number in row.split(",")] for row in text.split(";") if row)
    return tuple(PlanRow(*row) for row in rows)


def _exceptions(text: str) -> dict[int, tuple[DayShift, ...]]:
    rows = [[int(number) for number in row.split(",")] for row in text.split(";") if row]
    days: dict[int, tuple[DayShift, ...]] = {row[0]: () for row in rows}
    for row in rows:
        if len(row) > 1:
            days[row[0]] += (DayShift(row[1], row[2]),)
    return days
