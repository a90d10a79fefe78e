"""Validity intervals: who had which handset, which grid, where a device stood, [valid_from, valid_to).

A new interval ends the one that is open; what would overlap an interval with a set end is refused. The decision is
pure (`place_interval`); `put_intervals` applies it to many subjects at once under locks of their rows.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from psycopg import sql

from core.errors import Conflict, InvalidInput
from devices.merging import Counts, copy_rows
from store.pool import Connection


class Interval(NamedTuple):
    """One row: what the subject is tied to (`values`, the first is the other's id) from `since` until `until`."""

    since: datetime
    until: datetime | None
    values: tuple[Any, ...]


class Timeline(NamedTuple):
    """A table of intervals. alone: a new tie ends the subject's others, else only one to the same thing."""

    table: str
    subject: str
    values: tuple[str, ...]
    parent: str
    parent_key: str
    subject_type: Literal["integer", "text"]
    alone: bool
    says: str


HANDSET_WORKERS = Timeline("handset_workers", "handset", ("worker",), "devices", "key", "integer", True, "the handset")
DEVICE_SITES = Timeline(
    "device_sites", "device", ("grid", "lat", "lon"), "devices", "key", "integer", True, "the device"
)
WORKER_GRIDS = Timeline("worker_grids", "worker", ("grid",), "workers", "id", "text", True, "the worker")
STAND_INS = WORKER_GRIDS._replace(alone=False)
"""A worker who looks after another grid beside the own one: the own interval goes on."""

LOCK = "SELECT {parent_key} FROM {parent} WHERE {parent_key} = ANY (%s::{type}[]) ORDER BY 1 FOR NO KEY UPDATE"
READ = """
SELECT {subject}, valid_from, valid_to, {values} FROM {table}
WHERE {subject} = ANY (%s::{type}[]) ORDER BY {subject}, valid_from
"""
DELETE = """
DELETE FROM {table} WHERE ctid IN (SELECT t.ctid FROM {table} AS t
JOIN unnest(%s::{type}[], %s::timestamptz[], %s::text[]) AS gone (subject, since, value)
ON t.{subject} = gone.subject AND t.valid_from = gone.since AND t.{value} = gone.value)
"""


class Refusal(NamedTuple):
    """Why a row (counted from 0) was not taken."""

    row: int
    reason: str


def place_interval(present: Sequence[Interval], new: Interval, timeline: Timeline) -> list[Interval]:
    """The subject's intervals with a new one among them; equal to `present` when it says nothing new.

    Raises InvalidInput when it ends before it begins, Conflict when it would overlap an interval that has a set end or
    that begins later.
    """
    if new.until is not None and new.until <= new.since:
        raise InvalidInput(
            f"The interval ends ({new.until:%Y-%m-%d %H:%M}) before it begins ({new.since:%Y-%m-%d %H:%M})."
        )
    result: list[Interval] = []
    for held in present:
        rival = timeline.alone or held.values[0] == new.values[0]
        if not rival or not _overlap(held, new):
            result.append(held)
        elif held.values == new.values and held.since <= new.since and held.until == new.until:
            return list(present)
        elif held.since == new.since and held.values[0] == new.values[0] and held.until is None:
            continue
        elif held.until is None and held.since < new.since:
            result.append(held._replace(until=new.since))
        else:
            end = "further on" if held.until is None else f"until {held.until:%Y-%m-%d %H:%M} UTC"
            raise Conflict(
                f"From {held.since:%Y-%m-%d %H:%M} UTC {end} {timeline.says} already belongs to {held.values[0]}; "
                "end that interval first or let the new one begin later."
            )
    return sorted([*result, new], key=lambda interval: interval.since)


def _overlap(a: Interval, b: Interval) -> bool:
    return (b.until is None or a.since < b.until) and (a.until is None or b.since < a.until)


async def put_intervals(
    connection: Connection, timeline: Timeline, rows: Sequence[tuple[int | str, Interval]]
) -> tuple[Counts, list[Refusal]]:
    """Places (subject, interval) rows in their order; refused ones change nothing. Needs an open transaction."""
    before = await read_intervals(connection, timeline, list({subject for subject, _ in rows}), lock=True)
    after, counts, refusals = await asyncio.to_thread(_place_all, timeline, before, rows)
    await _write(connection, timeline, before, after)
    return counts, refusals


def _place_all(
    timeline: Timeline, before: Mapping[int | str, list[Interval]], rows: Sequence[tuple[int | str, Interval]]
) -> tuple[dict[int | str, list[Interval]], Counts, list[Refusal]]:
    after = dict(before)
    refusals: list[Refusal] = []
    added = changed = same = 0
    for number, (subject, interval) in enumerate(rows):
        present = after.setdefault(subject, [])
        try:
            placed = place_interval(present, interval, timeline)
        except (InvalidInput, Conflict) as error:
            refusals.append(Refusal(number, str(error)))
            continue
        same += placed == present
        added += len(placed) > len(present)
        changed += len(placed) == len(present) and placed != present
        after[subject] = placed
    return after, Counts(added, changed, same), refusals


async def put_interval(connection: Connection, timeline: Timeline, subject: int | str, interval: Interval) -> bool:
    """Places one interval; False when it says nothing new. Raises Conflict or InvalidInput."""
    counts, refusals = await put_intervals(connection, timeline, [(subject, interval)])
    if refusals:
        raise Conflict(refusals[0].reason)
    return counts.same == 0


async def end_interval(connection: Connection, timeline: Timeline, subject: int | str, until: datetime) -> int:
    """Ends the subject's open intervals at an instant; those that would begin later are removed. How many."""
    before = await read_intervals(connection, timeline, [subject], lock=True)
    present = before.get(subject, [])
    after = [held._replace(until=until) if held.until is None else held for held in present]
    after = [held for held in after if held.until is None or held.since < held.until]
    await _write(connection, timeline, before, {subject: after})
    return len(set(present) - set(after))


async def read_intervals(
    connection: Connection, timeline: Timeline, subjects: Sequence[int | str], *, lock: bool = False
) -> dict[int | str, list[Interval]]:
    """Intervals by subject, in order. lock: holds the subjects' rows until the transaction ends."""
    parts = _parts(timeline)
    if lock:
        await connection.execute(sql.SQL(LOCK).format(**parts), [list(subjects)])
    cursor = await connection.execute(sql.SQL(READ).format(**parts), [list(subjects)])
    found: dict[int | str, list[Interval]] = {}
    for subject, since, until, *values in await cursor.fetchall():
        found.setdefault(subject, []).append(Interval(since, until, tuple(values)))
    return found


async def _write(
    connection: Connection,
    timeline: Timeline,
    before: dict[int | str, list[Interval]],
    after: dict[int | str, list[Interval]],
) -> None:
    gone, new = [], []
    for subject, intervals in after.items():
        present = before.get(subject, [])
        gone += [(subject, held.since, held.values[0]) for held in present if held not in intervals]
        new += [(subject, i.since, i.until, *i.values) for i in intervals if i not in present]
    if gone:
        statement = sql.SQL(DELETE).format(**_parts(timeline))
        await connection.execute(statement, [list(column) for column in zip(*gone, strict=True)])
    if new:
        columns = (timeline.subject, "valid_from", "valid_to", *timeline.values)
        await copy_rows(connection, timeline.table, columns, new)


def _parts(timeline: Timeline) -> dict[str, sql.Composable]:
    return {
        "table": sql.Identifier(timeline.table),
        "subject": sql.Identifier(timeline.subject),
        "values": sql.SQL(", ").join(map(sql.Identifier, timeline.values)),
        "value": sql.Identifier(timeline.values[0]),
        "parent": sql.Identifier(timeline.parent),
        "parent_key": sql.Identifier(timeline.parent_key),
        "type": sql.SQL(timeline.subject_type),
    }
