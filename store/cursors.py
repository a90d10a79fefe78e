"""What the readers of facts still need: their cursors, the slowest of each family, and those that are stuck."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from core.lane import Lane

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


@dataclass(frozen=True, slots=True)
class CursorLag:
    """What waits behind a cursor. seconds: age of the oldest waiting batch by the store's clock, 0 when none waits."""

    reader: str
    family: str
    lane: int
    rows: int
    seconds: float


async def cursor_lags(connection: Connection) -> list[CursorLag]:
    """Every cursor; counts at most 100,000 batches behind each. Index: batches_pkey."""
    found = await connection.execute(
        "SELECT c.reader, c.family, c.lane, greatest(0, behind.rows - c.part), "
        "greatest(0, date_part('epoch', clock_timestamp() - behind.since)) FROM cursors c CROSS JOIN LATERAL "
        "(SELECT coalesce(sum(rows), 0)::bigint AS rows, min(stored_at) AS since "
        "FROM (SELECT b.rows, b.stored_at FROM batches b WHERE b.family = c.family AND b.lane = c.lane "
        "AND b.seq > c.seq ORDER BY b.seq LIMIT 100000) AS waiting) AS behind ORDER BY 1, 2, 3"
    )
    return [CursorLag(*row) for row in await found.fetchall()]


async def make_cursors(connection: Connection, reader: str, families: Iterable[str]) -> None:
    """Makes the reader's cursors on every lane of these families that are not there yet, before all facts.

    A reader calls it before it reads: from then on retention waits for it, also on lanes where nothing came so far.
    """
    await connection.execute(
        "INSERT INTO cursors (reader, family, lane, seq) SELECT %s, family, lane, 0 "
        "FROM unnest(%s::text[]) AS family, unnest(%s::smallint[]) AS lane ON CONFLICT DO NOTHING",
        (reader, list(families), [int(lane) for lane in Lane]),
    )


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

    Reads every batch behind the slowest cursor of each lane: few, unless a reader is stuck. Index: batches_pkey, lane
    by lane (a join would read all batches, and retention asks this while it holds the table of facts).
    """
    found = await connection.execute(
        "SELECT (date_part('epoch', min(unread.least)) * 1000)::bigint FROM "
        "(SELECT lane, min(seq) AS seq FROM cursors WHERE family = %(family)s GROUP BY lane) AS slowest "
        "CROSS JOIN LATERAL (SELECT min(b.least) AS least FROM batches b WHERE b.family = %(family)s "
        "AND b.lane = slowest.lane AND b.seq > slowest.seq) AS unread",
        {"family": family},
    )
    row = await found.fetchone()
    return None if row is None else row[0]


async def drop_handled_batches(
    connection: Connection, family: str, lane: int, stored_before_ms: int, facts_before_ms: int, most: int
) -> int:
    """Deletes up to `most` batch rows that every reader of the lane has handled; returns how many. Index: batches_pkey.

    Batches of a lane that has no reader stay as long as their facts (back to `facts_before_ms`): one that comes with a
    later version finds what was acknowledged before it.
    """
    done = await connection.execute(
        "DELETE FROM batches WHERE family = %(family)s AND lane = %(lane)s AND seq = ANY (ARRAY("
        "SELECT eldest.seq FROM (SELECT min(seq) AS seq FROM cursors WHERE family = %(family)s AND lane = %(lane)s) "
        "AS slowest CROSS JOIN LATERAL (SELECT b.seq, b.stored_at, b.greatest FROM batches b "
        "WHERE b.family = %(family)s AND b.lane = %(lane)s AND b.seq <= coalesce(slowest.seq, 9223372036854775807) "
        "ORDER BY b.seq LIMIT %(most)s) AS eldest WHERE eldest.stored_at < to_timestamp(%(before)s / 1000.0) "
        "AND (slowest.seq IS NOT NULL OR eldest.greatest < to_timestamp(%(facts_before)s / 1000.0))))",
        {
            "family": family,
            "lane": lane,
            "before": stored_before_ms,
            "facts_before": facts_before_ms,
            "most": most,
        },
    )
    return done.rowcount
