"""Tails: read committed facts in commit order, without holes, from a durable cursor (design §3).

Each writing transaction draws its batch `seq` under an advisory lock as its last statement, so seq order is commit
order. A tail reads `batches` by seq and the facts by (partition range, batch id). The cursor is moved by the reader's
own transaction, together with what it made of the facts. A NOTIFY only wakes (store.wake).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from core.errors import Conflict
from store.facts import FACT_FAMILIES
from store.pool import Store

Connection = AsyncConnection[TupleRow]

_DECODE_ROWS = 256
"""Rows turned into values between two turns of the event loop, about 2 ms."""


class Position(NamedTuple):
    """Every batch up to `seq` is handled, and the first `part` rows of the batch after it."""

    seq: int
    part: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """One committed batch. Times of the partition range: epoch microseconds, both ends included."""

    seq: int
    batch_id: int
    rows: int
    least_us: int
    greatest_us: int
    stored_at_ms: int


@dataclass(frozen=True, slots=True)
class Slice:
    """Facts in commit order, and where the cursor stands once they are handled. stored_at_ms: of the newest batch."""

    facts: Sequence[Any]
    end: Position
    stored_at_ms: int
    rows_left: bool
    """Whether more is known to wait behind."""


class Tail:
    """One reader's tail of one family and lane. Not safe to share between tasks."""

    def __init__(self, store: Store, reader: str, family: str, lane: int) -> None:
        self._store = store
        self.reader, self.family, self.lane = reader, family, int(lane)
        self.position = Position(0)
        self._rest: list[Any] = []
        self._rest_batch: Batch | None = None
        self._more_batches = False

    async def load(self, connection: Connection) -> Position:
        """Reads the durable cursor (0 when there is none yet) and forgets what was read ahead."""
        cursor = await connection.execute(
            "SELECT seq, part FROM cursors WHERE reader = %s AND family = %s AND lane = %s",
            (self.reader, self.family, self.lane),
        )
        row = await cursor.fetchone()
        self.position = Position(*row) if row else Position(0)
        self._rest, self._rest_batch = [], None
        return self.position

    async def batches(self, limit: int = 500) -> list[Batch]:
        """Up to `limit` batches behind the position, in commit order. Index: batches_pkey."""
        async with self._store.connection() as connection:
            cursor = await connection.execute(
                "SELECT seq, batch_id, rows, (date_part('epoch', least) * 1e6)::bigint, "
                "(date_part('epoch', greatest) * 1e6)::bigint, (date_part('epoch', stored_at) * 1000)::bigint "
                "FROM batches WHERE family = %s AND lane = %s AND seq > %s ORDER BY seq LIMIT %s",
                (self.family, self.lane, self.position.seq, limit),
            )
            return [Batch(*row) for row in await cursor.fetchall()]

    async def facts(self, batches: Sequence[Batch]) -> list[Any]:
        """All facts of these batches in commit order; yields to the event loop while it makes the values."""
        if not batches:
            return []
        family = FACT_FAMILIES[self.family]
        parameters = {
            "least": min(batch.least_us for batch in batches),
            "greatest": max(batch.greatest_us for batch in batches),
            "batches": [batch.batch_id for batch in batches],
        }
        found: list[Any] = []
        make = family.make
        async with self._store.connection() as connection, connection.cursor(binary=True) as cursor:
            await cursor.execute(family.query.encode(), parameters)
            while rows := await cursor.fetchmany(_DECODE_ROWS):
                found += [make(*row) for row in rows]
                await asyncio.sleep(0)
        return found

    async def slice(self, most_rows: int) -> Slice | None:
        """The next facts, about `most_rows` of them; None when nothing waits. A larger batch comes in parts.

        The slice's `end` goes to `advance` in the transaction that handles the facts; then call `moved`.
        """
        if not self._rest:
            batches = await self.batches(limit=max(1, min(500, most_rows)))
            if not batches:
                return None
            taken = _take(batches, most_rows)
            facts = await self.facts(taken)
            if len(taken) > 1 or len(facts) - self.position.part <= most_rows:
                end = Position(taken[-1].seq)
                return Slice(facts[self.position.part :], end, taken[-1].stored_at_ms, len(taken) < len(batches))
            self._rest, self._rest_batch = facts[self.position.part :], taken[0]
            self._more_batches = len(batches) > 1
        batch = self._rest_batch
        assert batch is not None
        if len(self._rest) <= most_rows:
            return Slice(self._rest, Position(batch.seq), batch.stored_at_ms, self._more_batches)
        end = Position(self.position.seq, self.position.part + most_rows)
        return Slice(self._rest[:most_rows], end, batch.stored_at_ms, True)

    async def advance(self, connection: Connection, seq: int, part: int = 0) -> None:
        """Moves the durable cursor inside the caller's transaction.

        Raises Conflict when somebody else moved it meanwhile: a second reader of that name is at work.
        """
        cursor = await connection.execute(
            "INSERT INTO cursors AS c (reader, family, lane, seq, part) VALUES (%(reader)s, %(family)s, %(lane)s, "
            "%(seq)s, %(part)s) ON CONFLICT (reader, family, lane) DO UPDATE SET seq = EXCLUDED.seq, "
            "part = EXCLUDED.part, updated_at = clock_timestamp() WHERE c.seq = %(old_seq)s AND c.part = %(old_part)s "
            "RETURNING seq",
            {
                "reader": self.reader,
                "family": self.family,
                "lane": self.lane,
                "seq": seq,
                "part": part,
                "old_seq": self.position.seq,
                "old_part": self.position.part,
            },
        )
        if await cursor.fetchone() is None:
            raise Conflict(f"The cursor of {self.reader} on {self.family}/{self.lane} was moved by somebody else.")

    def moved(self, end: Position) -> None:
        """Says that the transaction with `advance` committed."""
        if self._rest and end.seq == self.position.seq:
            del self._rest[: end.part - self.position.part]
        else:
            self._rest, self._rest_batch = [], None
        self.position = end


def _take(batches: Sequence[Batch], most_rows: int) -> list[Batch]:
    """The first batches that together hold at most `most_rows`; at least one."""
    taken: list[Batch] = []
    rows = 0
    for batch in batches:
        if taken and rows + batch.rows > most_rows:
            break
        taken.append(batch)
        rows += batch.rows
    return taken
