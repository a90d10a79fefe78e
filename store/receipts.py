"""Rows of `receipts`: which numbers of a device behind a foreign broker are stored.

Several instances of the consumer may hear one device: rows are locked from reading to writing, in one order.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from store.pool import Connection

KEPT_BOOTS = 4
"""Power cycles remembered of each device; of an older one nothing is known, as of one that was never heard."""

Key = tuple[int, str]
"""(device key, boot); boot is '' where facts have none."""


class Progress(NamedTuple):
    """One row. beyond: inclusive ranges, ascending, none touching another; heard_ms: epoch milliseconds."""

    start: int | None
    up_to: int | None
    beyond: tuple[tuple[int, int], ...]
    waited_ms: int
    mark: int
    heard_ms: int


async def lock_progress(connection: Connection, keys: Collection[Key]) -> tuple[dict[Key, Progress], int]:
    """Rows of these keys (made where missing, `start` None), locked until the transaction ends; the store's time.

    Index: receipts_pkey. All rows of a device are locked, so that `forget_boots` waits for nobody.
    """
    devices, boots = _columns(sorted(keys), 2)
    made = await connection.execute(
        "INSERT INTO receipts (device, boot) SELECT * FROM unnest(%s::int[], %s::text[]) AS k (device, boot) "
        "ORDER BY device, boot ON CONFLICT DO NOTHING RETURNING device",
        [devices, boots],
    )
    fresh = {row[0] for row in await made.fetchall()}
    cursor = await connection.execute(
        "SELECT device, boot, start, up_to, beyond, waited_ms, mark, (date_part('epoch', heard_at) * 1000)::bigint, "
        "(date_part('epoch', clock_timestamp()) * 1000)::bigint "
        "FROM receipts WHERE device = ANY (%s) ORDER BY device, boot FOR UPDATE",
        [list(dict.fromkeys(devices))],
    )
    found: dict[Key, Progress] = {}
    wanted, now_ms = set(keys), 0
    for device, boot, start, up_to, beyond, waited_ms, mark, heard_ms, read_ms in await cursor.fetchall():
        now_ms = read_ms
        if (device, boot) in wanted:
            ranges = tuple((one.lower, one.upper - 1) for one in beyond)
            found[device, boot] = Progress(start, up_to, ranges, waited_ms, mark, heard_ms)
    if fresh:
        await forget_boots(connection, fresh)
    return found, now_ms


async def forget_boots(connection: Connection, devices: Collection[int]) -> None:
    """Deletes all but the newest KEPT_BOOTS power cycles of these devices."""
    await connection.execute(
        "DELETE FROM receipts r USING (SELECT device, boot, row_number() OVER "
        "(PARTITION BY device ORDER BY heard_at DESC, boot) AS n FROM receipts WHERE device = ANY (%s)) AS old "
        "WHERE old.n > %s AND r.device = old.device AND r.boot = old.boot",
        [list(devices), KEPT_BOOTS],
    )


async def write_progress(connection: Connection, rows: Sequence[tuple[Key, Progress]]) -> None:
    """Writes rows that `lock_progress` returned in this transaction."""
    flat = [
        (*key, one.start, one.up_to, _multirange(one.beyond), one.waited_ms, one.mark, one.heard_ms)
        for key, one in rows
    ]
    await connection.execute(
        "UPDATE receipts r SET start = n.start, up_to = n.up_to, beyond = n.beyond::int8multirange, "
        "waited_ms = n.waited_ms, mark = n.mark, heard_at = to_timestamp(n.heard_ms / 1000.0) "
        "FROM unnest(%s::int[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::bigint[], %s::bigint[], "
        "%s::bigint[]) AS n (device, boot, start, up_to, beyond, waited_ms, mark, heard_ms) "
        "WHERE r.device = n.device AND r.boot = n.boot",
        _columns(flat, 8),
    )


def _multirange(ranges: Sequence[tuple[int, int]]) -> str:
    return "{" + ",".join(f"[{first},{last}]" for first, last in ranges) + "}"


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
