"""DQ-01 for stuck cursors: facts wait behind a reader's cursor that has not moved for ten minutes.

Any reader's cursor (rules, patrol, roll-ups): what it should handle is late, and retention waits for it.
"""

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from alerts.rule import key_of
from core.event import Finding

Connection = AsyncConnection[TupleRow]
CODE = "DQ-01"


async def stuck_cursors(connection: Connection, stuck_s: float) -> list[Finding]:
    """Openings for cursors that are stuck now. The key names the place where it is stuck. Index: batches_pkey."""
    cursor = await connection.execute(
        "SELECT c.reader, c.family, c.lane, c.seq, (date_part('epoch', w.stored_at) * 1000)::bigint FROM cursors AS c "
        "CROSS JOIN LATERAL (SELECT stored_at FROM batches AS b WHERE b.family = c.family AND b.lane = c.lane "
        "AND b.seq > c.seq ORDER BY b.seq LIMIT 1) AS w "
        "WHERE greatest(w.stored_at, c.updated_at) < clock_timestamp() - make_interval(secs => %s)",
        (stuck_s,),
    )
    found = []
    for reader, family, lane, seq, waiting_ms in await cursor.fetchall():
        name = f"{reader}/{family}/{lane}"
        causes: dict[str, object] = {"kind": "stuck_cursor", "after_seq": seq}
        key = key_of(CODE, name, waiting_ms, seq, "cursor")
        found.append(Finding("open", CODE, key, name, waiting_ms, causes=causes))
    return found


async def freed_cursors(connection: Connection, stuck: list[Finding], now_ms: int) -> list[Finding]:
    """Ends of open events of cursors that are not stuck any more."""
    cursor = await connection.execute(
        "SELECT key, subject FROM grid_events WHERE code = %s AND subject_kind = 'division' AND ended_at IS NULL "
        "AND causes ->> 'kind' = 'stuck_cursor' AND step NOT IN ('archived', 'rejected', 'merged', 'self_ended')",
        (CODE,),
    )
    still = {finding.key for finding in stuck}
    return [Finding("end", CODE, key, subject, now_ms) for key, subject in await cursor.fetchall() if key not in still]
