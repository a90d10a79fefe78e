"""The city that handsets move in: grids as planes and rings, motion, GNSS error, batteries of all handsets as arrays.

Fleets advance it, scenes (`handset_kinds`) interfere with single handsets on it.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from simulators.geometry import METRES_PER_DEGREE, Array, Plane, beyond_m, plane_of
from simulators.manifest import Handset
from simulators.motion import PLACES, Motion, patrol_places
from simulators.noise import Noise

DRAIN_PER_HOUR = 0.05
CHARGE_PER_HOUR = 0.6
STARTS_WITHIN_M = 100.0
AWAY_FROM_WORK_M = 100.0
"""Beyond a work place's radius by this much a stay counts as away from it, whatever the GNSS error."""


class Stage:
    """All handsets' world. Arrays have length n = len(handsets); x, y in metres of each handset's own plane."""

    def __init__(self, handsets: Sequence[Handset], rng: np.random.Generator) -> None:
        n = len(handsets)
        self.handsets = handsets
        self.planes: list[Plane] = []
        self.rings: list[Array] = []
        self.work_xy: list[Array] = []
        places = np.zeros((n, PLACES, 2))
        work = np.zeros(n, dtype=np.int64)
        for i, handset in enumerate(handsets):
            polygon = handset.polygon or _square_around(handset)
            plane = plane_of(polygon)
            ring = plane.ring(polygon)
            own = [plane.xy(place.lon, place.lat) for place in handset.work_places]
            self.planes.append(plane)
            self.rings.append(ring)
            self.work_xy.append(np.array(own, dtype=np.float64).reshape(-1, 2))
            places[i], work[i] = patrol_places(ring, own, rng)
        self.motion = Motion(places, work, rng)
        for i, handset in enumerate(handsets):
            if handset.start is not None:
                self._start(i, self.planes[i].xy(*handset.start))
        self.noise = Noise(n, rng)
        self.battery = rng.uniform(0.55, 1.0, n)
        self._charging = np.zeros(n, dtype=bool)
        self.own_battery = np.zeros(n, dtype=bool)
        """Handsets whose battery a scene governs."""
        self._lat0 = np.array([plane.lat0 for plane in self.planes])
        self._lon0 = np.array([plane.lon0 for plane in self.planes])
        self._per_lon = np.array([plane.metres_per_lon for plane in self.planes])

    def _start(self, i: int, xy: tuple[float, float]) -> None:
        """Handset i goes on from there; from far outside its grid (seen in the middle of an anomaly) it does not."""
        if float(beyond_m(self.rings[i], np.array([xy]))[0]) <= STARTS_WITHIN_M:
            self.motion.x[i], self.motion.y[i] = xy

    def advance(self, a: int, b: int, dt_s: float) -> tuple[Array, Array, Array]:
        """Move, disturb and drain the handsets [a:b) by dt_s; returns measured lat, lon, accuracy in metres."""
        self.motion.advance(a, b, dt_s)
        x, y = self.motion.x[a:b], self.motion.y[a:b]
        east, north, accuracy = self.noise.advance(a, b, dt_s, x, y)
        battery, charging = self.battery[a:b], self._charging[a:b]
        charging |= battery < 0.22
        charging &= battery < 0.9
        change = np.where(charging, CHARGE_PER_HOUR, -DRAIN_PER_HOUR) * (dt_s / 3600.0)
        battery += np.where(self.own_battery[a:b], 0.0, change)
        lat = self._lat0[a:b] + (y + north) / METRES_PER_DEGREE
        lon = self._lon0[a:b] + (x + east) / self._per_lon[a:b]
        return lat, lon, accuracy

    def beyond_m(self, i: int) -> float:
        """Metres that handset i truly is outside its grid; 0 inside."""
        return float(beyond_m(self.rings[i], np.array([[self.motion.x[i], self.motion.y[i]]]))[0])

    def away_from_work(self, i: int, x: float, y: float) -> bool:
        """Whether (x, y) is surely no work place of handset i."""
        gaps = np.hypot(*(self.work_xy[i] - (x, y)).T) if len(self.work_xy[i]) else np.array([np.inf])
        radii = [place.radius_m + AWAY_FROM_WORK_M for place in self.handsets[i].work_places] or [0.0]
        return bool(np.all(gaps > np.array(radii)))

    def home(self, i: int) -> tuple[float, float]:
        """Where handset i's worker lives: as in the manifest, else the place of the round farthest from work."""
        home = self.handsets[i].home
        if home is None:
            return self.motion.quietest_place(i, self.work_xy[i])
        return self.planes[i].xy(*home)

    def outside_point(self, i: int, beyond: float, rng: np.random.Generator) -> tuple[float, float]:
        """The point `beyond` metres outside the grid that is nearest to handset i among 16 bearings."""
        bearings = np.arange(16) * (np.pi / 8) + rng.uniform(0, np.pi / 8)
        away = np.stack([np.sin(bearings), np.cos(bearings)], axis=1)
        here = np.array([self.motion.x[i], self.motion.y[i]])
        for distance in np.arange(50.0, 50_000.0, 50.0):
            points = here + away * distance
            outside = np.flatnonzero(beyond_m(self.rings[i], points) >= beyond)
            if len(outside):
                return float(points[outside[0], 0]), float(points[outside[0], 1])
        return float(here[0] + 50_000.0), float(here[1])


def shifted(lat: float, lon: float, east_m: float, north_m: float) -> tuple[float, float]:
    """(lat, lon) moved by metres east and north."""
    return (
        lat + north_m / METRES_PER_DEGREE,
        lon + east_m / (METRES_PER_DEGREE * float(np.cos(np.radians(lat)))),
    )


def shift_bounds(handsets: Sequence[Handset], *, joined: bool = False) -> NDArray[np.int64]:
    """(n, 2, k) shift beginnings and ends in epoch milliseconds; all time for a handset without a plan.

    joined: shifts that follow each other without a break are one span.
    """
    most = max((len(handset.shift) for handset in handsets), default=0) or 1
    bounds = np.zeros((len(handsets), 2, most), dtype=np.int64)
    for i, handset in enumerate(handsets):
        if not handset.shift:
            bounds[i, 1, 0] = np.iinfo(np.int64).max
        for k, (begin, end) in enumerate(_joined(handset.shift) if joined else handset.shift):
            bounds[i, :, k] = round(begin.timestamp() * 1000), round(end.timestamp() * 1000)
    return bounds


def _joined(shifts: Sequence[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    spans: list[tuple[datetime, datetime]] = []
    for begin, end in sorted(shifts):
        if spans and begin <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((begin, end))
    return spans


def _square_around(handset: Handset) -> list[tuple[float, float]]:
    lon, lat = handset.home or (111.61, 26.42)
    half = 0.0025
    return [(lon - half, lat - half), (lon + half, lat - half), (lon + half, lat + half), (lon - half, lat + half)]
