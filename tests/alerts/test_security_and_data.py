"""SEC-01 and DQ-01 through the real engine."""

import psycopg

from alerts.settings import AlertsSettings, BudgetSettings
from core.fix import AlarmCode, Flag
from core.lane import Lane
from store.pool import Store
from tests.alerts.room import START_MS, room
from tests.support.city import make_city


def refusals(count: int, since_s: float = 0.0, **fields: object) -> list[dict[str, object]]:
    return [
        {"at_ms": START_MS + round(since_s * 1000) + n * 1000, "kind": "refused_credential", **fields}
        for n in range(count)
    ]


async def test_ten_refusals_of_a_device_are_one_event(store: Store) -> None:
    async with room(store, make_city(2)) as r:
        r.writer.security(refusals(9, device=1, peer="10.0.0.1:999"))
        await r.until(20)
        assert await r.events() == []
        r.writer.security(refusals(40, 20, device=1, peer="10.0.0.1:998"))
        await r.until(90)
        (event,) = await r.events()
        assert (event.code, event.subject, event.level) == ("SEC-01", "h0", "city")
        assert event.grid == "431102001001000"


async def test_a_peer_that_tries_many_ids(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        rows = [row | {"claimed": f"x{n}", "peer": "10.0.0.9:1"} for n, row in enumerate(refusals(12))]
        r.writer.security(rows)
        await r.until(20)
        (event,) = await r.events()
        assert event.subject == "peer:10.0.0.9"


async def test_slow_refusals_are_none_and_a_card_number_is_one(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        for n in range(20):
            r.writer.security(refusals(1, n * 40, device=1))
        await r.until(800)
        assert await r.events() == []
        r.writer.security([{"at_ms": START_MS + 900_000, "kind": "card_masked", "device": 1, "detail": "extra"}])
        await r.until(901)
        (event,) = await r.events()
        assert event.causes["kind"] == "card_number"


async def test_quiet_senders_are_forgotten(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        r.writer.security([row | {"claimed": f"x{n}"} for n, row in enumerate(refusals(50))])
        await r.until(60)
        assert len(r.engine.memory.of_kind("sender")) == 50
        await r.until(8000)
        assert r.engine.memory.of_kind("sender") == []
        with psycopg.connect(store.dsn) as connection:
            row = connection.execute("SELECT count(*) FROM rule_states WHERE subject LIKE 'sender:%'").fetchone()
        assert row == (0,)


async def test_refused_share_of_a_division(store: Store) -> None:
    async with room(store, make_city(2, since_ms=START_MS - 1000)) as r:
        await r.feed([r.fix(n, n % 2) for n in range(120)])
        r.writer.refusals(START_MS + 121_000, 1, 6)
        await r.until(122)
        assert await r.events() == []
        r.writer.refusals(START_MS + 123_000, 1, 2)
        await r.until(124)
        (event,) = await r.events()
        assert (event.code, event.subject, event.causes["kind"]) == ("DQ-01", "431102", "refused")
        await r.feed([r.fix(800 + n, n % 2) for n in range(50)])
        assert (await r.events())[0].step == "self_ended"


async def test_a_stuck_cursor(store: Store) -> None:
    settings = AlertsSettings(budget=BudgetSettings(least=2))
    async with room(store, make_city(1), settings) as r:
        await r.feed([r.fix(0)])
        with psycopg.connect(store.dsn, autocommit=True) as connection:
            connection.execute("INSERT INTO cursors (reader, family, lane, seq) VALUES ('patrol', 'fix', 1, 0)")
            connection.execute("UPDATE cursors SET updated_at = updated_at - interval '1 h' WHERE reader = 'patrol'")
            connection.execute("UPDATE batches SET stored_at = stored_at - interval '1 h'")
            await r.until(100)
            (event,) = await r.events("DQ-01")
            assert event.subject == "patrol/fix/1"
            for minute in range(1, 4):
                await r.until(100 + minute * 61)
            assert [e.subject for e in await r.events("DQ-01")] == ["patrol/fix/1"]
            assert connection.execute("SELECT found FROM rule_budgets").fetchall() == [(1,)]
            connection.execute("UPDATE cursors SET seq = 1000000 WHERE reader = 'patrol'")
        await r.until(400)
        assert (await r.events("DQ-01"))[0].step == "self_ended"


async def test_the_budget_merges_what_is_beyond_and_spares_sos(store: Store) -> None:
    settings = AlertsSettings(budget=BudgetSettings(least=3))
    async with room(store, make_city(30), settings) as r:
        await r.feed([r.fix(0, i, flags=Flag.MOCK) for i in range(10)])
        events = await r.events("TRK-06")
        assert len(events) == 4
        merged = events[-1] if events[-1].subject_kind == "division" else next(e for e in events if e.count > 1)
        assert merged.count == 7
        assert [entry["subject"] for entry in merged.causes["merged"]] == [f"h{i}" for i in range(3, 10)]
        await r.feed([r.fix(10, i, alarm=int(AlarmCode.SOS)) for i in range(10)], Lane.URGENT)
        assert len(await r.events("TRK-01")) == 10


async def test_what_is_beyond_the_budget_never_goes_into_an_event_that_people_finished(store: Store) -> None:
    settings = AlertsSettings(budget=BudgetSettings(least=1))
    async with room(store, make_city(30), settings) as r:
        await r.feed([r.fix(0, i, flags=Flag.MOCK) for i in range(3)])
        with psycopg.connect(store.dsn) as connection:
            connection.execute("UPDATE grid_events SET step = 'archived' WHERE subject_kind = 'division'")
        await r.feed([r.fix(10, i, flags=Flag.MOCK) for i in range(3, 6)])
        merged = [e for e in await r.events("TRK-06") if e.subject_kind == "division"]
        assert sorted((e.step, e.count) for e in merged) == [("archived", 2), ("reported", 3)]
