"""`day_track`: one worker's day out of a month of the city, as the page and the export read it.

The month is made in SQL, in the order a live city writes it (every handset once a tick), so that a worker's fixes
lie on as many heap pages as they would with all 10,590 handsets: a page holds about 60 rows, so more than 60
handsets are as bad as the whole city. How many handsets and days are made is printed with the result.
"""

import statistics
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from bench.own_store import own_store
from bench.report import Result, at_most
from store.partitions import day_of, ensure_days
from store.session import connect

HANDSETS, DAYS = 120, 30
QUICK_HANDSETS, QUICK_DAYS = 70, 3
TICK_S, SHIFT_H = 10, 8
LIMIT_S = 0.020
WARM_RUNS = 30

FILL = """
INSERT INTO fixes (fixed_at, received_at, digest, batch_id, lat, lon, device, flags, accuracy_m, speed_mps, heading_deg,
                   battery, lane, datum)
SELECT at, at + interval '200 ms', hashtextextended(device::text, tick), tick,
       26.42 + 0.01 * sin(device + tick / 500.0), 111.61 + 0.01 * cos(device + tick / 700.0), device, 0, 6.5, 1.2, 181,
       0.83, 1, 0
FROM generate_series(0, %(ticks)s - 1) AS tick
CROSS JOIN LATERAL (SELECT %(start)s::timestamptz + tick * %(step)s AS at) AS times
CROSS JOIN generate_series(1, %(handsets)s) AS device
ORDER BY tick, device
"""

READ = """
SELECT f.fixed_at, f.received_at, f.lat, f.lon, f.accuracy_m, f.altitude_m, f.speed_mps, f.heading_deg, f.battery,
       f.satellites, f.source, f.alarm, f.flags
FROM fixes AS f WHERE f.device = %(device)s AND f.fixed_at >= %(since)s AND f.fixed_at < %(until)s
ORDER BY f.fixed_at, f.digest
"""


def day_track(*, quick: bool = False) -> Result:
    """Makes the month, reads one handset's day warm, and looks at the plan."""
    handsets, days = (QUICK_HANDSETS, QUICK_DAYS) if quick else (HANDSETS, DAYS)
    with own_store() as store, connect(store.dsn, statement_timeout_s=0) as connection:
        first = datetime.now(UTC).date() - timedelta(days=days)
        for number in range(days):
            _fill_day(connection, first + timedelta(days=number), handsets)
        connection.execute("VACUUM ANALYZE fixes")
        since = datetime(first.year, first.month, first.day, tzinfo=UTC) + timedelta(days=days // 2)
        query = {"device": handsets // 2, "since": since, "until": since + timedelta(days=1)}
        times = [_timed(connection, query) for _ in range(WARM_RUNS)][WARM_RUNS // 3 :]
        plan = _explain(connection, query)
        rows = len(connection.execute(READ, query).fetchall())
    return at_most(
        "day_track",
        statistics.median(times),
        LIMIT_S,
        "s",
        rows=rows,
        handsets=handsets,
        days=days,
        stored_fixes=handsets * days * SHIFT_H * 3600 // TICK_S,
        index_ranges=_count(plan, "Index Scan") + _count(plan, "Bitmap Index Scan") + _count(plan, "Index Only Scan"),
        sequential_scans=_count(plan, "Seq Scan"),
        pages_read=int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"]),
    )


def _fill_day(connection: psycopg.Connection[TupleRow], day: date, handsets: int) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    ensure_days(connection, "fixes", [day_of(int(start.timestamp() * 1000))])
    parameters = {
        "ticks": SHIFT_H * 3600 // TICK_S,
        "start": start,
        "step": timedelta(seconds=TICK_S),
        "handsets": handsets,
    }
    connection.execute(FILL, parameters)


def _timed(connection: psycopg.Connection[TupleRow], query: dict[str, Any]) -> float:
    began = time.perf_counter()
    connection.execute(READ, query).fetchall()
    return time.perf_counter() - began


def _explain(connection: psycopg.Connection[TupleRow], query: dict[str, Any]) -> dict[str, Any]:
    row = connection.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + READ, query).fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def _count(plan: dict[str, Any], node: str) -> int:
    return int(plan["Node Type"] == node) + sum(_count(part, node) for part in plan.get("Plans", []))
