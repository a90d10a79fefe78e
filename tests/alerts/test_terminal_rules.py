"""POS rules through the real engine, on a fake clock, with production thresholds."""

import random

from core.lane import Lane
from core.reading import KindCode, PaperCode, ResultCode, ServiceCode, StoredReading
from store.pool import Store
from tests.alerts.room import START_MS, Room, room
from tests.support.city import at_metres, make_city

DAY_S = 86_400


def sale(r: Room, at_s: float, seq: int, **fields: object) -> StoredReading:
    values: dict[str, object] = {
        "kind": int(KindCode.TRANSACTION),
        "amount_fen": 5000,
        "service": int(ServiceCode.WATER),
        "result": int(ResultCode.APPROVED),
        "card_ref": f"tok_{seq}",
    }
    return r.record(at_s, seq, **(values | fields))  # type: ignore[arg-type]


async def test_offline_after_five_minutes_and_back(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed([r.record(0, 1), r.record(60, 2)])
        await r.until(359)
        assert await r.events() == []
        await r.until(362)
        (event,) = await r.events()
        assert (event.code, event.step, event.subject) == ("POS-01", "reported", "t0")
        assert event.lat is not None
        await r.feed([r.record(100 + n, 3 + n, received_s=400) for n in range(5)], Lane.BACKFILL)
        (event,) = await r.events()
        assert event.step == "self_ended"
        assert event.ended_at_ms == START_MS + 400_000


async def test_mass_offline_is_one_event(store: Store) -> None:
    async with room(store, make_city(10)) as r:
        for minute in range(6):
            await r.feed([r.record(minute * 60, minute, i) for i in range(3 if minute > 1 else 0, 10)])
        await r.until(460)
        (event,) = await r.events()
        assert event.code == "DQ-01"
        assert event.causes["kind"] == "mass_silence"


async def test_tamper_and_moved(store: Store) -> None:
    async with room(store, make_city(2)) as r:
        await r.feed([r.record(0, 1, 0, kind=int(KindCode.TAMPER), sensor="case")], Lane.URGENT)
        near, far = at_metres(500 + 250 + 30, 250), at_metres(500 + 250 + 500, 250)
        await r.feed([r.record(5, 1, 1, kind=int(KindCode.LOCATION), lat=near[0], lon=near[1])])
        await r.feed([r.record(9, 2, 1, kind=int(KindCode.LOCATION), lat=far[0], lon=far[1])])
        tampered, moved = await r.events("POS-02")
        assert (tampered.subject, tampered.causes["sensor"]) == ("t0", "case")
        assert (moved.subject, moved.causes["moved_m"]) == ("t1", 499)  # on a sphere
        await r.feed([r.record(4000, 2, 0), r.record(4000, 3, 1)])
        assert {e.step for e in await r.events("POS-02")} == {"reported"}


async def test_fault_and_paper(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed([r.record(0, 1, paper=int(PaperCode.LOW)), r.record(60, 2, paper=int(PaperCode.OUT))])
        await r.feed([r.record(90, 3, kind=int(KindCode.FAULT), component="printer", code="E21")])
        await r.feed([r.record(120, 4, paper=int(PaperCode.OUT)), r.record(150, 5, paper=int(PaperCode.OK))])
        paper, printer = await r.events()
        assert (paper.code, paper.step, paper.causes["paper"]) == ("POS-03", "self_ended", "out")
        assert (printer.step, printer.causes["part"]) == ("reported", "printer")
        for n in range(1, 33):
            await r.feed([r.record(150 + n * 60, 5 + n, paper=int(PaperCode.OK))])
        assert [e.step for e in await r.events()] == ["self_ended", "self_ended"]
        await r.feed([r.record(100, 1, boot="old", received_s=2200, paper=int(PaperCode.OUT))], Lane.BACKFILL)
        assert len(await r.events()) == 2


async def test_declines_in_any_order(store: Store) -> None:
    async with room(store, make_city(2)) as r:
        declined = int(ResultCode.DECLINED)
        burst = [sale(r, s, n, result=declined) for n, s in enumerate((0, 500, 100, 400))]
        await r.feed(burst)
        await r.feed([sale(r, 1105, 9, result=declined)])
        assert await r.events() == []
        await r.feed([sale(r, 300, 8, result=declined, received_s=1500)], Lane.BACKFILL)
        (event,) = await r.events("POS-04")
        assert event.causes["declines"] == 5
        assert event.began_at_ms == START_MS


async def test_repeated_charge_unless_reversed(store: Store) -> None:
    async with room(store, make_city(3)) as r:
        for i, second in enumerate((100.0, 299.0, 301.0)):
            await r.feed([sale(r, 0, 1, terminal=i, card_ref="a"), sale(r, second, 2, terminal=i, card_ref="a")])
        reversal = sale(r, 310, 3, terminal=1, card_ref="a", result=int(ResultCode.REVERSED))
        await r.feed([reversal])
        await r.until(400)
        (event,) = await r.events("POS-06")
        assert event.subject == "t0"
        assert event.causes["amount_fen"] == 5000


async def test_a_reversal_takes_back_one_charge_not_every_pair(store: Store) -> None:
    """Three charges and one reversal leave two: still one too many."""
    async with room(store, make_city(1)) as r:
        charges = [sale(r, n * 5, n, card_ref="tok_a") for n in range(3)]
        await r.feed(charges)
        await r.feed([sale(r, 12, 3, card_ref="tok_a", result=int(ResultCode.REVERSED))])
        await r.until(200)
        (event,) = await r.events("POS-06")
        assert [link["seq"] for link in event.evidence] == [0, 1]
        await r.feed([sale(r, 300, 4, card_ref="tok_a")])
        await r.until(400)
        assert [[link["seq"] for link in e.evidence] for e in await r.events("POS-06")] == [[0, 1], [1, 4]]


async def test_missing_records_after_a_day(store: Store) -> None:
    async with room(store, make_city(2)) as r:
        for i in range(2):
            await r.feed([r.record(n, n, i) for n in (5, 6, 7, 10)])
        await r.feed([r.record(9, 9, 1, received_s=50), r.record(8, 8, 1, received_s=50)], Lane.BACKFILL)
        await r.until(DAY_S - 60)
        assert await r.events("POS-07") == []
        await r.until(DAY_S + 60)
        (event,) = await r.events("POS-07")
        assert (event.subject, event.causes["first_missing"], event.causes["last_missing"]) == ("t0", 8, 9)
        await r.feed([r.record(8, 8, 0, received_s=DAY_S + 99)], Lane.BACKFILL)
        assert (await r.events("POS-07"))[0].step == "reported"
        await r.feed([r.record(9, 9, 0, received_s=DAY_S + 100)], Lane.BACKFILL)
        assert (await r.events("POS-07"))[0].step == "self_ended"


def past_weeks(r: Room, rng: random.Random, days: int = 35) -> list[StoredReading]:
    """Sales of 8 an hour from 8:00 to 20:00 site time, amounts 20–200 yuan; START is 14:00."""
    history = []
    seq = 0
    for day in range(-days, 0):
        for hour in range(-6, 6):
            for _ in range(rng.randint(5, 11)):
                seq += 1
                at = day * DAY_S + hour * 3600 + rng.uniform(0, 3600)
                history.append(sale(r, at, seq, amount_fen=rng.randint(2000, 20_000), received_s=-1, boot="past"))
    return sorted(history, key=lambda reading: reading.at_ms)


async def test_unusual_amount_rate_and_hour(store: Store) -> None:
    rng = random.Random(2)
    async with room(store, make_city(1)) as r:
        await r.feed(past_weeks(r, rng), Lane.BACKFILL)
        assert await r.events() == []
        await r.feed([sale(r, 10 + n * 300, n, amount_fen=15_000) for n in range(10)])
        assert await r.events("POS-05") == []
        await r.feed([sale(r, 3300, 20, amount_fen=200_000)])
        (amount,) = await r.events("POS-05")
        assert amount.causes["unusual"] == "amount"
        assert amount.causes["times"] > 9
        await r.feed([sale(r, 3600 + n * 10, 30 + n) for n in range(60)])
        assert {e.causes["unusual"] for e in await r.events("POS-05")} == {"amount", "rate"}
        night = 12 * 3600
        await r.feed([sale(r, night + n * 120, 100 + n) for n in range(5)])
        assert {e.causes["unusual"] for e in await r.events("POS-05")} == {"amount", "rate", "hour"}


async def test_unusual_is_quiet_without_history(store: Store) -> None:
    rng = random.Random(2)
    async with room(store, make_city(1)) as r:
        await r.feed(past_weeks(r, rng, days=20), Lane.BACKFILL)
        await r.feed([sale(r, 3600 + n * 10, 30 + n, amount_fen=900_000) for n in range(60)])
        assert await r.events("POS-05") == []
