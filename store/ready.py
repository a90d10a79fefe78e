"""Heartbeats of our own roles: absence of a device is judged only for time in which a collector was ready.

A row is one unbroken interval of readiness. A role beats every BEAT_S while it is ready, and not otherwise; a beat that
comes more than GAP_S after the one before begins a new interval (the process was stopped, the store was away).
"""

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from store.pool import Store

Connection = AsyncConnection[TupleRow]

INGEST = "ingest"
BEAT_S = 3.0
GAP_S = 12.0


class ReadyHeart:
    """The heartbeat of one role in one process. Call `beat` every BEAT_S while the role is ready."""

    def __init__(self, store: Store, role: str, holder: str) -> None:
        self._store, self._role, self._holder = store, role, holder

    async def beat(self) -> None:
        """Extends the running interval to now (store's clock) or begins a new one. Raises StoreUnavailable."""
        async with self._store.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE ready_spans SET until = clock_timestamp() WHERE (role, holder, since) = (SELECT role, holder, "
                "since FROM ready_spans WHERE role = %(role)s AND holder = %(holder)s "
                "AND until > clock_timestamp() - make_interval(secs => %(gap)s) ORDER BY since DESC LIMIT 1) "
                "RETURNING since",
                {"role": self._role, "holder": self._holder, "gap": GAP_S},
            )
            if await cursor.fetchone() is None:
                await connection.execute(
                    "INSERT INTO ready_spans (role, holder, since, until) "
                    "SELECT %s, %s, t, t FROM clock_timestamp() AS t",
                    (self._role, self._holder),
                )


async def ready_spans(connection: Connection, role: str, since_ms: int) -> list[tuple[int, int]]:
    """Intervals [since, until] of the role in epoch milliseconds that reach beyond `since_ms`, of all its holders.

    Sorted by their beginning; they may overlap. Index: ready_spans_until.
    """
    cursor = await connection.execute(
        "SELECT (date_part('epoch', since) * 1000)::bigint, (date_part('epoch', until) * 1000)::bigint "
        "FROM ready_spans WHERE role = %s AND until > to_timestamp(%s / 1000.0) ORDER BY since",
        (role, since_ms),
    )
    return [(row[0], row[1]) for row in await cursor.fetchall()]
