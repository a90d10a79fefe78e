"""Duty of a worker: cases read off a calendar, and properties that hold for every plan in every zone."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.records import Duty
from devices.shifts import DayShift, PlanRow, WorkerShifts, day_of, instant_ms

SHANGHAI = ZoneInfo("Asia/Shanghai")
FIRST = date(2026, 11, 2).toordinal()
WORKDAYS = tuple(PlanRow(weekday, 8 * 60, 17 * 60, FIRST) for weekday in range(1, 6))


def at(text: str, zone: ZoneInfo = SHANGHAI) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def shifts(*plan: PlanRow, zone: ZoneInfo = SHANGHAI, **exceptions: tuple[DayShift, ...]) -> WorkerShifts:
    days = {date.fromisoformat(day[1:].replace("_", "-")).toordinal(): times for day, times in exceptions.items()}
    return WorkerShifts(plan, days, zone)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2026-11-24T08:00", Duty(True, True, at("2026-11-24T08:00"), at("2026-11-24T17:00"))),
        ("2026-11-24T16:59:59.999", Duty(True, True, at("2026-11-24T08:00"), at("2026-11-24T17:00"))),
        ("2026-11-24T17:00", Duty(False, True, at("2026-11-24T17:00"), at("2026-11-25T00:00"))),
        ("2026-11-24T07:59:59", Duty(False, True, at("2026-11-24T00:00"), at("2026-11-24T08:00"))),
        ("2026-11-28T12:00", Duty(False, True, at("2026-11-28T00:00"), at("2026-11-29T00:00"))),
        ("2026-10-30T12:00", Duty(True, False, at("2026-10-30T00:00"), at("2026-10-31T00:00"))),
    ],
)
def test_weekly_plan(when: str, expected: Duty) -> None:
    assert shifts(*WORKDAYS).duty_at(at(when)) == expected


def test_a_shift_over_midnight_belongs_to_the_day_it_begins_on() -> None:
    night = shifts(PlanRow(5, 22 * 60, 6 * 60, FIRST))
    whole = Duty(True, True, at("2026-11-27T22:00"), at("2026-11-28T06:00"))
    assert night.duty_at(at("2026-11-27T23:00")) == night.duty_at(at("2026-11-28T05:00")) == whole
    assert not night.duty_at(at("2026-11-27T05:00")).on


def test_a_day_off_ends_no_shift_of_the_day_before() -> None:
    night = shifts(PlanRow(5, 22 * 60, 6 * 60, FIRST), d2026_11_28=())
    assert night.duty_at(at("2026-11-28T05:00")).on
    assert not shifts(*WORKDAYS, d2026_11_24=()).duty_at(at("2026-11-24T09:00")).on


def test_other_times_replace_the_plan_of_their_day() -> None:
    moved = shifts(*WORKDAYS, d2026_11_24=(DayShift(6 * 60, 10 * 60), DayShift(18 * 60, 0)))
    assert moved.duty_at(at("2026-11-24T07:00")).on
    assert not moved.duty_at(at("2026-11-24T12:00")).on
    assert moved.duty_at(at("2026-11-24T23:59")) == Duty(True, True, at("2026-11-24T18:00"), at("2026-11-25T00:00"))


def test_a_plan_holds_from_its_first_day_to_the_day_before_its_end() -> None:
    ended = shifts(PlanRow(2, 480, 1020, FIRST, date(2026, 11, 24).toordinal()))
    assert ended.duty_at(at("2026-11-17T09:00")).on
    assert ended.duty_at(at("2026-11-24T09:00")) == Duty(False, True, at("2026-11-24T00:00"), at("2026-11-25T00:00"))


def test_a_whole_day_and_overlapping_shifts_are_cut_at_their_edges() -> None:
    overlapping = shifts(PlanRow(2, 480, 720, FIRST), PlanRow(2, 660, 1020, FIRST))
    assert overlapping.duty_at(at("2026-11-24T11:30")) == Duty(
        True, True, at("2026-11-24T11:00"), at("2026-11-24T12:00")
    )
    clock_round = shifts(*(PlanRow(weekday, 480, 480, FIRST) for weekday in range(1, 8)))
    assert clock_round.duty_at(at("2026-11-24T03:00")) == Duty(
        True, True, at("2026-11-23T08:00"), at("2026-11-24T08:00")
    )


def test_shifts_between_gives_whole_shifts_in_order() -> None:
    found = shifts(*WORKDAYS).shifts_between(at("2026-11-24T16:00"), at("2026-11-25T08:01"))
    assert found == [
        (at("2026-11-24T08:00"), at("2026-11-24T17:00")),
        (at("2026-11-25T08:00"), at("2026-11-25T17:00")),
    ]


def test_summer_time_moves_the_instant_not_the_clock() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    daily = shifts(*(PlanRow(weekday, 480, 1020, FIRST - 400) for weekday in range(1, 8)), zone=berlin)
    for day in ("2026-03-28", "2026-03-29", "2026-10-25"):
        duty = daily.duty_at(at(f"{day}T12:00", berlin))
        assert duty == Duty(True, True, at(f"{day}T08:00", berlin), at(f"{day}T17:00", berlin))


MINUTES = st.integers(0, 1439)
DAYS = st.integers(FIRST - 10, FIRST + 20)
PLANS = st.lists(
    st.builds(PlanRow, st.integers(1, 7), MINUTES, MINUTES, DAYS, st.none() | DAYS.map(lambda day: day + 11)),
    max_size=8,
)
EXCEPTIONS = st.dictionaries(DAYS, st.lists(st.builds(DayShift, MINUTES, MINUTES), max_size=2).map(tuple), max_size=4)
ZONES = st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]).map(ZoneInfo)


@given(plan=PLANS, exceptions=EXCEPTIONS, zone=ZONES, start=st.integers(-5, 15))
def test_duties_follow_each_other_without_holes_and_are_constant(
    plan: list[PlanRow], exceptions: dict[int, tuple[DayShift, ...]], zone: ZoneInfo, start: int
) -> None:
    worker = WorkerShifts(tuple(plan), exceptions, zone)
    moment = instant_ms(FIRST + start, 0, zone)
    end = instant_ms(FIRST + start + 4, 0, zone)
    duty = worker.duty_at(moment)
    while duty.until_ms < end:
        assert duty.since_ms < duty.until_ms
        for inside in (duty.since_ms, (duty.since_ms + duty.until_ms) // 2, duty.until_ms - 1):
            assert worker.duty_at(inside) == duty
        following = worker.duty_at(duty.until_ms)
        assert following.since_ms == duty.until_ms
        duty = following


@given(plan=PLANS, exceptions=EXCEPTIONS, zone=ZONES, minute=st.integers(0, 10 * 1440))
def test_on_duty_exactly_when_some_shift_holds_the_instant(
    plan: list[PlanRow], exceptions: dict[int, tuple[DayShift, ...]], zone: ZoneInfo, minute: int
) -> None:
    worker = WorkerShifts(tuple(plan), exceptions, zone)
    moment = instant_ms(FIRST, 0, zone) + minute * 60_000
    near = range(day_of(moment, zone) - 3, day_of(moment, zone) + 3)
    held = any(start <= moment < end for day in near for start, end in worker.shifts_of(day))
    duty = worker.duty_at(moment)
    assert (duty.on and duty.planned) == held
