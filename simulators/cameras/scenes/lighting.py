"""Light on single points of a street, with the shadows of its houses and trees: used by the drawn engine."""

import numpy as np
from numpy.typing import NDArray

from simulators.cameras.scenes.camera import Points
from simulators.cameras.scenes.light import ambient, haze_colour, lamplight, sunlight
from simulators.cameras.scenes.world import FAR_M, Building, Street

_CELL_M = 1.0
_Y0 = -24.0


class Lighting:
    """Light and shade of one street. sun: unit vector towards it. sky_tone: what shiny things mirror."""

    def __init__(self, street: Street) -> None:
        self.street, self.sun = street, np.array(street.sky.sun)
        self._sunlight = sunlight(street).astype(np.float64)
        self._boxes = np.array([_bounds(b) for b in street.buildings])
        self._crowns = np.array([(t.x, t.y, t.height, t.crown) for t in street.trees]).reshape(-1, 4)
        self.haze_colour = haze_colour(street).astype(np.float64)
        self.sky_tone = self.haze_colour * (1.0 if not street.night else 0.5)
        self._clear = 1 - street.sky.haze * (0.5 if street.night else 1.0)
        self._low, self._high = (ambient(street, up).astype(np.float64) for up in (-1.0, 1.0))
        self._grid()

    def _grid(self) -> None:
        """Sun and lamplight a metre above the street, for movers."""
        self._half = self.street.half_road + self.street.pavement + 2
        xs, ys = np.arange(-self._half, self._half, _CELL_M), np.arange(_Y0, FAR_M + 60, _CELL_M)
        x, y = np.meshgrid(xs, ys)
        points = np.stack([x.ravel(), y.ravel(), np.full(x.size, 1.0)], axis=1)
        self._lit_grid = self.lit(points).reshape(x.shape) if self._sunlight.any() else np.zeros(x.shape)
        self._lamp_grid = lamplight(self.street, points).reshape(*x.shape, 3).astype(np.float64)

    def _cell(self, x: float, y: float) -> tuple[int, int]:
        rows, columns = self._lit_grid.shape
        row, column = int((y - _Y0) / _CELL_M), int((x + self._half) / _CELL_M)
        return min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)

    def sun_at(self, x: float, y: float) -> float:
        """Share of the sun a metre above a place."""
        return float(self._lit_grid[self._cell(x, y)])

    def faces(self, x: float, y: float, sun: Points, normals: Points) -> Points:
        """Light (f, 3) on faces of something at (x, y); sun and normals in the same axes, z up."""
        cell = self._cell(x, y)
        up = normals[:, 2:3]
        total = self._low + (self._high - self._low) * (0.5 + 0.5 * up)
        total = total + self._sunlight * (np.clip(normals @ sun, 0, 1) * self._lit_grid[cell])[:, None]
        result: Points = total + self._lamp_grid[cell] * (0.55 + 0.45 * up)
        return result

    def veiled(self, colours: Points, depth: float) -> Points:
        """Colours (n, 3) RGB 0–1 behind the haze, as BGR 0–255."""
        hazy = 1 - self._clear ** (depth / 100)
        result: Points = np.clip((colours * (1 - hazy) + self.haze_colour * hazy) * 255, 0, 255)[..., ::-1]
        return result

    def haze(self, distance: Points) -> Points:
        """Share of haze before something at distances in metres."""
        result: Points = 1 - self._clear ** (distance / 100)
        return result

    def __call__(self, point: Points, normal: Points) -> Points:
        """Light (3,) on one face."""
        result: Points = self.on(point[None], (float(normal[0]), float(normal[1]), float(normal[2])))[0]
        return result

    def on(self, points: Points, normal: tuple[float, float, float]) -> Points:
        """Light (n, 3) on points (n, 3) of one plane."""
        total = np.repeat(ambient(self.street, normal[2])[None].astype(np.float64), len(points), axis=0)
        facing = float(np.dot(self.sun, normal))
        if facing > 0 and self._sunlight.any():
            total += self._sunlight * (facing * self.lit(points))[:, None]
        return total + lamplight(self.street, points, normal)

    def lit(self, points: Points) -> NDArray[np.float64]:
        """How much of the sun reaches points: 0 behind a house, a part behind leaves, 1 in the open."""
        free = np.ones(len(points))
        start = points + self.sun * 0.05
        inverse = 1.0 / np.where(np.abs(self.sun) < 1e-6, 1e-6, self.sun)
        for low_high in self._boxes:
            a, b = (low_high[0] - start) * inverse, (low_high[1] - start) * inverse
            enter, leave = np.minimum(a, b).max(axis=1), np.maximum(a, b).min(axis=1)
            free[leave > np.maximum(enter, 0)] = 0
        for x, y, z, crown in self._crowns:
            away = np.array([x, y, z]) - start
            along = away @ self.sun
            beside = np.sqrt(np.maximum(np.einsum("ij,ij->i", away, away) - along**2, 0))
            free *= np.where(along > 0, np.clip(0.22 + 0.78 * (beside / crown - 0.72) / 0.4, 0.22, 1), 1)
        return free


def _bounds(b: Building) -> Points:
    x0, x1 = sorted((b.face_x, b.face_x + b.side * b.depth))
    return np.array([[x0 + 0.02, b.y0, -1], [x1 - 0.02, b.y1, b.height]])
