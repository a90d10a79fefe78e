"""Plane geometry of one grid: metres around a reference point, inside tests, distance beyond the border.

A grid is a few kilometres at most, an equirectangular plane errs by centimetres. Arrays are (n, 2): x east, y north.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
METRES_PER_DEGREE = 111_195.08


@dataclass(frozen=True, slots=True)
class Plane:
    """The tangent plane at (lat0, lon0) in WGS-84 degrees."""

    lat0: float
    lon0: float

    @property
    def metres_per_lon(self) -> float:
        """Metres of one degree of longitude here."""
        return METRES_PER_DEGREE * float(np.cos(np.radians(self.lat0)))

    def xy(self, lon: float, lat: float) -> tuple[float, float]:
        """Metres east and north of the reference point."""
        return (lon - self.lon0) * self.metres_per_lon, (lat - self.lat0) * METRES_PER_DEGREE

    def ring(self, polygon: list[tuple[float, float]]) -> Array:
        """[lon, lat] corners as an (n, 2) ring in metres, not closed."""
        corners = np.array([self.xy(lon, lat) for lon, lat in polygon], dtype=np.float64)
        return corners[:-1] if len(corners) > 1 and bool(np.all(corners[0] == corners[-1])) else corners


def plane_of(polygon: list[tuple[float, float]]) -> Plane:
    """The plane at the middle of a polygon's bounding box."""
    lons, lats = [p[0] for p in polygon], [p[1] for p in polygon]
    return Plane((min(lats) + max(lats)) / 2, (min(lons) + max(lons)) / 2)


def inside(ring: Array, points: Array) -> NDArray[np.bool_]:
    """Which of the (n, 2) points lie inside the ring (even-odd rule)."""
    x, y = points[:, 0:1], points[:, 1:2]
    x1, y1 = ring[:, 0], ring[:, 1]
    x2, y2 = np.roll(x1, -1), np.roll(y1, -1)
    crosses = (y1 > y) != (y2 > y)
    rise = np.where(y2 == y1, 1.0, y2 - y1)
    left = x < (x2 - x1) * (y - y1) / rise + x1
    result: NDArray[np.bool_] = np.count_nonzero(crosses & left, axis=1) % 2 == 1
    return result


def beyond_m(ring: Array, points: Array) -> Array:
    """Metres from the ring for points outside of it, 0 for points inside; shape (n,)."""
    a, b = ring, np.roll(ring, -1, axis=0)
    edge = b - a
    length2 = np.maximum(np.einsum("ij,ij->i", edge, edge), 1e-12)
    away = points[:, None, :] - a[None, :, :]
    along = np.clip(np.einsum("nij,ij->ni", away, edge) / length2, 0.0, 1.0)
    gap = away - along[:, :, None] * edge[None, :, :]
    distance = np.sqrt(np.min(np.einsum("nij,nij->ni", gap, gap), axis=1))
    result: Array = np.where(inside(ring, points), 0.0, distance)
    return result


def sample_inside(ring: Array, count: int, rng: np.random.Generator) -> Array:
    """`count` uniform points inside the ring, (count, 2); its corners' middle where the ring has no area."""
    low, high = ring.min(axis=0), ring.max(axis=0)
    found = np.empty((0, 2))
    for _ in range(20):
        tries = rng.uniform(low, high, size=(count * 3, 2))
        found = np.concatenate([found, tries[inside(ring, tries)]])
        if len(found) >= count:
            return found[:count]
    middle = ring.mean(axis=0, keepdims=True)
    return np.concatenate([found, np.repeat(middle, count - len(found), axis=0)])
