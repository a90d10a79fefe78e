"""TRK rules through the real engine, on a fake clock, with production thresholds."""

import random

from core.fix import AlarmCode, Flag, StoredFix
from core.lane import Lane
from store.pool import Store
from tests.alerts.room import NO_BUDGET, START_MS, Room, every, room
from tests.support.city import at_metres, make_city
from tests.support.facts import ready_between


def jitter(rng: random.Random, place: tuple[float, float], metres: float = 4.0) -> tuple[float, float]:
    return place[0] + rng.gauss(0, metres) / 111_000, place[1] + rng.gauss(0, metres) / 99_600


async def test_sos_opens_at_once_and_presses_merge(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed([r.fix(0, alarm=int(AlarmCode.SOS))], Lane.URGENT)
        await r.feed([r.fix(60, alarm=int(AlarmCode.SOS)), r.fix(90, alarm=int(AlarmCode.FALL))], Lane.URGENT)
        (event,) = await r.events()
        assert (event.code, event.severity, event.level, event.count, event.late) == ("TRK-01", 1, "grid", 3, False)
        assert event.grid == "431102001001000"
        assert event.worker == "w0"
        assert event.subject == "h0"
        assert event.due_at_ms == event.detected_at_ms + 300_000
        assert event.began_at_ms == START_MS
        await r.feed([r.fix(2000, alarm=int(AlarmCode.SOS))], Lane.URGENT)
        assert len(await r.events()) == 2


async def test_sos_of_an_hour_ago_is_late(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed([r.fix(-3600, received_s=0, alarm=int(AlarmCode.SOS))], Lane.URGENT)
        (event,) = await r.events()
        assert event.late


async def test_silence_opens_after_15_min_and_ends_with_the_next_contact(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed([r.fix(0), r.fix(10)])
        await r.until(10 + 899)
        assert await r.events() == []
        await r.until(10 + 902)
        (event,) = await r.events()
        assert event.code == "TRK-02"
        assert event.began_at_ms == START_MS + 10_000
        assert event.step == "reported"
        assert event.lat is not None
        await r.feed([r.fix(1200)])
        (event,) = await r.events()
        assert event.step == "self_ended"
        assert event.ended_at_ms == START_MS + 1_200_300


async def test_silence_explained_by_back_fill_is_marked_and_back_fill_opens_none(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed([r.fix(0)])
        await r.until(1500)
        await r.feed([r.fix(1600)])
        filled = every(10, 10, 1600, lambda s: r.fix(s, received_s=1610))
        random.Random(1).shuffle(filled)
        await r.feed(filled[:80], Lane.BACKFILL)
        await r.feed(filled[80:], Lane.BACKFILL)
        await r.feed(every(10, -7200, -3600, lambda s: r.fix(s, received_s=1620)), Lane.BACKFILL)
        (event,) = await r.events()
        assert event.causes["coverage_gap"] is True
        assert event.step == "self_ended"


async def test_a_partly_filled_silence_stays_one(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed([r.fix(0)])
        await r.until(3000)
        await r.feed([r.fix(3100)])
        await r.feed(every(10, 10, 1500, lambda s: r.fix(s, received_s=3110)), Lane.BACKFILL)
        (event,) = await r.events()
        assert "coverage_gap" not in event.causes


async def test_two_silences_with_only_old_fixes_between_are_two(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed([r.fix(0)])
        await r.until(1000)
        await r.feed([r.fix(-500, received_s=1200)], Lane.BACKFILL)
        await r.until(1200 + 1000)
        first, second = await r.events("TRK-02")
        assert (first.step, second.step) == ("self_ended", "reported")
        assert first.ended_at_ms is not None
        assert second.began_at_ms >= first.ended_at_ms


async def test_our_own_absence_is_not_the_handsets(store: Store) -> None:
    """Down from second 60 to 3600: silence counts again from 2 min after the collector is back."""
    async with room(store, make_city(1)) as r:
        await r.feed([r.fix(0)])
        ready_between(store.dsn, START_MS - 3_600_000, START_MS + 60_000)
        r.clock.advance_ms(3_600_000)
        await r.until(3600, ready=False)
        assert await r.events() == []
        for at in (3600 + 120 + 800, 3600 + 120 + 850):
            ready_between(store.dsn, START_MS + 3_600_000, START_MS + at * 1000, holder="second")
            await r.until(at, ready=False)
        (event,) = await r.events()
        assert event.code == "TRK-02"


async def test_silence_needs_a_planned_shift_and_ends_with_it(store: Store) -> None:
    """Shift 08:00–14:40 site time; it is 14:00."""
    async with room(store, make_city(1, shift=(480, 880))) as r:
        await r.feed([r.fix(0)])
        await r.until(1000)
        await r.until(3000)
        (event,) = await r.events()
        assert event.ended_at_ms == START_MS + 2400 * 1000
        await r.until(9000)
        assert len(await r.events()) == 1


async def test_no_silence_without_a_plan(store: Store) -> None:
    async with room(store, make_city(1, planned=False)) as r:
        await r.feed([r.fix(0)])
        await r.until(9000)
        assert await r.events() == []


async def test_mass_silence_is_one_event(store: Store) -> None:
    """30 of 40 fall silent within a minute; one more an hour before had its own event."""
    async with room(store, make_city(40)) as r:
        await r.feed([r.fix(0, i) for i in range(40)])
        for minute in range(0, 30, 5):
            await r.feed([r.fix(minute * 60, i, received_s=minute * 60 + i) for i in range(1, 40)])
        for minute in range(30, 50, 5):
            await r.feed([r.fix(minute * 60, i) for i in range(31, 40)])
        events = await r.events()
        assert sorted(e.code for e in events) == ["DQ-01", "TRK-02"]
        mass = next(e for e in events if e.code == "DQ-01")
        assert mass.subject == "431102"
        assert mass.causes["silent"] >= 30
        await r.feed([r.fix(3100, i) for i in range(1, 30)])
        await r.until(3160)
        mass = next(e for e in await r.events() if e.code == "DQ-01")
        assert mass.step == "self_ended"
        single = [e.subject for e in await r.events() if e.code == "TRK-02"]
        assert sorted(single) == ["h0", "h30"]


async def outside(r: Room, since: float, until: float, beyond_m: float = 350.0) -> list[StoredFix]:
    place = at_metres(250, 500 + beyond_m)
    return every(10, since, until, lambda s: r.fix(s, place=place))


async def test_out_of_grid_for_ten_minutes(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed(every(10, 0, 50, r.fix))
        await r.feed(await outside(r, 100, 690))
        assert await r.events("TRK-03") == []
        await r.feed(await outside(r, 690, 760))
        (event,) = await r.events("TRK-03")
        assert event.code == "TRK-03"
        assert event.began_at_ms == START_MS + 100_000
        assert event.causes["farthest_m"] in range(345, 356)
        await r.feed([r.fix(800)])
        assert (await r.events("TRK-03"))[0].step == "reported"
        await r.feed([r.fix(810)])
        assert (await r.events("TRK-03"))[0].step == "self_ended"


async def test_inaccurate_fixes_neither_start_nor_break_it(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        far = at_metres(250, 5000)
        bad = [r.fix(s, place=far, flags=Flag.INACCURATE, accuracy_m=400.0) for s in range(5, 1500, 10)]
        await r.feed(every(10, 0, 1500, r.fix))
        await r.feed(bad)
        await r.feed([r.fix(1505, place=far)])
        await r.feed(await outside(r, 1510, 2000, 150.0))
        assert await r.events("TRK-03") == []


async def test_removed_is_one_event_and_ends_when_worn(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed(every(10, 0, 60, lambda s: r.fix(s, alarm=int(AlarmCode.REMOVED))), Lane.URGENT)
        (event,) = await r.events()
        assert (event.code, event.step) == ("TRK-04", "reported")
        await r.feed(every(10, 60, 100, r.fix))
        assert (await r.events())[0].step == "self_ended"


async def test_low_power_with_hysteresis(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed([r.fix(0, battery=0.14), r.fix(10, battery=0.16), r.fix(20, battery=0.14)])
        assert await r.events() == []
        await r.feed(
            [r.fix(30, battery=0.14), r.fix(40, battery=0.17), r.fix(50, battery=0.14), r.fix(60, battery=0.1)]
        )
        (event,) = await r.events()
        assert (event.code, event.step) == ("TRK-05", "reported")
        await r.feed([r.fix(70, battery=0.21)])
        assert [e.step for e in await r.events()] == ["self_ended"]
        await r.feed([r.fix(80, battery=None, alarm=int(AlarmCode.LOW_POWER))], Lane.URGENT)
        assert len(await r.events()) == 2


async def test_mock_location(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed(every(10, 0, 600, lambda s: r.fix(s, flags=Flag.MOCK)))
        (event,) = await r.events("TRK-06")
        assert event.causes["kind"] == "mock"
        assert event.count == 1


async def test_teleport_needs_the_following_fix(store: Store) -> None:
    async with room(store, make_city(3)) as r:
        there = at_metres(5000, 3000)
        await r.feed([r.fix(0), r.fix(10), r.fix(20, place=there), r.fix(30), r.fix(40)])
        assert await r.events() == []
        await r.feed([r.fix(50, place=there), r.fix(60, place=there), r.fix(70, place=there)])
        (event,) = await r.events()
        assert (event.code, event.causes["kind"]) == ("TRK-06", "teleport")


async def test_two_handsets_under_one_id(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        there = at_metres(5000, 3000)
        facts = []
        for n in range(12):
            facts += [r.fix(n * 10), r.fix(n * 10 + 5, place=there)]
        await r.feed(facts)
        events = await r.events()
        assert [e.causes["kind"] for e in events] == ["two_handsets"]


async def test_frozen_while_claiming_to_move_but_not_at_rest(store: Store) -> None:
    async with room(store, make_city(2)) as r:
        await r.feed(every(10, 0, 3000, lambda s: r.fix(s, 0, speed_mps=0.0)))
        assert await r.events("TRK-06") == []
        await r.feed(every(10, 0, 700, lambda s: r.fix(s, 1, speed_mps=1.2)))
        (event,) = await r.events("TRK-06")
        assert event.causes["kind"] == "frozen"
        assert event.subject == "h1"


async def test_a_track_sent_again(store: Store) -> None:
    rng = random.Random(5)
    async with room(store, make_city(1)) as r:
        walked = [jitter(rng, at_metres(50 + n * 5, 250)) for n in range(60)]
        await r.feed([r.fix(n * 10, place=place) for n, place in enumerate(walked)])
        assert await r.events() == []
        await r.feed([r.fix(600 + n * 10, place=place) for n, place in enumerate(walked)])
        assert [e.causes["kind"] for e in await r.events()] == ["replayed"]


async def test_not_patrolling_away_from_work_but_not_at_work(store: Store) -> None:
    rng = random.Random(3)
    async with room(store, make_city(2)) as r:
        home, work = r.city.middle(0), at_metres(500 + 110, 100)
        await r.feed(every(10, 0, 3590, lambda s: r.fix(s, 0, place=jitter(rng, home, 12.0), accuracy_m=12.0)))
        await r.feed(every(10, 0, 4000, lambda s: r.fix(s, 1, place=jitter(rng, work, 12.0))))
        assert await r.events() == []
        await r.feed(every(10, 3590, 3700, lambda s: r.fix(s, 0, place=jitter(rng, home, 12.0), accuracy_m=12.0)))
        (event,) = await r.events()
        assert (event.code, event.subject) == ("TRK-07", "h0")
        assert event.began_at_ms == START_MS
        await r.feed([r.fix(4100 + n * 10, 0, place=at_metres(250 + 60 + n * 12, 250)) for n in range(4)])
        assert (await r.events())[0].step == "self_ended"


async def test_a_clean_city_is_quiet(store: Store) -> None:
    """100 workers walk and rest for 2 h with GNSS noise, outliers, bad fixes and short holes: no event."""
    rng = random.Random(11)
    async with room(store, make_city(100), NO_BUDGET) as r:
        targets = [r.city.middle(i) for i in range(100)]
        places = list(targets)
        for step in range(0, 2 * 3600, 60):
            batch = []
            for i in range(100):
                if rng.random() < 0.1:
                    targets[i] = at_metres(i * 500 + rng.uniform(0, 500), rng.uniform(0, 500))
                lat, lon = places[i]
                pace = 72 / 111_000
                dlat, dlon = targets[i][0] - lat, targets[i][1] - lon
                scale = min(1.0, pace / max(1e-9, (dlat**2 + dlon**2) ** 0.5))
                places[i] = lat + dlat * scale, lon + dlon * scale
                if (step // 600 + i) % 9 == 0 and rng.random() < 0.9:
                    continue  # a hole of ten minutes
                spread = 4.0 if rng.random() < 0.99 else 60.0
                batch.append(r.fix(step, i, place=jitter(rng, places[i], spread), accuracy_m=spread, speed_mps=1.0))
            await r.feed(batch)
        assert [(e.code, e.subject, e.causes) for e in await r.events()] == []
