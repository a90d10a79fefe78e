"""Grid workers, their grids and their shifts: weekly plans by version, and exceptional days.

A plan is a whole week; a new version begins on a day and ends the open one. The decisions are pure; the writers apply
them to many workers at once in the caller's transaction, under locks of the workers' rows.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import NamedTuple

from core.errors import Conflict, InvalidInput, NotFound
from devices.intervals import STAND_INS, WORKER_GRIDS, Interval, put_interval
from devices.merging import Counts, copy_rows, merge
from devices.records import Worker
from store.pool import Connection

LIST_WORKERS = """
SELECT w.id, w.name, w.phone, w.team, (extract(epoch FROM w.retired_at) * 1000)::bigint FROM workers w
WHERE %(scope)s = '' OR EXISTS (SELECT FROM worker_grids g WHERE g.worker = w.id AND g.grid LIKE %(scope)s || '%%'
                                AND g.valid_from <= now() AND (g.valid_to IS NULL OR now() < g.valid_to))
ORDER BY w.id
"""
READ_PLANS = """
SELECT worker, valid_from, valid_to, weekday, starts_at, ends_at FROM shift_plans WHERE worker = ANY (%s)
ORDER BY worker, valid_from, weekday, starts_at
"""
READ_EXCEPTIONS = """
SELECT worker, day, starts_at, ends_at, reason FROM shift_exceptions
WHERE worker = ANY (%s) AND day = ANY (%s) ORDER BY worker, day, starts_at
"""


class ShiftLine(NamedTuple):
    """One shift of the week. weekday 1 = Monday … 7; an end at or before the start means the next day."""

    weekday: int
    starts_at: time
    ends_at: time


class WeekPlan(NamedTuple):
    """A version of a worker's weekly plan, for days in [valid_from, valid_to)."""

    valid_from: date
    valid_to: date | None
    lines: frozenset[ShiftLine]


class OtherTimes(NamedTuple):
    """One shift of an exceptional day."""

    starts_at: time
    ends_at: time
    reason: str | None = None


class ExceptionalDay(NamedTuple):
    """A day of a worker that differs from the plan. shifts: empty means off."""

    worker: str
    day: date
    shifts: tuple[OtherTimes, ...]
    reason: str | None = None


async def put_workers(connection: Connection, rows: Sequence[tuple[str, str, str | None, str | None]]) -> Counts:
    """Workers as (id, name, phone, team)."""
    return await merge(connection, "workers", ("id",), ("id", "name", "phone", "team"), rows)


async def list_workers(connection: Connection, scope: str = "") -> list[Worker]:
    """Workers with a grid of the scope now; all for an empty scope, retired ones too."""
    rows = await (await connection.execute(LIST_WORKERS.encode(), {"scope": scope})).fetchall()
    return [Worker(*row) for row in rows]


async def retire_worker(connection: Connection, worker: str, at: datetime) -> None:
    """Takes a worker out of service and ends what is tied to the worker. Raises NotFound."""
    cursor = await connection.execute("UPDATE workers SET retired_at = %s WHERE id = %s", [at, worker])
    if not cursor.rowcount:
        raise NotFound(f"No worker {worker!r} is registered.")
    for table in ("worker_grids", "handset_workers"):
        statement = f"""UPDATE {table} SET valid_to = %s
                        WHERE worker = %s AND valid_from < %s AND (valid_to IS NULL OR valid_to > %s)"""  # noqa: S608
        await connection.execute(statement.encode(), [at, worker, at, at])
        later = f"DELETE FROM {table} WHERE worker = %s AND valid_from >= %s"  # noqa: S608
        await connection.execute(later.encode(), [worker, at])


async def give_grid(
    connection: Connection,
    worker: str,
    grid: str,
    since: datetime,
    until: datetime | None = None,
    *,
    beside: bool = False,
) -> bool:
    """Gives a worker a grid; the former one ends, unless this one is looked after beside it. False: nothing new.

    Raises Conflict when it would overlap an interval with a set end.
    """
    return await put_interval(
        connection, STAND_INS if beside else WORKER_GRIDS, worker, Interval(since, until, (grid,))
    )


def check_lines(lines: frozenset[ShiftLine]) -> None:
    """Raises InvalidInput when two shifts of the week overlap."""
    week = 7 * 1440
    spans = sorted(
        (
            (line.weekday - 1) * 1440 + _minute(line.starts_at),
            (_minute(line.ends_at) - _minute(line.starts_at)) % 1440 or 1440,
        )
        for line in lines
    )
    for (start, length), (following, _) in zip(spans, spans[1:] + spans[:1], strict=True):
        gap = (following - start) % week or week
        if gap < length:
            day = start // 1440 + 1
            raise InvalidInput(
                f"The shift of weekday {day} at {start // 60 % 24:02d}:{start % 60:02d} overlaps the next one."
            )


def place_plan(present: Sequence[WeekPlan], new: WeekPlan) -> list[WeekPlan]:
    """A worker's plans with a new version among them; equal to `present` when it says nothing new.

    Raises InvalidInput for a plan in itself wrong, Conflict when it overlaps a version with a set end or a later one.
    """
    if new.valid_to is not None and new.valid_to <= new.valid_from:
        raise InvalidInput(f"The plan ends ({new.valid_to}) before it begins ({new.valid_from}).")
    check_lines(new.lines)
    result: list[WeekPlan] = []
    for plan in present:
        if (plan.valid_to is not None and plan.valid_to <= new.valid_from) or (
            new.valid_to is not None and new.valid_to <= plan.valid_from
        ):
            result.append(plan)
        elif plan.lines == new.lines and plan.valid_from <= new.valid_from and plan.valid_to == new.valid_to:
            return list(present)
        elif plan.valid_from == new.valid_from and plan.valid_to in (None, new.valid_to):
            continue
        elif plan.valid_to is None and plan.valid_from < new.valid_from:
            result.append(plan._replace(valid_to=new.valid_from))
        else:
            raise Conflict(
                f"A plan from {plan.valid_from} to {plan.valid_to or 'further on'} is there already; "
                "end it first or let the new one begin later."
            )
    return sorted([*result, new], key=lambda plan: plan.valid_from)


async def put_plans(connection: Connection, plans: Mapping[str, WeekPlan]) -> tuple[Counts, dict[str, str]]:
    """Gives workers a new version of their plan. Returns counts of workers, and why some were refused."""
    workers = sorted(plans)
    await connection.execute("SELECT id FROM workers WHERE id = ANY (%s) ORDER BY id FOR NO KEY UPDATE", [workers])
    before = await read_plans(connection, workers)
    refused: dict[str, str] = {}
    rows: list[tuple[object, ...]] = []
    stale: list[str] = []
    added = 0
    for worker in workers:
        present = before.get(worker, [])
        try:
            placed = place_plan(present, plans[worker])
        except (InvalidInput, Conflict) as error:
            refused[worker] = str(error)
            continue
        if placed != present:
            added += not present
            stale.append(worker)
            rows += [(worker, *line, plan.valid_from, plan.valid_to) for plan in placed for line in sorted(plan.lines)]
    await connection.execute("DELETE FROM shift_plans WHERE worker = ANY (%s)", [stale])
    columns = ("worker", "weekday", "starts_at", "ends_at", "valid_from", "valid_to")
    if rows:
        await copy_rows(connection, "shift_plans", columns, rows)
    return Counts(added, len(stale) - added, len(workers) - len(stale) - len(refused)), refused


async def read_plans(connection: Connection, workers: Sequence[str]) -> dict[str, list[WeekPlan]]:
    """All versions of the plans of some workers, in order."""
    found: dict[str, dict[tuple[date, date | None], set[ShiftLine]]] = {}
    for worker, since, until, *line in await (await connection.execute(READ_PLANS, [list(workers)])).fetchall():
        found.setdefault(worker, {}).setdefault((since, until), set()).add(ShiftLine(*line))
    return {
        worker: [WeekPlan(since, until, frozenset(lines)) for (since, until), lines in versions.items()]
        for worker, versions in found.items()
    }


async def put_exceptions(connection: Connection, days: Sequence[ExceptionalDay]) -> Counts:
    """Sets exceptional days of workers; each replaces what was set for that worker and day."""
    workers, dates = sorted({day.worker for day in days}), sorted({day.day for day in days})
    await connection.execute("SELECT id FROM workers WHERE id = ANY (%s) ORDER BY id FOR NO KEY UPDATE", [workers])
    present: dict[tuple[str, date], list[tuple[object, ...]]] = {}
    for worker, day, *rest in await (await connection.execute(READ_EXCEPTIONS, [workers, dates])).fetchall():
        present.setdefault((worker, day), []).append(tuple(rest))
    wanted = {(day.worker, day.day): _exception_rows(day) for day in days}
    differing = [key for key, rows in wanted.items() if present.get(key) != rows]
    await connection.execute(
        "DELETE FROM shift_exceptions WHERE (worker, day) IN (SELECT * FROM unnest(%s::text[], %s::date[]))",
        [[worker for worker, _ in differing], [day for _, day in differing]],
    )
    rows = [
        (worker, day, "off" if start is None else "shift", start, end, reason)
        for worker, day in differing
        for start, end, reason in wanted[worker, day]
    ]
    if rows:
        await copy_rows(
            connection, "shift_exceptions", ("worker", "day", "kind", "starts_at", "ends_at", "reason"), rows
        )
    added = sum(key not in present for key in differing)
    return Counts(added, len(differing) - added, len(wanted) - len(differing))


async def clear_exception(connection: Connection, worker: str, day: date) -> bool:
    """Lets the plan hold again on a day; False when no exception was set."""
    cursor = await connection.execute("DELETE FROM shift_exceptions WHERE worker = %s AND day = %s", [worker, day])
    return cursor.rowcount > 0


def _exception_rows(day: ExceptionalDay) -> list[tuple[object, ...]]:
    if not day.shifts:
        return [(None, None, day.reason)]
    return [
        (shift.starts_at, shift.ends_at, shift.reason or day.reason)
        for shift in sorted(day.shifts, key=lambda s: s.starts_at)
    ]


def _minute(at: time) -> int:
    return at.hour * 60 + at.minute
