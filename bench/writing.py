"""`writer_5000`, `writer_500`: the lanes' writer against raw COPY.

Both write the same packed rows: a live city's fixes, every handset once a tick. The yardstick is one COPY of all of
them in one transaction into an unpartitioned table of the same shape with the same indexes, on one connection. The
writer commits batch after batch as a lane's thread does: partitions, batch row under the advisory lock, NOTIFY, fsync.
"""

import os
import time
from collections.abc import Sequence

import psycopg
from psycopg.rows import TupleRow

from bench.own_store import own_store
from bench.report import Result, against
from core.lane import FIX, Lane
from ingest.batch import group_pieces
from ingest.fact_session import FactSession
from ingest.lanes import Piece
from store.copying import NULL, pg_us
from store.fixes import FIXES, pack_fix
from store.partitions import DAY_MS, day_of
from store.session import connect

HANDSETS = 10_590
TICK_MS = 10_000
ROWS, QUICK_ROWS = 500_000, 60_000
ROUNDS, QUICK_ROUNDS = 3, 1
GOALS = {5000: 0.5, 500: 0.25}


def writing(*, quick: bool = False) -> list[Result]:
    """Both sizes, each the median of several rounds next to a yardstick of its own round."""
    count = QUICK_ROWS if quick else ROWS
    results = []
    with own_store() as store, connect(store.dsn, statement_timeout_s=0) as connection:
        for size, goal in GOALS.items():
            rows_of_size = count if size >= 5000 else count // 4
            rounds = sorted(
                _round(store.dsn, connection, rows_of_size, size) for _ in range(QUICK_ROUNDS if quick else ROUNDS)
            )
            _, ours, raw = rounds[len(rounds) // 2]
            results.append(against(f"writer_{size}", ours, raw, goal, "fixes/s", rows=rows_of_size, rounds=len(rounds)))
    return results


def _round(dsn: str, connection: psycopg.Connection[TupleRow], count: int, size: int) -> tuple[float, float, float]:
    """Ratio, our rows/s, the yardstick's rows/s; tables are emptied before each."""
    start_ms = day_of(int(time.time() * 1000)) * DAY_MS
    rows = packed_rows(count, start_ms)
    connection.execute("DROP TABLE IF EXISTS fixes_raw")
    connection.execute("CREATE TABLE fixes_raw (LIKE fixes INCLUDING ALL)")
    raw = count / _copy_raw(connection, rows)
    connection.execute("TRUNCATE fixes, batches")
    ours = count / _write(dsn, rows, size, start_ms)
    stored = connection.execute("SELECT count(*) FROM fixes").fetchone()
    assert stored == (count,), f"{count} rows were acknowledged, {stored} are stored"
    connection.execute("DROP TABLE fixes_raw")
    return ours / raw, ours, raw


def packed_rows(count: int, start_ms: int) -> list[bytes]:
    """Rows as admission packs them: HANDSETS handsets in turn, a tick apart, from start_ms."""
    rows = []
    for number in range(count):
        tick, device = divmod(number, HANDSETS)
        at_us = pg_us(start_ms + tick * TICK_MS + device % TICK_MS)
        optional = (26.42 + device * 1e-6, 111.61 + tick * 1e-6, 6.5, None, 1.2, 181.0, 0.83, *[None] * 7)
        rows.append(pack_fix(device, at_us, at_us, os.urandom(8), 0, 0, optional, NULL))  # type: ignore[arg-type]
    return rows


def _copy_raw(connection: psycopg.Connection[TupleRow], rows: Sequence[bytes]) -> float:
    began = time.perf_counter()
    buffer = FIXES.buffer(rows, int(Lane.LIVE), 1)
    with (
        connection.transaction(),
        connection.cursor() as cursor,
        cursor.copy(f"COPY fixes_raw ({FIXES.names}) FROM STDIN (FORMAT binary)") as copy,
    ):
        copy.write(buffer)
    return time.perf_counter() - began


def _write(dsn: str, rows: Sequence[bytes], size: int, start_ms: int) -> float:
    days = (day_of(start_ms),)
    with FactSession(dsn, int(Lane.LIVE), "bench") as session:
        began = time.perf_counter()
        for first in range(0, len(rows), size):
            part = rows[first : first + size]
            piece = Piece(None, FIX, part, range(len(part)), days, start_ms, start_ms + TICK_MS, sum(map(len, part)))
            session.write(group_pieces([piece]), start_ms)
        return time.perf_counter() - began
