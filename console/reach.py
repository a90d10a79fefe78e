"""Whom and what a caller with a division may reach: devices as of a time, workers and teams as of now.

A device belongs to a division while its worker has a grid there, or while it stands in one. Who has no division reaches
everybody. SQL text here is constant; the division is bound, digits only.
"""

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from console.rights import Operator
from console.where import Where

Connection = AsyncConnection[Any]

_OVERLAPS = "{0}.valid_from < {until} AND ({0}.valid_to IS NULL OR {0}.valid_to > {since})"
_DURING = "{0}.valid_from <= {at} AND ({0}.valid_to IS NULL OR {at} < {0}.valid_to)"


def _held(device: str, interval: str, **times: str) -> str:
    """`device` belonged to a division (bound twice) in an interval."""
    worker, grid, site = (interval.format(table, **times) for table in "hgs")
    return f"""(EXISTS (SELECT FROM handset_workers h JOIN worker_grids g ON g.worker = h.worker
                 WHERE h.handset = {device} AND {worker} AND {grid} AND starts_with(g.grid, %s))
             OR EXISTS (SELECT FROM device_sites s
                 WHERE s.device = {device} AND {site} AND starts_with(s.grid, %s)))"""  # noqa: S608 (constants)


def belonging(where: Where, caller: Operator, device: str, at: str) -> Where:
    """Only rows whose device (a column) lay in the caller's division at the row's own time (a column)."""
    if not caller.division:
        return where
    return where.add(_held(device, _DURING, at=at), caller.division, caller.division)


async def device_between(
    connection: Connection, caller: Operator, device: str, since: datetime, until: datetime
) -> int | None:
    """Key of a device that lay in the caller's division some time in [since, until); None: unknown, or never there."""
    where = Where().add("d.id = %s", device)
    if caller.division:
        where.add(
            f"EXISTS (SELECT FROM (SELECT %s::timestamptz AS since, %s::timestamptz AS until) t WHERE "
            f"{_held('d.key', _OVERLAPS, since='t.since', until='t.until')})",
            since,
            until,
            caller.division,
            caller.division,
        )
    row = await (
        await connection.execute(f"SELECT d.key FROM devices d WHERE {where.sql}", where.values)  # noqa: S608
    ).fetchone()
    return int(row[0]) if row else None


async def has_worker(connection: Connection, caller: Operator, *, worker: str | None = None, team: str = "") -> bool:
    """Whether there is this worker, or one of this team, with a grid in the caller's division now, and not retired."""
    where = Where().add("w.retired_at IS NULL")
    where.add("w.id = %s", worker) if worker is not None else where.add("w.team = %s", team)
    if caller.division:
        now = _DURING.format("g", at="now()")
        where.add(
            f"EXISTS (SELECT FROM worker_grids g WHERE g.worker = w.id AND {now} AND starts_with(g.grid, %s))",
            caller.division,
        )
    row = await (
        await connection.execute(f"SELECT 1 FROM workers w WHERE {where.sql} LIMIT 1", where.values)  # noqa: S608
    ).fetchone()
    return row is not None
