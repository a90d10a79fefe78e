"""Weekly plans by version, and exceptional days, on a real store."""

from datetime import UTC, date, datetime, time

import pytest

from core.errors import Conflict, InvalidInput, NotFound
from devices.area import GridRow, put_grids
from devices.merging import Counts
from devices.people import (
    ExceptionalDay,
    OtherTimes,
    ShiftLine,
    WeekPlan,
    clear_exception,
    give_grid,
    list_workers,
    place_plan,
    put_exceptions,
    put_plans,
    put_workers,
    read_plans,
    retire_worker,
)
from store.pool import Store

NOV, DEC, JAN = date(2026, 11, 2), date(2026, 12, 1), date(2027, 1, 1)
DAYS = frozenset(ShiftLine(weekday, time(8), time(17)) for weekday in range(1, 6))
NIGHTS = frozenset(ShiftLine(weekday, time(22), time(6)) for weekday in range(1, 6))
SQUARE: dict[str, object] = {
    "type": "Polygon",
    "coordinates": [[[111.6, 26.4], [111.61, 26.4], [111.61, 26.41], [111.6, 26.41], [111.6, 26.4]]],
}


def test_a_new_plan_ends_the_open_one() -> None:
    old, new = WeekPlan(NOV, None, DAYS), WeekPlan(DEC, None, NIGHTS)
    assert place_plan([old], new) == [WeekPlan(NOV, DEC, DAYS), new]
    assert place_plan([old], WeekPlan(DEC, None, DAYS)) == [old]
    assert place_plan([old], WeekPlan(NOV, None, NIGHTS)) == [WeekPlan(NOV, None, NIGHTS)]


def test_overlapping_plans_and_shifts_are_refused() -> None:
    with pytest.raises(Conflict, match="is there already"):
        place_plan([WeekPlan(NOV, JAN, DAYS)], WeekPlan(DEC, None, NIGHTS))
    for lines in (
        {ShiftLine(1, time(8), time(12)), ShiftLine(1, time(11), time(17))},
        {ShiftLine(7, time(22), time(8)), ShiftLine(1, time(7), time(9))},
        {ShiftLine(1, time(8), time(8)), ShiftLine(2, time(7), time(9))},
    ):
        with pytest.raises(InvalidInput, match="overlaps"):
            place_plan([], WeekPlan(NOV, None, frozenset(lines)))
    whole_days = frozenset(ShiftLine(weekday, time(8), time(8)) for weekday in range(1, 8))
    assert place_plan([], WeekPlan(NOV, None, whole_days))


async def test_plans_are_written_once(store: Store) -> None:
    async with store.transaction() as connection:
        await put_workers(connection, [("w1", "李建国", None, None), ("w2", "王秀英", "139", "一组")])
        plans = {"w1": WeekPlan(NOV, None, DAYS), "w2": WeekPlan(NOV, JAN, NIGHTS)}
        assert await put_plans(connection, plans) == (Counts(2, 0, 0), {})
        assert await put_plans(connection, plans) == (Counts(0, 0, 2), {})
        counts, refused = await put_plans(connection, {w: WeekPlan(DEC, None, NIGHTS) for w in plans})
        assert counts == Counts(0, 1, 0)
        assert list(refused) == ["w2"]
        assert await read_plans(connection, ["w1"]) == {"w1": [WeekPlan(NOV, DEC, DAYS), WeekPlan(DEC, None, NIGHTS)]}


async def test_exceptions_replace_a_day(store: Store) -> None:
    async with store.transaction() as connection:
        await put_workers(connection, [("w1", "李建国", None, None)])
        off = ExceptionalDay("w1", DEC, (), "调休")
        times = (OtherTimes(time(14), time(18)), OtherTimes(time(8), time(12)))
        assert await put_exceptions(connection, [off]) == Counts(1, 0, 0)
        assert await put_exceptions(connection, [off]) == Counts(0, 0, 1)
        assert await put_exceptions(connection, [ExceptionalDay("w1", DEC, times)]) == Counts(0, 1, 0)
        assert await put_exceptions(connection, [ExceptionalDay("w1", DEC, times)]) == Counts(0, 0, 1)
        assert await clear_exception(connection, "w1", DEC)
        assert not await clear_exception(connection, "w1", DEC)


async def test_grids_of_a_worker_follow_each_other_and_end_with_retirement(store: Store) -> None:
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    async with store.transaction() as connection:
        await put_workers(connection, [("w1", "李建国", None, None), ("w2", "王秀英", None, None)])
        await put_grids(connection, [GridRow(f"43110200100100{n}", f"网格{n}", "urban", SQUARE) for n in range(3)])
        assert await give_grid(connection, "w1", "431102001001000", first)
        assert await give_grid(connection, "w1", "431102001001001", second)
        assert not await give_grid(connection, "w1", "431102001001001", second)
        assert await give_grid(connection, "w1", "431102001001002", second, beside=True)
        cursor = await connection.execute("SELECT grid, valid_to FROM worker_grids ORDER BY grid")
        assert await cursor.fetchall() == [
            ("431102001001000", second),
            ("431102001001001", None),
            ("431102001001002", None),
        ]
        assert [worker.id for worker in await list_workers(connection, "431102")] == ["w1"]
        await retire_worker(connection, "w1", datetime(2026, 7, 1, tzinfo=UTC))
        assert await list_workers(connection, "431102") == []
        with pytest.raises(NotFound):
            await retire_worker(connection, "nobody", second)
