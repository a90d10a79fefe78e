"""The audit log: who looked at or changed what, written in the request's own transaction, chained afterwards.

`record` adds a row. `seal` chains rows that have committed, in the order it sees them: head n = sha256(head n-1 ‖ row).
`drop_before` is retention. The signed heads outside the database and `audit verify` are in store.audit_seal.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

FIRST_HEAD = hashlib.sha256(b"wangge audit 1").digest()
"""Head 0, before the first row."""
SEAL_BATCH = 1000
LOOK_BACK = 10_000
"""Rows whose transaction committed late are looked for so many numbers behind the newest sealed one."""

SEALER_LOCK = 8019
"""Advisory lock of the one sealer (transaction scoped)."""

ROW_COLUMNS = """a.seq, (extract(epoch FROM a.at) * 1000000)::bigint, a.who, a.role, a.action, a.object, a.scope,
       a.purpose, a.peer, a.details::text"""
"""What of a row is hashed, in order."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: `who` (operator:NAME, worker:ID, local, rule:CODE@V) did `action` (noun.verb) to `target` in `scope`."""

    who: str
    action: str
    role: str | None = None
    target: str | None = None
    scope: str | None = None
    purpose: str | None = None
    peer: str | None = None
    details: dict[str, object] = field(default_factory=dict)


async def record(connection: AsyncConnection[Any], entry: Entry) -> int:
    """Adds a row in the caller's transaction and returns its number; it counts once that transaction commits."""
    cursor = await connection.execute(
        """INSERT INTO audit_log (who, role, action, object, scope, purpose, peer, details)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING seq""",
        [
            entry.who,
            entry.role,
            entry.action,
            entry.target,
            entry.scope,
            entry.purpose,
            entry.peer,
            Jsonb(entry.details),
        ],
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


def next_head(head: bytes, row: Sequence[object]) -> bytes:
    """The head after `row` (the values of ROW_COLUMNS)."""
    text = json.dumps(list(row), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(head + text.encode()).digest()


@dataclass(frozen=True, slots=True)
class Head:
    """The newest seal: `n` rows are chained, `floor` of them dropped by retention."""

    n: int
    head: bytes
    floor: int


async def seal(connection: AsyncConnection[Any]) -> int:
    """Chains what has committed since the last call; returns how many rows (up to SEAL_BATCH: call again then).

    Runs in its own transaction (the caller's connection must be in autocommit). Another sealer at work: 0.
    """
    async with connection.transaction():
        cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEALER_LOCK])
        locked = await cursor.fetchone()
        if locked is None or not locked[0]:
            return 0
        cursor = await connection.execute("SELECT n, seq, head FROM audit_seals ORDER BY n DESC LIMIT 1")
        last = await cursor.fetchone()
        n, seq, head = (last[0], last[1], bytes(last[2])) if last else (0, 0, FIRST_HEAD)
        rows = await (
            await connection.execute(
                f"""SELECT {ROW_COLUMNS} FROM audit_log a
                    WHERE a.seq > %(after)s
                        AND NOT EXISTS (SELECT FROM audit_seals s WHERE s.seq = a.seq AND s.seq > %(after)s)
                    ORDER BY a.seq LIMIT %(most)s""",  # noqa: S608 (a constant)
                {"after": seq - LOOK_BACK, "most": SEAL_BATCH},
            )
        ).fetchall()
        seals: list[tuple[int, int, bytes]] = []
        for row in rows:
            n, head = n + 1, next_head(head, row)
            seals.append((n, row[0], head))
        if seals:
            async with connection.cursor() as writer:
                await writer.executemany("INSERT INTO audit_seals (n, seq, head) VALUES (%s, %s, %s)", seals)
    return len(seals)


async def newest_head(connection: AsyncConnection[Any]) -> Head | None:
    """The newest seal and the anchor left by retention; None while nothing is sealed."""
    cursor = await connection.execute(
        """SELECT n, head, (SELECT value FROM meta WHERE name = %s)
           FROM audit_seals ORDER BY n DESC LIMIT 1""",
        ["audit_floor"],
    )
    row = await cursor.fetchone()
    return Head(int(row[0]), bytes(row[1]), int(row[2] or 0)) if row else None


async def drop_before(connection: AsyncConnection[Any], cut: datetime) -> int:
    """Retention: drops the beginning of the chain older than `cut` (rows and seals); returns how many rows.

    Keeps the seal of the last dropped row as anchor and its number in `meta`, from which the next head file line takes
    it: rows that vanish without it are found by `audit verify`. Leaves its own trace in the log.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [SEALER_LOCK])
        cursor = await connection.execute(
            """SELECT min(s.n) - 1 FROM audit_seals s JOIN audit_log a USING (seq) WHERE a.at >= %s""", [cut]
        )
        row = await cursor.fetchone()
        floor = int(row[0]) if row and row[0] is not None else 0
        if floor <= 0:
            return 0
        await connection.execute("SELECT set_config('wangge.audit_retention', 'on', true)")
        cursor = await connection.execute(
            "DELETE FROM audit_log a USING audit_seals s WHERE s.seq = a.seq AND s.n <= %s", [floor]
        )
        dropped = cursor.rowcount
        if dropped == 0:
            return 0
        await connection.execute("DELETE FROM audit_seals WHERE n < %s", [floor])
        await connection.execute(
            """INSERT INTO meta (name, value) VALUES ('audit_floor', %s)
               ON CONFLICT (name) DO UPDATE SET value = excluded.value""",
            [str(floor)],
        )
        await record(
            connection,
            Entry("retention", "audit.drop", details={"rows": dropped, "before": cut.isoformat(), "floor": floor}),
        )
    return dropped
