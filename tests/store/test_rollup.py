"""Hourly figures: each committed batch exactly once in the plain flavour, and the same figures in both flavours."""

import random

import pytest

from core.errors import LeaseLost
from core.lane import Lane
from core.reading import ResultCode
from store import rollup
from store.pool import Store
from store.rollup import RollUp
from tests.store.days import HOUR_MS, days_ago, fix, held_lease, rows, transaction
from tests.support.facts import FactWriter

FIXES = (
    "SELECT device, (date_part('epoch', hour) * 1000)::bigint, fixes, least_battery FROM fixes_per_hour ORDER BY 1, 2"
)
TRUE_FIXES = """
    SELECT device, (date_part('epoch', date_trunc('hour', fixed_at, 'UTC')) * 1000)::bigint, count(*), min(battery)
    FROM fixes GROUP BY 1, 2 ORDER BY 1, 2"""
TRANSACTIONS = "SELECT device, transactions, approved, declined, amount_fen FROM transactions_per_hour ORDER BY 1, hour"


async def test_both_flavours_show_the_same_figures(either_store: Store) -> None:
    start = days_ago(1) // HOUR_MS * HOUR_MS
    with FactWriter(either_store.dsn) as writer:
        writer.fixes([fix(start, battery=0.5), fix(start + 1000, battery=0.25), fix(start + HOUR_MS, battery=None)])
        writer.fixes([fix(start + 2000, device=2)], Lane.BACKFILL)
        writer.readings(
            [
                transaction(start, 1, 1200, ResultCode.APPROVED),
                transaction(start + 1, 2, 800, ResultCode.APPROVED),
                transaction(start + 2, 3, 5000, ResultCode.DECLINED),
                transaction(start + 3, 4, 100, ResultCode.TIMEOUT),
            ]
        )
    job = RollUp(either_store, await held_lease(either_store))
    if await job.start():
        await job.catch_up()
    assert await rows(either_store, FIXES) == [
        (1, start, 2, 0.25),
        (1, start + HOUR_MS, 1, None),
        (2, start, 1, 0.5),
    ]
    assert await rows(either_store, TRANSACTIONS) == [(7, 4, 2, 1, 2000)]


async def test_batches_are_added_up_exactly_once_however_the_job_is_stopped(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup, "BATCHES_AT_ONCE", 3)
    rng = random.Random(5)
    job = RollUp(store, await held_lease(store))
    assert await job.start()
    with FactWriter(store.dsn) as writer:
        for n in range(40):
            at_ms = days_ago(rng.uniform(0.1, 4))
            writer.fixes(
                [
                    fix(at_ms + k * 600_000, rng.randrange(3), rng.random(), n * 100 + k)
                    for k in range(rng.randrange(1, 9))
                ],
                rng.choice(list(Lane)),
            )
            if n % 7 == 0:
                await RollUp(store, job._lease)._step("fix", int(rng.choice(list(Lane))))
    assert await job.catch_up() > 0
    assert await job.catch_up() == 0
    assert await rows(store, FIXES) == await rows(store, TRUE_FIXES)


async def test_chunks_are_bounded_in_rows_but_a_large_batch_goes_whole(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup, "ROWS_AT_ONCE", 10)
    job = RollUp(store, await held_lease(store))
    await job.start()
    with FactWriter(store.dsn) as writer:
        for n, size in enumerate((4, 4, 4, 50, 1)):
            writer.fixes([fix(days_ago(1) + k, digest=n * 100 + k) for k in range(size)])
    assert [await job._step("fix", Lane.LIVE) for _ in range(4)] == [3, 1, 1, 0]


async def test_a_lost_lease_writes_nothing(store: Store) -> None:
    lease = await held_lease(store, "old")
    job = RollUp(store, lease)
    await job.start()
    with FactWriter(store.dsn) as writer:
        writer.fixes([fix(days_ago(1))])
        writer.connection.execute("UPDATE leases SET holder = 'new', epoch = epoch + 1")
    with pytest.raises(LeaseLost):
        await job.catch_up()
    assert await rows(store, FIXES) == []
