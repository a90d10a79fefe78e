"""Facts of some days ago, for tests of what ages: retention, roll-ups, upkeep."""

from core.fix import StoredFix
from core.reading import KindCode, ResultCode, StoredReading
from store.leases import Lease
from store.partitions import DAY_MS
from store.pool import Store

NOW_MS = 1_795_527_045_000
HOUR_MS = 3_600_000


def days_ago(days: float) -> int:
    return NOW_MS - round(days * DAY_MS)


def fix(at_ms: int, device: int = 1, battery: float | None = 0.5, digest: int | None = None) -> StoredFix:
    return StoredFix(device, at_ms, NOW_MS, at_ms if digest is None else digest, 26.4, 111.6, 0, 1, battery=battery)


def transaction(at_ms: int, seq: int, amount_fen: int, result: ResultCode, device: int = 7) -> StoredReading:
    return StoredReading(
        device, at_ms, NOW_MS, seq, "b1", seq, KindCode.TRANSACTION, 0, 1, amount_fen=amount_fen, result=result
    )


async def held_lease(store: Store, holder: str = "test") -> Lease:
    lease = Lease(store, "upkeep", holder, ttl_s=60)
    assert await lease.acquire()
    return lease


async def rows(store: Store, query: str) -> list[tuple[object, ...]]:
    async with store.connection() as connection:
        return await (await connection.execute(query.encode())).fetchall()
