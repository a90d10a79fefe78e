"""Grids: distances against an independent formula, holes and several parts, which grid a position lies in."""

import json
import math

import numpy as np
import pytest
from shapely.geometry import MultiPolygon, Polygon, box, mapping

from devices.geometry import Grid, GridIndex, metres_per_degree

LAT, LON = 26.42, 111.61


def grid(shape: Polygon | MultiPolygon, code: str = "431102001001001") -> Grid:
    return Grid(code, "网格", "urban", json.dumps(mapping(shape)), shape.bounds)


def square(lon: float = LON, lat: float = LAT, side: float = 0.003) -> Polygon:
    return box(lon, lat, lon + side, lat + side)


def haversine_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    a, b = math.radians(lat1), math.radians(lat2)
    h = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(h))


def test_inside_and_on_the_border_are_zero_metres_outside() -> None:
    unit = grid(square())
    for lat, lon in ((LAT + 0.001, LON + 0.001), (LAT, LON), (LAT + 0.003, LON + 0.002)):
        assert unit.distance_outside_m(lat, lon) < 1e-6
    assert unit.contains(LAT + 0.001, LON + 0.001)
    assert not unit.contains(LAT - 0.001, LON + 0.001)


@pytest.mark.parametrize(("dlat", "dlon"), [(-0.002, 0.001), (0.001, 0.0053), (-0.01, -0.01)])
def test_distance_agrees_with_the_great_circle(dlat: float, dlon: float) -> None:
    nearest = LAT + min(max(dlat, 0), 0.003), LON + min(max(dlon, 0), 0.003)
    expected = haversine_m(LAT + dlat, LON + dlon, *nearest)
    assert grid(square()).distance_outside_m(LAT + dlat, LON + dlon) == pytest.approx(expected, rel=0.005)


def test_arrays_agree_with_single_positions() -> None:
    unit = grid(square())
    rng = np.random.default_rng(1)
    lats, lons = rng.uniform(LAT - 0.01, LAT + 0.01, 50), rng.uniform(LON - 0.01, LON + 0.01, 50)
    one_by_one = [unit.distance_outside_m(lat, lon) for lat, lon in zip(lats, lons, strict=True)]
    assert unit.distances_outside_m(lats, lons) == pytest.approx(one_by_one)


def test_a_hole_is_outside_and_each_part_of_a_multipolygon_is_inside() -> None:
    ring = square().difference(box(LON + 0.001, LAT + 0.001, LON + 0.002, LAT + 0.002))
    assert grid(ring).distance_outside_m(LAT + 0.0015, LON + 0.0015) == pytest.approx(49.8, abs=0.5)
    two = grid(MultiPolygon([square(), square(LON + 0.01)]))
    assert two.contains(LAT + 0.001, LON + 0.001)
    assert two.contains(LAT + 0.001, LON + 0.011)
    assert not two.contains(LAT + 0.001, LON + 0.006)


def test_index_finds_the_grid_of_a_position() -> None:
    grids = [grid(square(LON + 0.003 * i), f"43110200100100{i}") for i in range(5)]
    index = GridIndex(grids)
    found = index.grid_at(LAT + 0.001, LON + 0.0075)
    assert found is not None
    assert found.code == "431102001001002"
    assert index.grid_at(LAT - 1, LON) is None
    lats, lons = np.array([LAT + 0.001, LAT - 1, LAT + 0.002]), np.array([LON + 0.0135, LON, LON + 0.003])
    assert index.grids_at(lats, lons) == ["431102001001004", None, "431102001001000"]
    assert GridIndex([]).grid_at(LAT, LON) is None
    assert GridIndex([]).grids_at(lats, lons) == [None, None, None]


def test_a_degree_in_yongzhou() -> None:
    north, east = metres_per_degree(LAT)
    assert north == pytest.approx(110_792, abs=10)
    assert east == pytest.approx(99_760, abs=30)
