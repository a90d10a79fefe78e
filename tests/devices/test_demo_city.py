"""The made-up city: grids tile without overlapping, codes are right, twice is once, simulators read its manifest."""

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Conflict, InvalidInput
from devices import DevicesSettings, RegistryKeeper
from devices.credentials import authenticates
from devices.demo_city import demo_city
from devices.demo_plan import COMPONENTS_EACH, plan_city, plan_components
from devices.demo_shape import DISTRICTS, plan_plots, shares
from devices.geometry import metres_per_degree
from devices.manifest import manifest
from simulators.manifest import convert
from store.pool import Store

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 24, 13, 30, tzinfo=UTC)
CODE = re.compile(r"4311(?:02|03|2[2-9]|81)\d{9}")


@settings(max_examples=8, deadline=None)
@given(grids=st.integers(1, 1500), seed=st.integers(0, 1000))
def test_polygons_are_valid_and_do_not_overlap(grids: int, seed: int) -> None:
    plots = plan_plots(grids, seed)
    assert len(plots) == grids
    polygons = np.array([shapely.Polygon(plot.ring) for plot in plots])
    assert shapely.is_valid(polygons).all()
    first, second = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    pairs = first < second
    assert shapely.area(shapely.intersection(polygons[first[pairs]], polygons[second[pairs]])).sum() == 0
    north, east = metres_per_degree(26.0)
    sizes = np.sqrt(shapely.area(polygons) * north * east)
    for size, plot in zip(sizes, plots, strict=True):
        assert (200 < size < 420) if plot.kind == "urban" else (1350 < size < 1650)


@settings(max_examples=8, deadline=None)
@given(grids=st.integers(1, 600), seed=st.integers(0, 1000))
def test_codes_are_unique_and_lie_in_their_divisions(grids: int, seed: int) -> None:
    plan = plan_city(grids, seed, on_duty_now=False)
    codes = [grid.code for grid in plan.grids]
    assert len(set(codes)) == grids
    assert all(CODE.fullmatch(code) for code in codes)
    divisions = {division.code: division for division in plan.divisions}
    assert len(divisions) == len(plan.divisions)
    for grid in plan.grids:
        assert {6: "district", 9: "street", 12: "community"}.keys() == {
            n for n in (6, 9, 12) if grid.code[:n] in divisions
        }
        urban = grid.kind == "urban"
        assert divisions[grid.code[:9]].kind == ("street" if urban else "township")
        assert divisions[grid.code[:12]].kind == ("community" if urban else "village")


def test_places_roads_and_components_lie_in_their_grid() -> None:
    plan = plan_city(60, 3, on_duty_now=False)
    polygons = {g.code: shapely.Polygon(p.ring) for g, p in zip(plan.grids, plan.plots, strict=True)}
    for place in plan.places:
        assert polygons[place.grid].contains(shapely.Point(place.lon, place.lat))
    for road in plan.roads:
        assert polygons[road.grid].contains(shapely.geometry.shape(road.line))
    components = plan_components(plan, 0, 60, 3)
    assert len(components) == sum(COMPONENTS_EACH[plot.kind] for plot in plan.plots)
    assert all(polygons[c.grid or ""].contains(shapely.Point(c.lon, c.lat)) for c in components)
    assert len({component.id for component in components}) == len(components)


def test_the_whole_city_has_its_numbers() -> None:
    plan = plan_city(10_590, 1, on_duty_now=False)
    assert Counter(plot.kind for plot in plan.plots) == {"urban": 1400, "rural": 9190}
    assert {plot.district for plot in plan.plots} == set(DISTRICTS)
    assert len(plan.terminals) == 1500
    assert len({grid.code for grid in plan.grids}) == len(plan.workers) == 10_590
    assert 480_000 < sum(COMPONENTS_EACH[plot.kind] for plot in plan.plots) < 500_000


def test_the_same_seed_gives_the_same_city() -> None:
    assert plan_city(40, 5, on_duty_now=True) == plan_city(40, 5, on_duty_now=True)
    assert plan_city(40, 5, on_duty_now=True).grids != plan_city(40, 6, on_duty_now=True).grids
    assert sum(shares(17, [3.0, 1.0, 1.0])) == 17
    for grids in (0, 25_001):
        with pytest.raises(InvalidInput, match="1 to 25,000"):
            plan_plots(grids, 1)


async def test_a_small_city_is_on_duty_at_any_hour_and_made_once(store: Store) -> None:
    async with store.transaction() as connection:
        city = await demo_city(connection, 30, now=NOW, zone=ZONE, on_duty_now=True, cameras=2)
        assert (city.counts["grids"].added, city.counts["devices"].added) == (30, 52)
    async with store.transaction() as connection:
        again = await demo_city(connection, 30, now=NOW + timedelta(days=3), zone=ZONE, on_duty_now=True, cameras=2)
        assert not again.changed
        with pytest.raises(Conflict, match="another city"):
            await demo_city(connection, 10, now=NOW, zone=ZONE)
    registry = await RegistryKeeper(store, DevicesSettings(), ZONE).load()
    handsets = list(registry.devices("handset"))
    assert (len(handsets), len(list(registry.devices("terminal"))), len(list(registry.devices("camera")))) == (
        30,
        20,
        2,
    )
    for hour in range(30):
        at_ms = round((NOW + timedelta(hours=hour)).timestamp() * 1000)
        for handset in handsets:
            duty = registry.duty_at(handset.key, at_ms)
            assert (duty.on, duty.planned, duty.until_ms - duty.since_ms) == (True, True, 8 * 3_600_000)
            grid = registry.grid_of(handset.key, at_ms)
            assert grid is not None
            assert registry.work_places(grid)


async def test_simulators_read_the_manifest_and_its_tokens_are_the_valid_ones(store: Store) -> None:
    async with store.transaction() as connection:
        await demo_city(connection, 30, now=NOW, zone=ZONE, components=False)
        document = await manifest(connection, handsets=12, terminals=None, now=NOW, zone=ZONE)
    read = convert(json.loads(json.dumps(document)))
    assert (len(read.handsets), len(read.terminals)) == (12, 20)
    registry = await RegistryKeeper(store, DevicesSettings(), ZONE).load()
    told = [(handset.id, handset.token, handset.grid) for handset in read.handsets]
    for device_id, token, grid in told + [(terminal.id, terminal.token, terminal.grid) for terminal in read.terminals]:
        record = registry.device(device_id)
        assert authenticates(record, token)
        assert record is not None
        assert registry.grid_of(record.key, round(NOW.timestamp() * 1000)) == grid
    for handset in read.handsets:
        assert handset.shift
        assert all(start < end for start, end in handset.shift)
        assert handset.home is not None
        assert shapely.Polygon(handset.polygon).contains(shapely.Point(handset.home))
        assert len(handset.work_places) >= 3
    assert all(len(terminal.services) >= 2 for terminal in read.terminals)
    async with store.transaction() as connection:
        none = await manifest(connection, handsets=0, terminals=0, now=NOW, zone=ZONE)
        assert none == {"handsets": [], "terminals": []}
