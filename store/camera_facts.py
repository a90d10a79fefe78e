"""Facts about cameras and media roots: written by the workshop `streams`, tailed by the rules (family `camera`).

Lanes: what says how something *is* (signal, disk, storage, gap) goes to the live lane at any age, so that rules see a
camera's facts in the order in which they were written; there are few of them. Measurements (quality, clock) older than
two minutes go to the back-fill lane. Nothing goes to the urgent lane, which is for people in danger.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from psycopg import AsyncConnection

from core.camera import CameraFact, KindCode
from core.ids import digest64
from core.lane import CAMERA, Lane
from store import session
from store.partitions import day_of, ensure_days, is_plain
from store.pool import Store

Connection = AsyncConnection[Any]

BACKFILL_AGE_US: Final = 120_000_000
MEASUREMENTS: Final = frozenset({KindCode.QUALITY, KindCode.CLOCK})
_TABLE: Final = "camera_facts"
_KEY: Final = b"camera_facts"
"""Not a secret: the digest tells equal facts, and hides nothing."""

_INSERT: Final = """
INSERT INTO camera_facts (at, received_at, digest, batch_id, device, kind, light, score, root, figures, picture)
SELECT to_timestamp(at_us / 1e6), to_timestamp(%(received_us)s / 1e6), digest, %(batch)s, device, kind, light, score,
    root, figures::jsonb, picture
FROM unnest(%(at_us)s::bigint[], %(digest)s::bigint[], %(device)s::integer[], %(kind)s::smallint[],
    %(light)s::smallint[], %(score)s::real[], %(root)s::text[], %(figures)s::text[], %(picture)s::text[])
    AS new (at_us, digest, device, kind, light, score, root, figures, picture)
ORDER BY at_us, digest ON CONFLICT (at, digest) DO NOTHING RETURNING at
"""


def lane_of(fact: CameraFact, received_us: int) -> Lane:
    """See the head of this file."""
    late = received_us - fact.at_us > BACKFILL_AGE_US
    return Lane.BACKFILL if late and fact.kind in MEASUREMENTS else Lane.LIVE


def digest_of(fact: CameraFact) -> int:
    """The same for two facts of the same device, kind, root, time and figures."""
    content = (fact.at_us, int(fact.kind), fact.device, fact.root, fact.figures, fact.score, fact.light)
    return digest64(_KEY, msgspec.json.encode(content, order="deterministic"))


async def write(connection: Connection, facts: Sequence[CameraFact], received_us: int) -> int:
    """Writes facts as the last statements of the caller's transaction; returns how many were new.

    received_us: our time, epoch microseconds. Their days must have a partition: `CameraFactWriter` sees to it; the days
    around today always have one while any process has the role `upkeep`. Raises what psycopg raises.
    """
    written = 0
    for lane in Lane:
        chosen = [fact for fact in facts if lane_of(fact, received_us) == lane]
        if chosen:
            written += await _write_lane(connection, chosen, lane, received_us)
    return written


async def _write_lane(connection: Connection, facts: Sequence[CameraFact], lane: Lane, received_us: int) -> int:
    found = await connection.execute("SELECT nextval('batch_ids')")
    row = await found.fetchone()
    assert row is not None
    batch = row[0]
    done = await connection.execute(
        _INSERT.encode(),
        {
            "received_us": received_us,
            "batch": batch,
            "at_us": [fact.at_us for fact in facts],
            "digest": [digest_of(fact) for fact in facts],
            "device": [fact.device for fact in facts],
            "kind": [int(fact.kind) for fact in facts],
            "light": [None if fact.light is None else int(fact.light) for fact in facts],
            "score": [fact.score for fact in facts],
            "root": [fact.root for fact in facts],
            "figures": [msgspec.json.encode(fact.figures).decode() for fact in facts],
            "picture": [fact.picture for fact in facts],
        },
    )
    times = [at for (at,) in await done.fetchall()]
    if times:
        await connection.execute(
            "SELECT commit_batch(%s, %s::smallint, %s, %s, %s, %s)",
            (CAMERA, int(lane), batch, len(times), min(times), max(times)),
        )
    return len(times)


class CameraFactWriter:
    """Writes facts in transactions of their own and makes missing day partitions. One event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._days: set[int] = set()
        self.written = 0

    async def write(self, facts: Sequence[CameraFact], received_us: int) -> int:
        """One transaction; returns how many were new. Raises StoreUnavailable: then try the same facts again."""
        if not facts:
            return 0
        await self.need_days(facts)
        async with self._store.transaction() as connection:
            written = await write(connection, facts, received_us)
        self.written += written
        return written

    async def need_days(self, facts: Iterable[CameraFact]) -> None:
        """Makes the partitions of these facts where there are none; call it before `write` in a transaction."""
        missing = {day_of(fact.at_us // 1000) for fact in facts} - self._days
        if missing:
            await asyncio.to_thread(_ensure, self._store.dsn, missing)
            self._days |= missing


def _ensure(dsn: str, days: set[int]) -> None:
    with session.connect(dsn, application_name="wangge-camera-facts") as connection:
        if is_plain(connection):
            ensure_days(connection, _TABLE, days)
