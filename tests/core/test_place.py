"""Datum shifts against published points and by round trip; distances against known ones; scalars equal arrays."""

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.fix import Datum
from core.place import (
    EARTH_RADIUS_M,
    LocalPlane,
    distance_m,
    distance_m_array,
    from_wgs84,
    from_wgs84_array,
    in_china,
    to_wgs84,
    to_wgs84_array,
)

GOLDEN = [
    # place, WGS-84, GCJ-02, BD-09, shift from WGS-84 to GCJ-02 in metres
    ("Yongzhou", (26.42, 111.61), (26.4164118, 111.6152429), (26.4226490, 111.6217024), 657.11),
    ("Beijing", (39.9087, 116.3975), (39.9101035, 116.4037436), (39.9164427, 116.4101166), 554.93),
    ("Shanghai", (31.2304, 121.4737), (31.2284577, 121.4782231), (31.2343106, 121.4847815), 481.25),
    ("Urumqi", (43.8256, 87.6168), (43.8268054, 87.6196499), (43.8329498, 87.6260998), 265.02),
]
DATUMS: tuple[Datum, ...] = get_args(Datum)
INSIDE = (st.floats(18.0, 53.5), st.floats(73.6, 135.0))
ANYWHERE = (st.floats(-89.0, 89.0), st.floats(-180.0, 180.0))


@pytest.mark.parametrize(("place", "wgs", "gcj", "bd", "shift_m"), GOLDEN)
def test_check_points(
    place: str, wgs: tuple[float, float], gcj: tuple[float, float], bd: tuple[float, float], shift_m: float
) -> None:
    assert from_wgs84(*wgs, "gcj02") == pytest.approx(gcj, abs=1e-7)
    assert from_wgs84(*wgs, "bd09") == pytest.approx(bd, abs=1e-7)
    assert distance_m(*wgs, *gcj) == pytest.approx(shift_m, abs=0.05)
    for datum in DATUMS:
        assert distance_m(*to_wgs84(*from_wgs84(*wgs, datum), datum), *wgs) < 1e-8


def test_independent_published_sample() -> None:
    assert from_wgs84(39.90105, 116.42079, "gcj02") == pytest.approx((39.9024463, 116.4270221), abs=1e-7)


@given(*INSIDE, st.sampled_from(DATUMS))
def test_round_trip(lat: float, lon: float, datum: Datum) -> None:
    assert to_wgs84(*from_wgs84(lat, lon, datum), datum) == pytest.approx((lat, lon), abs=1e-10)
    assert from_wgs84(*to_wgs84(lat, lon, datum), datum) == pytest.approx((lat, lon), abs=1e-10)


@given(*INSIDE)
def test_shifts_stay_within_a_kilometre_or_two(lat: float, lon: float) -> None:
    assert 20 < distance_m(lat, lon, *from_wgs84(lat, lon, "gcj02")) < 1_000
    assert 20 < distance_m(lat, lon, *from_wgs84(lat, lon, "bd09")) < 2_200


@pytest.mark.parametrize("point", [(0.0, 0.0), (51.5, -0.12), (35.68, 139.69), (0.8292, 105.0), (55.8272, 100.0)])
@pytest.mark.parametrize("datum", DATUMS)
def test_nothing_is_shifted_outside(point: tuple[float, float], datum: Datum) -> None:
    assert not in_china(*point)
    assert from_wgs84(*point, datum) == point == to_wgs84(*point, datum)


@pytest.mark.parametrize("datum", DATUMS)
def test_arrays_equal_scalars(datum: Datum) -> None:
    rng = np.random.default_rng(7)
    lat, lon = rng.uniform(-10, 60, 500), rng.uniform(60, 150, 500)
    before = lat.copy()
    for array_form, scalar_form in ((from_wgs84_array, from_wgs84), (to_wgs84_array, to_wgs84)):
        out_lat, out_lon = array_form(lat, lon, datum)
        one_by_one = np.array([scalar_form(a, b, datum) for a, b in zip(lat, lon, strict=True)])
        np.testing.assert_allclose(np.column_stack([out_lat, out_lon]), one_by_one, atol=1e-10, rtol=0)
    np.testing.assert_array_equal(lat, before)
    assert to_wgs84_array(lat[:0], lon[:0], datum)[0].size == 0


@pytest.mark.parametrize(
    ("pair", "metres"),
    [
        ((26.42, 111.61, 26.42, 111.61), 0.0),
        ((0.0, 0.0, 0.0, 1.0), EARTH_RADIUS_M * math.pi / 180),
        ((0.0, 0.0, 0.0, 180.0), EARTH_RADIUS_M * math.pi),
        ((90.0, 0.0, -90.0, 77.0), EARTH_RADIUS_M * math.pi),
        ((0.0, 179.5, 0.0, -179.5), EARTH_RADIUS_M * math.pi / 180),
        ((39.9087, 116.3975, 31.2304, 121.4737), 1_067_400.0),
    ],
)
def test_known_distances(pair: tuple[float, float, float, float], metres: float) -> None:
    assert distance_m(*pair) == pytest.approx(metres, rel=1e-3, abs=1e-6)


@given(*ANYWHERE, *ANYWHERE)
def test_distance_is_symmetric_bounded_and_the_same_in_arrays(a: float, b: float, c: float, d: float) -> None:
    there = distance_m(a, b, c, d)
    assert 0 <= there <= EARTH_RADIUS_M * math.pi * 1.0000001
    assert distance_m(c, d, a, b) == pytest.approx(there, rel=1e-9, abs=1e-6)
    assert distance_m_array(np.array([a]), np.array([b]), np.array([c]), np.array([d]))[0] == pytest.approx(there)


@given(*INSIDE, st.floats(-10_000, 10_000), st.floats(-10_000, 10_000))
def test_the_local_plane_agrees_with_the_sphere(lat: float, lon: float, east_m: float, north_m: float) -> None:
    plane = LocalPlane(lat, lon)
    point = plane.from_plane(east_m, north_m)
    assert plane.to_plane(*point) == pytest.approx((east_m, north_m), abs=1e-6)
    assert distance_m(lat, lon, *point) == pytest.approx(math.hypot(east_m, north_m), rel=2e-3, abs=0.01)


def test_the_local_plane_in_arrays_and_across_the_date_line() -> None:
    plane = LocalPlane(10.0, 179.9999)
    east, north = plane.to_plane_array(np.array([10.0, 10.001]), np.array([-179.9999, 179.9999]))
    np.testing.assert_allclose(east, [21.9, 0.0], atol=0.1)
    np.testing.assert_allclose(north, [0.0, 111.2], atol=0.1)
    lat, lon = plane.from_plane_array(east, north)
    np.testing.assert_allclose(lat, [10.0, 10.001])
    np.testing.assert_allclose(lon, [-179.9999, 179.9999])
