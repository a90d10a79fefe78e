"""What cameras' pictures look like when all is well (`camera_references`): bytes that streams.quality makes and
reads."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

MOST_BYTES = 64 << 10


class ReferenceRow(NamedTuple):
    """camera: registry key. light: 0 day, 1 night. learned_us: UTC epoch microseconds."""

    camera: int
    light: int
    version: int
    learned_us: int
    reference: bytes


async def references_for(connection: AsyncConnection[TupleRow], cameras: Sequence[int]) -> list[ReferenceRow]:
    """Rows of these cameras. Index: the primary key."""
    cursor = await connection.execute(
        "SELECT camera, light, version, (extract(epoch FROM learned_at) * 1000000)::bigint, reference "
        "FROM camera_references WHERE camera = ANY(%s)",
        (list(cameras),),
    )
    rows = await cursor.fetchall()
    return [
        ReferenceRow(key, light, version, learned_us, bytes(stored)) for key, light, version, learned_us, stored in rows
    ]


async def keep_references(connection: AsyncConnection[TupleRow], rows: Iterable[ReferenceRow]) -> None:
    """Stores references, what was learned later winning. The caller holds the cameras' leases and fences the write."""
    packed = [row for row in rows if len(row.reference) <= MOST_BYTES]
    if not packed:
        return
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO camera_references AS r (camera, light, version, learned_at, reference) "
            "VALUES (%s, %s, %s, to_timestamp(%s / 1000000.0), %s) ON CONFLICT (camera, light) DO UPDATE SET "
            "version = greatest(r.version, EXCLUDED.version), learned_at = EXCLUDED.learned_at, "
            "reference = EXCLUDED.reference WHERE r.learned_at <= EXCLUDED.learned_at",
            packed,
        )
