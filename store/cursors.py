"""What the readers of facts still need: the slowest cursor of each family, and cursors that are stuck."""

from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class StuckCursor:
    """A reader that is so late that rows must be kept for it (DQ-01, reason 'stuck cursor'). Times: epoch ms."""

    reader: str
    family: str
    lane: int
    seq: int
    waiting_since_ms: int
    """When the oldest batch that it has not handled was stored."""


async def stuck_cursors(connection: Connection, stored_before_ms: int) -> list[StuckCursor]:
    """Cursors whose next batch was stored before `stored_before_ms`. Index: batches_pkey, one probe a cursor."""
    found = await connection.execute(
        "SELECT c.reader, c.family, c.lane, c.seq, (date_part('epoch', next.stored_at) * 1000)::bigint "
        "FROM cursors c CROSS JOIN LATERAL (SELECT b.stored_at FROM batches b WHERE b.family = c.family "
        "AND b.lane = c.lane AND b.seq > c.seq ORDER BY b.seq LIMIT 1) AS next "
        "WHERE next.stored_at < to_timestamp(%s / 1000.0) ORDER BY 1, 2, 3",
        (stored_before_ms,),
    )
    return [StuckCursor(*row) for row in await found.fetchall()]


async def oldest_unread_ms(connection: Connection, family: str) -> int | None:
    """Device time of the oldest fact that some reader of the family has not handled; None when all are up to date.

    Reads every batch behind the slowest cursor of each lane: few, unless a reader is stuck.
    """
    found = await connection.execute(
        "SELECT (date_part('epoch', min(b.least)) * 1000)::bigint FROM batches b JOIN "
        "(SELECT lane, min(seq) AS seq FROM cursors WHERE family = %(family)s GROUP BY lane) AS slowest "
        "ON b.lane = slowest.lane AND b.seq > slowest.seq WHERE b.family = %(family)s",
        {"family": family},
    )
    row = await found.fetchone()
    return None if row is None else row[0]


async def drop_handled_batches(connection: Connection, family: str, lane: int, stored_before_ms: int, most: int) -> int:
    """Deletes up to `most` batch rows that every reader of the lane has handled; returns how many.

    Index: batches_pkey.
    """
    done = await connection.execute(
        "DELETE FROM batches WHERE family = %(family)s AND lane = %(lane)s AND seq = ANY (ARRAY("
        "SELECT eldest.seq FROM (SELECT seq, stored_at FROM batches WHERE family = %(family)s AND lane = %(lane)s "
        "AND seq <= coalesce((SELECT min(seq) FROM cursors WHERE family = %(family)s AND lane = %(lane)s), "
        "9223372036854775807) ORDER BY seq LIMIT %(most)s) AS eldest "
        "WHERE eldest.stored_at < to_timestamp(%(before)s / 1000.0)))",
        {"family": family, "lane": lane, "before": stored_before_ms, "most": most},
    )
    return done.rowcount
