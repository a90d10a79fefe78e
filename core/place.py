"""Places: datum shifts between WGS-84, GCJ-02 and BD-09, distances, and a flat plane for short distances.

Degrees, latitude before longitude. GCJ-02 (Amap, Tencent) and BD-09 (Baidu) exist only in China; outside the common
rectangle nothing is shifted. Published formulas (Krasovsky ellipsoid); inverses are iterated, since subtracting once
leaves up to 4.9 m. Each function takes floats, and its `_array` twin numpy arrays of the same shape: one formula serves
both, with the functions of `math` or of numpy.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.fix import Datum

Floats = NDArray[np.float64]
LatLon = tuple[float, float]

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius R1 of WGS-84 (IUGG)."""

_A = 6378245.0
_EE = 0.00669342162296594323
_BD_K = math.pi * 3000.0 / 180.0
_MIN_LAT, _MAX_LAT = 0.8293, 55.8271
_MIN_LON, _MAX_LON = 72.004, 137.8347
_ROUNDS = 10
_ENOUGH_DEG = 1e-11


def in_china(lat: float, lon: float) -> bool:
    """Inside the rectangle that map vendors shift; it holds neighbours too (Korea, Mongolia, Viet Nam)."""
    return _MIN_LAT <= lat <= _MAX_LAT and _MIN_LON <= lon <= _MAX_LON


def in_china_array(lat: Floats, lon: Floats) -> NDArray[np.bool_]:
    """`in_china` of each point."""
    return (lat >= _MIN_LAT) & (lat <= _MAX_LAT) & (lon >= _MIN_LON) & (lon <= _MAX_LON)


def _wgs_to_gcj(lat: Any, lon: Any, m: ModuleType) -> tuple[Any, Any]:
    """The shift without the rectangle. m: math or numpy."""
    pi, sin, sqrt = math.pi, m.sin, m.sqrt
    x, y = lon - 105.0, lat - 35.0
    root, both = sqrt(m.fabs(x)), 20.0 * sin(6.0 * pi * x) + 20.0 * sin(2.0 * pi * x)
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root
    north = north + (both + 20.0 * sin(pi * y) + 40.0 * sin(pi * y / 3.0)) * 2.0 / 3.0
    north = north + (160.0 * sin(pi * y / 12.0) + 320.0 * sin(pi * y / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root
    east = east + (both + 20.0 * sin(pi * x) + 40.0 * sin(pi * x / 3.0)) * 2.0 / 3.0
    east = east + (150.0 * sin(pi * x / 12.0) + 300.0 * sin(pi * x / 30.0)) * 2.0 / 3.0
    r = lat * (pi / 180.0)
    magic = 1.0 - _EE * sin(r) ** 2
    s = sqrt(magic)
    d_lat = 180.0 * north / (pi * _A * (1.0 - _EE) / (magic * s))
    d_lon = 180.0 * east / (pi * (_A / s) * m.cos(r))
    return lat + d_lat, lon + d_lon


def _gcj_to_bd(lat: Any, lon: Any, m: ModuleType) -> tuple[Any, Any]:
    z = m.sqrt(lon * lon + lat * lat) + 0.00002 * m.sin(lat * _BD_K)
    t = m.atan2(lat, lon) + 0.000003 * m.cos(lon * _BD_K)
    return z * m.sin(t) + 0.006, z * m.cos(t) + 0.0065


def _wgs_to_bd(lat: Any, lon: Any, m: ModuleType) -> tuple[Any, Any]:
    return _gcj_to_bd(*_wgs_to_gcj(lat, lon, m), m)


_Forward = Callable[[Any, Any, ModuleType], tuple[Any, Any]]


def _inverse(forward: _Forward, lat: float, lon: float) -> LatLon:
    """The point that `forward` takes to (lat, lon): fixed-point iteration, which gains two digits a round."""
    w_lat, w_lon = lat, lon
    for _ in range(_ROUNDS):
        f_lat, f_lon = forward(w_lat, w_lon, math)
        e_lat, e_lon = f_lat - lat, f_lon - lon
        w_lat, w_lon = w_lat - e_lat, w_lon - e_lon
        if abs(e_lat) < _ENOUGH_DEG and abs(e_lon) < _ENOUGH_DEG:
            break
    return w_lat, w_lon


def _inverse_array(forward: _Forward, lat: Floats, lon: Floats) -> tuple[Floats, Floats]:
    w_lat, w_lon = lat.copy(), lon.copy()
    for _ in range(_ROUNDS):
        f_lat, f_lon = forward(w_lat, w_lon, np)
        e_lat, e_lon = f_lat - lat, f_lon - lon
        w_lat, w_lon = w_lat - e_lat, w_lon - e_lon
        if not lat.size or max(np.abs(e_lat).max(), np.abs(e_lon).max()) < _ENOUGH_DEG:
            break
    return w_lat, w_lon


_FORWARD: dict[Datum, _Forward] = {"gcj02": _wgs_to_gcj, "bd09": _wgs_to_bd}


def from_wgs84(lat: float, lon: float, datum: Datum) -> LatLon:
    """A WGS-84 point in `datum`; unchanged outside the rectangle of `in_china`."""
    if datum == "wgs84" or not in_china(lat, lon):
        return lat, lon
    out: LatLon = _FORWARD[datum](lat, lon, math)
    return out


def to_wgs84(lat: float, lon: float, datum: Datum) -> LatLon:
    """A point given in `datum` as WGS-84; unchanged outside the rectangle. Round trip below 1e-10 degrees."""
    if datum == "wgs84" or not in_china(lat, lon):
        return lat, lon
    return _inverse(_FORWARD[datum], lat, lon)


def from_wgs84_array(lat: Floats, lon: Floats, datum: Datum) -> tuple[Floats, Floats]:
    """`from_wgs84` of each point."""
    if datum == "wgs84":
        return lat, lon
    inside = in_china_array(lat, lon)
    out_lat, out_lon = lat.copy(), lon.copy()
    out_lat[inside], out_lon[inside] = _FORWARD[datum](lat[inside], lon[inside], np)
    return out_lat, out_lon


def to_wgs84_array(lat: Floats, lon: Floats, datum: Datum) -> tuple[Floats, Floats]:
    """`to_wgs84` of each point."""
    if datum == "wgs84":
        return lat, lon
    inside = in_china_array(lat, lon)
    out_lat, out_lon = lat.copy(), lon.copy()
    out_lat[inside], out_lon[inside] = _inverse_array(_FORWARD[datum], lat[inside], lon[inside])
    return out_lat, out_lon


def _haversine(lat_1: Any, lon_1: Any, lat_2: Any, lon_2: Any, m: ModuleType) -> Any:
    rad = math.pi / 180.0
    half_lat = m.sin((lat_2 - lat_1) * (rad / 2))
    half_lon = m.sin((lon_2 - lon_1) * (rad / 2))
    h = half_lat * half_lat + m.cos(lat_1 * rad) * m.cos(lat_2 * rad) * half_lon * half_lon
    return 2.0 * EARTH_RADIUS_M * m.atan2(m.sqrt(h), m.sqrt(m.fabs(1.0 - h)))


def distance_m(lat_1: float, lon_1: float, lat_2: float, lon_2: float) -> float:
    """Great-circle distance in metres on the sphere of EARTH_RADIUS_M (haversine; within 0.6 % of the ellipsoid)."""
    out: float = _haversine(lat_1, lon_1, lat_2, lon_2, math)
    return out


def distance_m_array(lat_1: Floats, lon_1: Floats, lat_2: Floats, lon_2: Floats) -> Floats:
    """`distance_m` of each pair; shapes broadcast."""
    out: Floats = _haversine(lat_1, lon_1, lat_2, lon_2, np)
    return out


def _turn(degrees: Any) -> Any:
    """Brings a difference of longitudes into [-180, 180)."""
    return (degrees + 180.0) % 360.0 - 180.0


@dataclass(frozen=True, slots=True)
class LocalPlane:
    """Metres east and north of an origin (equirectangular): within 0.1 % up to 10 km from it, not near the poles."""

    lat: float
    lon: float

    @property
    def _per_degree(self) -> LatLon:
        per_lat = EARTH_RADIUS_M * math.pi / 180.0
        return per_lat, per_lat * math.cos(math.radians(self.lat))

    def to_plane(self, lat: float, lon: float) -> tuple[float, float]:
        """(east_m, north_m) of a point."""
        per_lat, per_lon = self._per_degree
        return _turn(lon - self.lon) * per_lon, (lat - self.lat) * per_lat

    def from_plane(self, east_m: float, north_m: float) -> LatLon:
        """(lat, lon) of a point of the plane."""
        per_lat, per_lon = self._per_degree
        return self.lat + north_m / per_lat, _turn(self.lon + east_m / per_lon)

    def to_plane_array(self, lat: Floats, lon: Floats) -> tuple[Floats, Floats]:
        """`to_plane` of each point."""
        per_lat, per_lon = self._per_degree
        return _turn(lon - self.lon) * per_lon, (lat - self.lat) * per_lat

    def from_plane_array(self, east_m: Floats, north_m: Floats) -> tuple[Floats, Floats]:
        """`from_plane` of each point."""
        per_lat, per_lon = self._per_degree
        return self.lat + north_m / per_lat, _turn(self.lon + east_m / per_lon)
