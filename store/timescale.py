"""What TimescaleDB does instead of us: chunks and continuous aggregates. Every function needs the timescale flavour.

Facts relied on (its documentation, 2.30 observed): `drop_chunks` takes whole chunks that end at or before a time; a
refresh of a continuous aggregate over a range whose chunks were dropped empties those hours, so the refresh window must
end inside the retention.
"""

from typing import Any

from psycopg import AsyncConnection

from store.settings import RetentionSettings

Connection = AsyncConnection[Any]

AGGREGATES = {"fix_hours": "fixes_days", "pos_hours": "pos_days", "camera_hours": "camera_facts_days"}
"""Continuous aggregate → how long its raw rows are kept (a field of RetentionSettings)."""


async def flavour(connection: Connection) -> str:
    """plain or timescale, as recorded when the database was made."""
    found = await connection.execute("SELECT value FROM meta WHERE name = 'flavour'")
    row = await found.fetchone()
    return "plain" if row is None else str(row[0])


async def chunks_before(connection: Connection, table: str, before_ms: int) -> list[str]:
    """Names of the chunks of a hypertable or aggregate that end at or before an instant, oldest first."""
    found = await connection.execute(
        "SELECT c::text FROM show_chunks(%s::regclass, older_than => to_timestamp(%s / 1000.0)) AS c ORDER BY 1",
        (table, before_ms),
    )
    return [row[0] for row in await found.fetchall()]


async def drop_chunks(connection: Connection, table: str, before_ms: int) -> list[str]:
    """Drops those chunks and returns their names."""
    found = await connection.execute(
        "SELECT drop_chunks(%s::regclass, older_than => to_timestamp(%s / 1000.0))", (table, before_ms)
    )
    return sorted(row[0] for row in await found.fetchall())


async def keep_refresh_inside(connection: Connection, retention: RetentionSettings) -> list[str]:
    """Sets the refresh window of each aggregate to one day less than its raw rows are kept; returns what it changed.

    Run at start, since the retention is a setting. Inside a transaction.
    """
    changed: list[str] = []
    for aggregate, field in AGGREGATES.items():
        days = getattr(retention, field) - 1
        found = await connection.execute(
            "SELECT j.job_id FROM timescaledb_information.jobs j JOIN timescaledb_information.continuous_aggregates a "
            "ON a.materialization_hypertable_name = j.hypertable_name OR a.view_name = j.hypertable_name "
            "WHERE j.proc_name = 'policy_refresh_continuous_aggregate' AND a.view_name = %s "
            "AND (j.config->>'start_offset')::interval = make_interval(days => %s)",
            (aggregate, days),
        )
        if await found.fetchone() is not None:
            continue
        await connection.execute(
            "SELECT remove_continuous_aggregate_policy(%s::regclass, if_exists => true)", (aggregate,)
        )
        await connection.execute(
            "SELECT add_continuous_aggregate_policy(%s::regclass, start_offset => make_interval(days => %s), "
            "end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '10 minutes')",
            (aggregate, days),
        )
        changed.append(aggregate)
    return changed
