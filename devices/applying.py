"""Imported rows into the registry: one function a kind, each in the import's transaction.

They return counts by table and the errors that only the present rows can tell (an interval that overlaps, a code that
is not registered).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from devices.area import BOX, box_of
from devices.camera_rows import CameraRows, taken_apart
from devices.camera_secrets import LogIn
from devices.equipment import DeviceRow, keys_of, put_aliases, put_devices, settings_of
from devices.geometry import Grid, GridIndex
from devices.intervals import (
    DEVICE_SITES,
    HANDSET_WORKERS,
    STAND_INS,
    WORKER_GRIDS,
    Interval,
    Timeline,
    put_intervals,
)
from devices.merging import Counts, merge
from devices.parsing import RowError, Rows
from devices.people import ExceptionalDay, OtherTimes, ShiftLine, WeekPlan, put_exceptions, put_plans
from store.pool import Connection

KNOWN = {
    "grid": "SELECT code FROM grids",
    "worker": "SELECT id FROM workers",
    "worker or *": "SELECT id FROM workers UNION ALL VALUES ('*')",
    "department": "SELECT id FROM departments",
    "handset": "SELECT id FROM devices WHERE kind = 'handset'",
}
GRIDS = "SELECT code, name, kind, polygon::text, min_lon, min_lat, max_lon, max_lat FROM grids ORDER BY code"


class Moment(NamedTuple):
    """When an import begins to hold: the instant, and the day of it on the site's clock."""

    at: datetime
    zone: ZoneInfo
    keeps_log_ins: bool = False
    """Whether there is a file for log-ins of cameras."""

    @property
    def day(self) -> date:
        """The site's day."""
        return self.at.astimezone(self.zone).date()


class Applied(NamedTuple):
    """What was written, by table, and what could not be. log_ins: of cameras, for the secrets file."""

    counts: dict[str, Counts]
    errors: list[RowError]
    log_ins: Mapping[str, LogIn] = MappingProxyType({})


async def check_references(connection: Connection, rows: Rows, references: dict[str, str]) -> list[RowError]:
    """Rows that name a grid, worker, department or handset that is not registered."""
    errors = []
    for name, what in references.items():
        values = rows.column(name)
        if not values:
            continue
        known = {row[0] for row in await (await connection.execute(KNOWN[what].encode())).fetchall()}
        errors += [
            RowError(number, name, f"no {what.split()[0]} {value!r} is registered; import it first")
            for number, value in zip(rows.numbers, values, strict=True)
            if value is not None and value not in known
        ]
    return errors


async def find_grids(connection: Connection, rows: Rows, *, required: bool) -> tuple[Rows, list[RowError]]:
    """Rows with the grid filled in from the position where the file names none."""
    lats, lons = rows.column("lat"), rows.column("lon")
    if lats is None or lons is None or not lats:
        return rows, []
    if "grid" not in rows.columns:
        rows = Rows((*rows.columns, "grid"), rows.numbers, [[*values, None] for values in rows.values])
    at = rows.columns.index("grid")
    open_ones = [i for i, values in enumerate(rows.values) if values[at] is None]
    if not open_ones:
        return rows, []
    fetched = await (await connection.execute(GRIDS)).fetchall()
    index = GridIndex([Grid(code, name, kind, text, tuple(box)) for code, name, kind, text, *box in fetched])
    at_lats, at_lons = np.array([lats[i] for i in open_ones]), np.array([lons[i] for i in open_ones])
    codes = await asyncio.to_thread(index.grids_at, at_lats, at_lons)
    errors = []
    for i, code in zip(open_ones, codes, strict=True):
        rows.values[i][at] = code
        if code is None and required:
            errors.append(RowError(rows.numbers[i], "grid", "is missing, and the position lies in no grid"))
    return rows.without({error.row for error in errors}), errors


def _merging(table: str, key: str) -> Callable[[Connection, Rows, Moment], Awaitable[Applied]]:
    async def apply(connection: Connection, rows: Rows, moment: Moment) -> Applied:
        return Applied({table: await merge(connection, table, (key,), rows.columns, rows.values)}, [])

    return apply


async def _grids(connection: Connection, rows: Rows, moment: Moment) -> Applied:
    polygons = rows.column("polygon") or []
    boxes = await asyncio.to_thread(lambda: [box_of(polygon) for polygon in polygons])
    values = [[*row, *box] for row, box in zip(rows.values, boxes, strict=True)]
    return Applied({"grids": await merge(connection, "grids", ("code",), (*rows.columns, *BOX), values)}, [])


async def _workers(connection: Connection, rows: Rows, moment: Moment) -> Applied:
    own = [name for name in rows.columns if name not in ("grid", "valid_from")]
    at = [rows.columns.index(name) for name in own]
    counts = await merge(connection, "workers", ("id",), own, [[values[i] for i in at] for values in rows.values])
    ids = rows.column("id") or []
    ties, errors = await _tie(connection, WORKER_GRIDS, rows, ids, "grid", moment)
    return Applied({"workers": counts, "worker_grids": ties}, errors)


async def _shifts(connection: Connection, rows: Rows, moment: Moment) -> Applied:
    plans: dict[str, tuple[date, date | None, set[ShiftLine], int]] = {}
    errors = []
    for number, row in _named(rows):
        since, until = row.get("valid_from") or moment.day, row.get("valid_to")
        lines = {ShiftLine(weekday, row["starts_at"], row["ends_at"]) for weekday in row["weekday"]}
        present = plans.setdefault(row["worker"], (since, until, set(), number))
        if present[:2] != (since, until):
            errors.append(
                RowError(number, "valid_from", "one file holds one plan of a worker: the same days in all rows")
            )
        elif lines & present[2]:
            errors.append(RowError(number, "weekday", "says the same shift as an earlier row"))
        present[2].update(lines)
    wanted = {worker: WeekPlan(since, until, frozenset(lines)) for worker, (since, until, lines, _) in plans.items()}
    counts, refused = await put_plans(connection, wanted)
    errors += [RowError(plans[worker][3], "worker", reason) for worker, reason in refused.items()]
    return Applied({"shift_plans": counts}, errors)


async def _exceptions(connection: Connection, rows: Rows, moment: Moment) -> Applied:
    days: dict[tuple[str, date], list[OtherTimes]] = {}
    reasons: dict[tuple[str, date], str | None] = {}
    errors = []
    for number, row in _named(rows):
        start, end = row.get("starts_at"), row.get("ends_at")
        key, off = (row["worker"], row["day"]), row["kind"] == "off"
        if off != (start is None) or off != (end is None):
            errors.append(RowError(number, "kind", "off has no times, shift has starts_at and ends_at"))
        elif key in days and (off or not days[key]):
            errors.append(RowError(number, "day", "the day is off in one row and has a shift in another"))
        else:
            days.setdefault(key, []).extend([] if start is None or end is None else [OtherTimes(start, end)])
            reasons.setdefault(key, row.get("reason"))
    named = [
        ExceptionalDay(worker, day, tuple(t), reasons[worker, day])
        for (worker, day), t in days.items()
        if worker != "*"
    ]
    general = {
        day: ExceptionalDay("*", day, tuple(times), reasons[worker, day])
        for (worker, day), times in days.items()
        if worker == "*"
    }
    if general:
        special = {(entry.worker, entry.day) for entry in named}
        cursor = await connection.execute("SELECT id FROM workers WHERE retired_at IS NULL")
        everyone = [worker for (worker,) in await cursor.fetchall()]
        named += [g._replace(worker=w) for g in general.values() for w in everyone if (w, g.day) not in special]
    return Applied({"shift_exceptions": await put_exceptions(connection, named)}, errors)


def _devices(kind: str) -> Callable[[Connection, Rows, Moment], Awaitable[Applied]]:
    async def apply(connection: Connection, rows: Rows, moment: Moment) -> Applied:
        errors = await _wrong_kinds(connection, rows, kind)
        rows = rows.without({error.row for error in errors})
        cameras = (
            taken_apart(rows, keeps_log_ins=moment.keeps_log_ins) if kind == "camera" else CameraRows(rows, {}, {}, [])
        )
        rows, errors = cameras.rows, errors + cameras.errors
        present = await settings_of(connection, list(cameras.settings))
        own = [name for name in ("id", "name", "model", "datum", "url") if name in rows.columns]
        columns = ["kind", *own, *(["settings"] if "services" in rows.columns or cameras.settings else [])]
        registered = []
        for _, row in _named(rows):
            settings = {"services": row["services"]} if row.get("services") else {}
            if cameras.settings:
                changed = {**present.get(row["id"], {}), **cameras.settings[row["id"]]}
                settings = {name: value for name, value in changed.items() if value is not None}
            registered.append(DeviceRow(**{name: row[name] for name in own}, kind=kind, settings=settings))  # type: ignore[arg-type]
        counts = {"devices": await put_devices(connection, registered, columns)}
        ids = rows.column("id") or []
        keys = await keys_of(connection, ids)
        subjects = [keys[device_id] for device_id in ids]
        for table, timeline, field in (
            ("handset_workers", HANDSET_WORKERS, "worker"),
            ("device_sites", DEVICE_SITES, "grid"),
        ):
            counts[table], refused = await _tie(connection, timeline, rows, subjects, field, moment)
            errors += refused
        aliases = [
            (protocol, row[protocol], key)
            for protocol in ("jt808", "owntracks")
            for key, (_, row) in zip(subjects, _named(rows), strict=True)
            if row.get(protocol)
        ]
        counts["device_aliases"] = await put_aliases(connection, list({alias[:2]: alias for alias in aliases}.values()))
        written = {table: count for table, count in counts.items() if any(count)}
        return Applied(written, errors, cameras.log_ins)

    return apply


async def _assignments(connection: Connection, rows: Rows, moment: Moment) -> Applied:
    counts: dict[str, Counts] = {}
    errors = [
        RowError(number, "handset", "name a handset or a grid that the worker gets")
        for number, row in _named(rows)
        if not (row.get("handset") or row.get("grid"))
    ]
    keys = await keys_of(connection, [handset for handset in rows.column("handset") or [] if handset])
    for table, timeline, subject, value in (
        ("handset_workers", HANDSET_WORKERS, "handset", "worker"),
        ("worker_grids", WORKER_GRIDS, "worker", "grid"),
        ("worker_grids", STAND_INS, "worker", "grid"),
    ):
        chosen = Rows(rows.columns)
        for number, values in zip(rows.numbers, rows.values, strict=True):
            row = dict(zip(rows.columns, values, strict=True))
            beside = table == "worker_grids" and bool(row.get("stand_in")) != (timeline is STAND_INS)
            if row.get("handset" if table == "handset_workers" else "grid") and not beside:
                chosen.numbers.append(number)
                chosen.values.append(values)
        names = chosen.column(subject) or []
        subjects = [keys[name] for name in names] if subject == "handset" else names
        count, refused = await _tie(connection, timeline, chosen, subjects, value, moment)
        counts[table] = counts.get(table, Counts()).plus(count)
        errors += refused
    return Applied(counts, errors)


async def _tie(
    connection: Connection, timeline: Timeline, rows: Rows, subjects: Sequence[int | str], field: str, moment: Moment
) -> tuple[Counts, list[RowError]]:
    """Intervals from the rows whose `field` is filled in."""
    taken, numbers = [], []
    for subject, (number, row) in zip(subjects, _named(rows), strict=True):
        if row.get(field) is None:
            continue
        at = (row.get("lat"), row.get("lon")) if timeline is DEVICE_SITES else ()
        interval = Interval(row.get("valid_from") or moment.at, row.get("valid_to"), (row[field], *at))
        taken.append((subject, interval))
        numbers.append(number)
    if not taken:
        return Counts(), []
    counts, refusals = await put_intervals(connection, timeline, taken)
    return counts, [RowError(numbers[refusal.row], field, refusal.reason) for refusal in refusals]


async def _wrong_kinds(connection: Connection, rows: Rows, kind: str) -> list[RowError]:
    ids = rows.column("id") or []
    cursor = await connection.execute("SELECT id, kind FROM devices WHERE id = ANY (%s) AND kind <> %s", [ids, kind])
    other: dict[str, str] = dict(await cursor.fetchall())
    return [
        RowError(number, "id", f"the id {device_id!r} is taken by a {other[device_id]}")
        for number, device_id in zip(rows.numbers, ids, strict=True)
        if device_id in other
    ]


def _named(rows: Rows) -> list[tuple[int, dict[str, Any]]]:
    """Rows as (number in the file, values by column)."""
    return [
        (n, dict(zip(rows.columns, values, strict=True))) for n, values in zip(rows.numbers, rows.values, strict=True)
    ]


APPLY: dict[str, Callable[[Connection, Rows, Moment], Awaitable[Applied]]] = {
    "divisions": _merging("divisions", "code"),
    "grids": _grids,
    "departments": _merging("departments", "id"),
    "components": _merging("components", "id"),
    "places": _merging("places", "id"),
    "roads": _merging("roads", "id"),
    "workers": _workers,
    "shifts": _shifts,
    "exceptions": _exceptions,
    "handsets": _devices("handset"),
    "terminals": _devices("terminal"),
    "cameras": _devices("camera"),
    "assignments": _assignments,
}
