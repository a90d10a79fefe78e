"""Whose, where, on duty or not: answers of a registry built from a handful of rows."""

import json
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from shapely.geometry import box, mapping

from devices import Assignment, DeviceRecord, Duty, Grid, Registry, Site, Tables
from devices.records import FOREVER, NEVER
from devices.shifts import PlanRow, WorkerShifts

ZONE = ZoneInfo("Asia/Shanghai")


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp() * 1000)


TEN = at("2026-11-24T10:00")
NOON = at("2026-11-24T12:00")
GRID, OTHER = "431102001001001", "431103001001001"


@pytest.fixture
def registry() -> Registry:
    plan = tuple(PlanRow(weekday, 480, 1020, date(2026, 11, 2).toordinal()) for weekday in range(1, 6))
    shape = box(111.6, 26.4, 111.61, 26.41)
    return Registry(
        Tables(
            devices={
                1: DeviceRecord(1, "h1", "handset"),
                2: DeviceRecord(2, "t1", "terminal"),
                3: DeviceRecord(3, "h2", "handset", retired_at_ms=NOON),
            },
            aliases={("jt808", "013900000001"): 1},
            handset_workers={1: (Assignment(TEN, NOON, "w1"), Assignment(NOON, FOREVER, "w2"))},
            sites={2: (Site(TEN, FOREVER, OTHER, 26.4, 111.6),)},
            worker_grids={"w1": (Assignment(NEVER, FOREVER, GRID), Assignment(TEN, NOON, OTHER))},
            shifts={"w1": WorkerShifts(plan, {}, ZONE)},
            grids={GRID: Grid(GRID, "网格一", "urban", json.dumps(mapping(shape)), shape.bounds)},
        )
    )


def test_devices_by_id_key_alias_and_kind(registry: Registry) -> None:
    first = registry.device("h1")
    assert first is registry.by_key(1) is registry.by_alias("jt808", "013900000001")
    assert registry.device("nobody") is registry.by_key(99) is registry.by_alias("jt808", "1") is None
    assert [d.id for d in registry.devices("handset")] == ["h1"]
    assert [d.id for d in registry.devices()] == ["h1", "t1"]


def test_whose_it_is_depends_on_the_instant(registry: Registry) -> None:
    assert [registry.worker_of(1, t) for t in (TEN - 1, TEN, NOON - 1, NOON)] == [None, "w1", "w1", "w2"]
    assert registry.handsets_of("w1", TEN) == [1]
    assert registry.handsets_of("w1", NOON) == registry.handsets_of("nobody", NOON) == []
    assert [registry.workers_of(OTHER, t) for t in (TEN - 1, TEN, NOON)] == [[], ["w1"], []]
    assert registry.workers_of(GRID, NOON) == ["w1"]


def test_grid_is_the_workers_else_the_place_of_the_device(registry: Registry) -> None:
    assert registry.grids_of(1, TEN) == (GRID, OTHER)
    assert registry.grid_of(1, TEN) == GRID
    assert registry.grid_of(1, NOON) is None
    assert registry.grid_of(2, NOON) == OTHER
    assert registry.grid_of(2, TEN - 1) is None
    assert registry.division_of(2, NOON) == "431103"
    assert registry.division_of(1, NOON) is None


def test_duty_is_cut_where_the_handset_changes_hands(registry: Registry) -> None:
    assert registry.duty_at(1, TEN - 1) == Duty(True, False, NEVER, TEN)
    assert registry.duty_at(1, TEN) == Duty(True, True, TEN, NOON)
    assert registry.duty_at(1, NOON) == Duty(True, False, NOON, FOREVER)
    assert registry.duty_at(2, TEN) == Duty(True, False, NEVER, FOREVER)


@pytest.mark.parametrize("at_ms", [-1, NEVER, 1 << 60, FOREVER])
def test_an_instant_that_no_device_can_mean_is_off_duty(registry: Registry, at_ms: int) -> None:
    duty = registry.duty_at(1, at_ms)
    assert (duty.on, duty.planned) == (False, False)


def test_answers_outlive_a_change_that_does_not_touch_them(registry: Registry) -> None:
    duty = registry.duty_at(1, TEN)
    assert Registry(registry.tables, registry, frozenset({2})).duty_at(1, TEN) is duty
    assert Registry(Tables(), registry, frozenset({1})).duty_at(1, TEN) == Duty(True, False, NEVER, FOREVER)


def test_grid_of_a_position(registry: Registry) -> None:
    found = registry.grid_at(26.405, 111.605)
    assert found is registry.grid(GRID)
    assert registry.grid_at(20.0, 111.605) is None
