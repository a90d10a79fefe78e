"""Roll-ups of the plain flavour: hourly figures added up from committed batches, each batch exactly once.

The job has a cursor (reader `rollup`) on every lane of fixes, POS records and facts about cameras. One transaction adds
a bounded run of batches to the family's table of hours and moves the cursor, so a crash repeats nothing. On TimescaleDB
continuous aggregates do this and `RollUp` finds nothing to do. Rooms read the views fixes_per_hour,
transactions_per_hour and camera_quality_per_hour.
"""

from typing import Any

from psycopg import AsyncConnection

from core.lane import CAMERA, FIX, POS, Lane
from store import timescale
from store.cursors import make_cursors
from store.leases import Lease
from store.pool import Store

Connection = AsyncConnection[Any]

READER = "rollup"
BATCHES_AT_ONCE = 200
ROWS_AT_ONCE = 50_000

_ADD: dict[str, str] = {
    FIX: """
        INSERT INTO fix_hours AS h (device, hour, fixes, least_battery)
        SELECT device, date_trunc('hour', fixed_at, 'UTC'), count(*), min(battery) FROM fixes
        WHERE fixed_at BETWEEN %(least)s AND %(greatest)s AND batch_id = ANY (%(batches)s) GROUP BY 1, 2
        ON CONFLICT (device, hour) DO UPDATE
        SET fixes = h.fixes + excluded.fixes, least_battery = least(h.least_battery, excluded.least_battery)""",
    POS: """
        INSERT INTO pos_hours AS h (device, hour, transactions, approved, declined, amount_fen)
        SELECT device, date_trunc('hour', at, 'UTC'), count(*), count(*) FILTER (WHERE result = 0),
               count(*) FILTER (WHERE result = 1), coalesce(sum(amount_fen) FILTER (WHERE result = 0), 0)::bigint
        FROM pos_records
        WHERE at BETWEEN %(least)s AND %(greatest)s AND batch_id = ANY (%(batches)s) AND kind = 1 GROUP BY 1, 2
        ON CONFLICT (device, hour) DO UPDATE
        SET transactions = h.transactions + excluded.transactions, approved = h.approved + excluded.approved,
            declined = h.declined + excluded.declined, amount_fen = h.amount_fen + excluded.amount_fen""",
    CAMERA: """
        INSERT INTO camera_hours AS h (device, hour, samples, score_sum, least_score)
        SELECT device, date_trunc('hour', at, 'UTC'), count(*), sum(score)::double precision, min(score)
        FROM camera_facts
        WHERE at BETWEEN %(least)s AND %(greatest)s AND batch_id = ANY (%(batches)s) AND kind = 1
            AND device IS NOT NULL AND score IS NOT NULL GROUP BY 1, 2
        ON CONFLICT (device, hour) DO UPDATE
        SET samples = h.samples + excluded.samples, score_sum = h.score_sum + excluded.score_sum,
            least_score = least(h.least_score, excluded.least_score)""",
}
"""Family → the statement that adds its batches up. Index: the one on batch_id of each day that the range touches."""

_NEXT = """
SELECT max(seq), array_agg(batch_id), min(least), max(greatest) FROM (
    SELECT seq, batch_id, least, greatest, sum(rows) OVER (ORDER BY seq) - rows AS rows_before FROM (
        SELECT seq, batch_id, least, greatest, rows FROM batches
        WHERE family = %(family)s AND lane = %(lane)s AND seq > %(seq)s ORDER BY seq LIMIT %(most_batches)s
    ) AS next
) AS counted WHERE rows_before < %(most_rows)s
"""
"""The next batches, bounded in number and rows, at least one. Index: batches_pkey."""


class RollUp:
    """Runs under `lease`, which every transaction checks."""

    def __init__(self, store: Store, lease: Lease) -> None:
        self._store, self._lease = store, lease

    async def start(self) -> bool:
        """Makes the cursors, so that retention waits for them from now on. False on TimescaleDB: nothing to do."""
        async with self._store.transaction() as connection:
            if await timescale.flavour(connection) != "plain":
                return False
            await self._lease.fence(connection)
            await make_cursors(connection, READER, _ADD)
        return True

    async def catch_up(self) -> int:
        """Adds up everything that is committed by now, in bounded transactions; returns how many batches."""
        total = 0
        for family in _ADD:
            for lane in Lane:
                while count := await self._step(family, int(lane)):
                    total += count
        return total

    async def _step(self, family: str, lane: int) -> int:
        async with self._store.transaction() as connection:
            await self._lease.fence(connection)
            seq = await _locked_cursor(connection, family, lane)
            found = await connection.execute(
                _NEXT,
                {
                    "family": family,
                    "lane": lane,
                    "seq": seq,
                    "most_batches": BATCHES_AT_ONCE,
                    "most_rows": ROWS_AT_ONCE,
                },
            )
            row = await found.fetchone()
            if row is None or row[0] is None:
                return 0
            end, batches, least, greatest = row
            await connection.execute(_ADD[family].encode(), {"batches": batches, "least": least, "greatest": greatest})
            await connection.execute(
                "UPDATE cursors SET seq = %s, updated_at = clock_timestamp() "
                "WHERE reader = %s AND family = %s AND lane = %s",
                (end, READER, family, lane),
            )
            return len(batches)


async def _locked_cursor(connection: Connection, family: str, lane: int) -> int:
    """Where the cursor stands, locked until the commit. `start` made the row."""
    found = await connection.execute(
        "SELECT seq FROM cursors WHERE reader = %s AND family = %s AND lane = %s FOR UPDATE", (READER, family, lane)
    )
    row = await found.fetchone()
    assert row is not None, "RollUp.start comes first"
    return int(row[0])
