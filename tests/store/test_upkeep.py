"""Upkeep under supervision: one process works, the other stands by and takes over; outages heal."""

import asyncio
from collections.abc import Callable

import pytest

from core.clock import SystemClock
from core.health import Board
from core.supervise import RestartPolicy, Supervisor
from store import upkeep
from store.leases import Lease
from store.pool import Store
from store.retention import RetentionReport
from store.settings import RetentionSettings
from store.upkeep import Upkeep
from tests.store.days import fix, rows
from tests.support.facts import FactWriter


async def until(claim: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while True:
            found = claim()
            if found if not asyncio.iscoroutine(found) else await found:
                return
            await asyncio.sleep(0.02)


async def test_partitions_rollups_and_retention_are_done(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "ROLLUP_EVERY_S", 0.05)
    reports: list[RetentionReport] = []

    async def take(report: RetentionReport) -> None:
        reports.append(report)

    board, clock = Board(), SystemClock()

    async def is_rolled_up() -> bool:
        return await rows(store, "SELECT fixes FROM fixes_per_hour") == [(1,)]

    async with Supervisor(board) as tree:
        tree.start("store.upkeep", Upkeep(store, "one", RetentionSettings(), clock, take).run)
        await asyncio.wait_for(tree.ready(), 20)
        with FactWriter(store.dsn) as writer:
            writer.fixes([fix(clock.now_ms())])
        await until(is_rolled_up)
        await until(lambda: reports)
    days = await rows(store, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'pos_records'::regclass")
    assert days == [(9,)]
    assert await Lease(store, upkeep.LEASE, "next").acquire()


async def test_the_second_takes_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "TTL_S", 1.0)
    board = Board()

    async def holder_is_two() -> bool:
        return await rows(store, "SELECT holder FROM leases WHERE expires_at > clock_timestamp()") == [("two",)]

    async with Supervisor(board) as tree:
        for name in ("one", "two"):
            tree.start(name, Upkeep(store, name, RetentionSettings(), SystemClock()).run, RestartPolicy(first_s=0.1))
            await asyncio.wait_for(tree.ready(), 20)
        assert [p.state for p in board.parts()] == ["ok", "ok"]
        await tree.stop("one")
        await until(holder_is_two)
        assert [p.restarts for p in board.parts()] == [0]
