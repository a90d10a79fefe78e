"""What the store's metrics show: the lag of every cursor, whoever reads, and how the pool is used."""

import psycopg
import pytest
from prometheus_client import REGISTRY

from core.clock import SystemClock
from core.errors import StoreUnavailable
from core.lane import FIX, Lane
from store.cursors import make_cursors
from store.metrics import StoreMetrics
from store.pool import Store
from tests.store.days import days_ago, fix
from tests.support.facts import FactWriter


def lag(reader: str, lane: str = "live") -> tuple[float | None, float | None]:
    labels = {"reader": reader, "family": "fix", "lane": lane}
    rows, seconds = (
        REGISTRY.get_sample_value(f"wangge_store_cursor_lag_{what}", labels) for what in ("rows", "seconds")
    )
    return rows, seconds


async def test_every_cursor_shows_what_waits_behind_it(store: Store) -> None:
    metrics = StoreMetrics(store, SystemClock())
    async with store.connection() as connection:
        for reader in ("alerts", "rollup"):
            await make_cursors(connection, reader, [FIX])
    await metrics.sample()
    assert lag("alerts") == lag("rollup") == (0, 0)
    with FactWriter(store.dsn) as writer:
        for n in range(3):
            writer.fixes([fix(days_ago(1) + n * 10 + k) for k in range(5)], Lane.LIVE)
        writer.connection.execute("UPDATE batches SET stored_at = stored_at - interval '40 s'")
        writer.connection.execute(
            "UPDATE cursors SET part = 2, seq = (SELECT min(seq) FROM batches) WHERE reader = 'alerts' AND lane = 1"
        )
    await metrics.sample()
    rows, seconds = lag("rollup")
    assert rows == 15
    assert seconds is not None
    assert seconds == pytest.approx(40, abs=20)
    assert lag("alerts")[0] == 8
    assert lag("alerts", "urgent") == (0, 0)
    with psycopg.connect(store.dsn) as connection:
        connection.execute("DELETE FROM cursors WHERE reader = 'rollup'")
    await metrics.sample()
    assert lag("rollup") == (None, None)


async def test_sessions_of_the_pool(store: Store) -> None:
    metrics = StoreMetrics(store, SystemClock())
    async with store.connection():
        await metrics.sample()
        assert (REGISTRY.get_sample_value("wangge_store_sessions", {"state": "used"}) or 0) >= 1
    assert REGISTRY.get_sample_value("wangge_store_sessions_most") == 8
    await store.close()
    with pytest.raises(StoreUnavailable):
        await metrics.sample()
