"""The engine as the supervised part that it is: urgent facts overtake back-fill, another takes over when one ends."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import REGISTRY

from alerts.engine import Engine
from alerts.rules.track.power import Power
from alerts.rules.track.silence import Silence
from alerts.settings import AlertsSettings, BudgetSettings, EngineSettings
from core.fix import AlarmCode, StoredFix
from core.health import Board
from core.lane import CAMERA, FIX, POS, REFUSAL, SECURITY, Lane
from core.supervise import Supervisor
from store.event_queries import EventFilter, list_events
from store.pool import Store
from tests.alerts.room import room
from tests.support.city import ZONE, make_city
from tests.support.facts import FactWriter

HANDSETS = 100


def fixes(count: int, at_ms: int, lane: Lane, first: int = 0, alarm: int | None = None) -> list[StoredFix]:
    return [
        StoredFix(
            n % HANDSETS + 1, at_ms - n * 10, at_ms, first + n, 26.42, 111.61, 0, lane, accuracy_m=5.0, alarm=alarm
        )
        for n in range(count)
    ]


@asynccontextmanager
async def running(store: Store, **engine: float) -> AsyncIterator[Board]:
    """One engine in a supervision tree."""
    settings = AlertsSettings(
        budget=BudgetSettings(enabled=False),
        engine=EngineSettings(lease_ttl_s=1.0, **engine),  # type: ignore[arg-type]
    )
    board = Board()
    city = make_city(HANDSETS)
    part = Engine(store, lambda: city.registry, settings, zone=ZONE)
    async with Supervisor(board) as tree:
        tree.start("alerts", part.run)
        yield board


async def events(store: Store, code: str, least: int) -> int:
    """Waits until there are that many events of the code."""
    async with asyncio.timeout(30):
        while True:
            async with store.connection() as connection:
                found = len(await list_events(connection, EventFilter(code=code)))
            if found >= least:
                return found
            await asyncio.sleep(0.01)


async def waiting_rows(store: Store, lane: Lane) -> int:
    async with store.connection() as connection:
        cursor = await connection.execute(
            "SELECT coalesce(sum(b.rows), 0) FROM batches AS b LEFT JOIN cursors AS c ON c.reader = 'alerts' "
            "AND (c.family, c.lane) = (b.family, b.lane) WHERE b.lane = %s AND b.seq > coalesce(c.seq, 0)",
            (int(lane),),
        )
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def test_every_cursor_exists_from_the_start_so_that_retention_waits_for_it(store: Store) -> None:
    city = make_city(1)
    assert await Engine(store, lambda: city.registry, AlertsSettings(), zone=ZONE).start()
    async with store.connection() as connection:
        cursor = await connection.execute("SELECT family, lane, seq FROM cursors WHERE reader = 'alerts'")
        found = {(family, lane): seq for family, lane, seq in await cursor.fetchall()}
    assert found == {(family, int(lane)): 0 for family in (FIX, POS, REFUSAL, SECURITY, CAMERA) for lane in Lane}


async def test_a_mistake_in_a_rule_that_looks_at_the_clock_stops_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a mistake")

    monkeypatch.setattr(Silence, "tick", broken)
    async with room(store, make_city(2)) as r:
        await r.feed([r.fix(0, 0), r.fix(0, 1)])
        await r.feed([r.record(0, 1, 0)])
        for at_s in (1000, 1001, 1100):
            await r.until(at_s)
        assert [e.code for e in await r.events()] == ["POS-01"]
        await r.feed([r.fix(1200, alarm=int(AlarmCode.SOS))], Lane.URGENT)
        assert len(await r.events("TRK-01")) == 1


async def test_an_sos_overtakes_a_back_fill_backlog(store: Store) -> None:
    now_ms = time.time_ns() // 1_000_000
    with FactWriter(store.dsn) as writer:
        for n in range(8):
            batch = fixes(5000, now_ms - 3_600_000, Lane.BACKFILL, n * 5000)
            await asyncio.to_thread(writer.fixes, batch, Lane.BACKFILL)
        async with running(store, backfill_rows=20):
            async with asyncio.timeout(30):
                while await waiting_rows(store, Lane.BACKFILL) == 40_000:  # noqa: ASYNC110 - a deadline
                    await asyncio.sleep(0.01)
            for n in range(3):
                alarm = fixes(1, now_ms + n * 700_000, Lane.URGENT, 100_000 + n, int(AlarmCode.SOS))
                await asyncio.to_thread(writer.fixes, alarm, Lane.URGENT)
                await events(store, "TRK-01", n + 1)
            assert await waiting_rows(store, Lane.BACKFILL) > 0


async def test_a_live_backlog_is_worked_off_at_once(store: Store) -> None:
    """30,000 live fixes waited: far more than gathering half a second each thousand would allow."""
    now_ms = time.time_ns() // 1_000_000
    with FactWriter(store.dsn) as writer:
        for n in range(30):
            await asyncio.to_thread(writer.fixes, fixes(1000, now_ms, Lane.LIVE, n * 1000))
    async with running(store, live_gather_s=5.0), asyncio.timeout(30):
        while await waiting_rows(store, Lane.LIVE):  # noqa: ASYNC110 - a deadline
            await asyncio.sleep(0.02)


async def test_a_second_engine_waits_and_takes_over(store: Store) -> None:
    now_ms = time.time_ns() // 1_000_000
    with FactWriter(store.dsn) as writer:
        async with running(store) as first:
            await asyncio.to_thread(writer.fixes, fixes(1, now_ms, Lane.URGENT, 1, int(AlarmCode.SOS)), Lane.URGENT)
            await events(store, "TRK-01", 1)
            async with Store(store.dsn) as other_store, running(other_store) as second:
                async with asyncio.timeout(10):
                    while not second.parts() or second.parts()[0].state != "degraded":  # noqa: ASYNC110 - a deadline
                        await asyncio.sleep(0.02)
                assert first.parts()[0].state == "ok"
        async with running(store):
            await asyncio.to_thread(
                writer.fixes, fixes(1, now_ms + 9_000_000, Lane.URGENT, 2, int(AlarmCode.SOS)), Lane.URGENT
            )
            assert await events(store, "TRK-01", 2) == 2


async def test_a_store_that_goes_away_is_survived(store: Store) -> None:
    """Every session of the database is ended; the supervisor starts the engine again and nothing is lost."""
    now_ms = time.time_ns() // 1_000_000
    async with running(store):
        for n in range(3):
            with FactWriter(store.dsn) as writer:
                alarm = fixes(1, now_ms + n * 700_000, Lane.URGENT, n, int(AlarmCode.SOS))
                await asyncio.to_thread(writer.fixes, alarm, Lane.URGENT)
                writer.connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            assert await events(store, "TRK-01", n + 1) == n + 1


async def test_a_mistake_in_one_rule_does_not_stop_the_others(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr(Power, "step", fails)
    now_ms = time.time_ns() // 1_000_000

    def failures() -> float:
        return REGISTRY.get_sample_value("wangge_alerts_rule_failures_total", {"code": "TRK-05"}) or 0.0

    before = failures()
    async with running(store):
        with FactWriter(store.dsn) as writer:
            alarm = fixes(1, now_ms, Lane.URGENT, 1, int(AlarmCode.SOS))
            await asyncio.to_thread(writer.fixes, alarm, Lane.URGENT)
            assert await events(store, "TRK-01", 1) == 1
    assert failures() == before + 1
