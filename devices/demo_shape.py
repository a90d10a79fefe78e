"""Ground plan of a made-up Yongzhou: grids that tile the land around the eleven district seats without overlapping.

One lattice of slightly displaced corner points, 300 m apart, covers the city. An urban grid is one lattice cell; a
rural grid is a square of 5 × 5 cells whose border runs through all corner points on its edge, so neighbours of either
kind share their border exactly. A district owns the squares that are nearest to its seat; the innermost ones are
split into urban grids. Pure: the same numbers and seed give the same plan.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput
from devices.geometry import GridKind, metres_per_degree

CELL_M = 300.0
PER_SQUARE = 5
URBAN_SHARE = 1400 / 10_590
_ROWS, _COLUMNS = 200, 140
"""Squares of the lattice north and east of its corner: 300 km by 210 km."""
MOST_GRIDS = 25_000
_SOUTH, _WEST = 24.55, 110.70
_DISPLACED = 0.2
"""Corner points lie up to this share of a cell away from their place."""


class District(NamedTuple):
    """A district of Yongzhou with its seat. weight: its share of the grids (about its population in 100,000)."""

    code: str
    name: str
    name_en: str
    lat: float
    lon: float
    weight: float


DISTRICTS = (
    District("431102", "零陵区", "Lingling", 26.223, 111.631, 5.3),
    District("431103", "冷水滩区", "Lengshuitan", 26.462, 111.592, 5.9),
    District("431181", "祁阳市", "Qiyang", 26.580, 111.841, 8.5),
    District("431124", "道县", "Dao", 25.527, 111.600, 6.1),
    District("431126", "宁远县", "Ningyuan", 25.571, 111.946, 7.2),
    District("431122", "东安县", "Dong'an", 26.392, 111.317, 5.2),
    District("431129", "江华瑶族自治县", "Jianghua", 25.186, 111.580, 4.2),
    District("431127", "蓝山县", "Lanshan", 25.370, 112.197, 3.4),
    District("431128", "新田县", "Xintian", 25.904, 112.203, 3.3),
    District("431125", "江永县", "Jiangyong", 25.273, 111.344, 2.4),
    District("431123", "双牌县", "Shuangpai", 25.961, 111.660, 1.5),
)


class Plot(NamedTuple):
    """The ground of one grid. ring: closed, [lon, lat]; centre: (lat, lon); across: its size in degrees (lat, lon)."""

    district: District
    kind: GridKind
    ring: list[list[float]]
    centre: tuple[float, float]
    across: tuple[float, float]
    bearing: float
    """Direction from the seat to the plot, radians."""
    distance: float
    """Squares (1.5 km) from the seat."""


class Lattice:
    """The displaced corner points, and polygons between them."""

    def __init__(self, seed: int) -> None:
        north, east = metres_per_degree(_SOUTH + 1.2)
        self.step = (CELL_M / north, CELL_M / east)
        rng = np.random.default_rng(seed)
        shape = (_ROWS * PER_SQUARE + 1, _COLUMNS * PER_SQUARE + 1)
        shift = rng.uniform(-_DISPLACED, _DISPLACED, (2, *shape))
        rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
        self.lats: NDArray[np.float64] = np.round(_SOUTH + (rows + shift[0]) * self.step[0], 6)
        self.lons: NDArray[np.float64] = np.round(_WEST + (columns + shift[1]) * self.step[1], 6)

    def ring(self, row: int, column: int, size: int) -> list[list[float]]:
        """The closed border, anticlockwise, of `size` × `size` cells whose south-west corner point is given."""
        steps = range(size)
        corners = [(row, column + i) for i in steps] + [(row + i, column + size) for i in steps]
        corners += [(row + size, column + size - i) for i in steps] + [(row + size - i, column) for i in steps]
        return [[float(self.lons[corner]), float(self.lats[corner])] for corner in [*corners, corners[0]]]

    def square_of(self, lat: float, lon: float) -> tuple[float, float]:
        """Position in squares north and east of the lattice's corner."""
        return (lat - _SOUTH) / self.step[0] / PER_SQUARE, (lon - _WEST) / self.step[1] / PER_SQUARE

    def plot(self, district: District, kind: GridKind, row: int, column: int, size: int) -> Plot:
        """A plot of `size` × `size` cells."""
        middle = ((row + size / 2) / PER_SQUARE, (column + size / 2) / PER_SQUARE)
        seat = self.square_of(district.lat, district.lon)
        up, right = middle[0] - seat[0], middle[1] - seat[1]
        centre = (_SOUTH + (row + size / 2) * self.step[0], _WEST + (column + size / 2) * self.step[1])
        across = (size * self.step[0], size * self.step[1])
        ring = self.ring(row, column, size)
        return Plot(district, kind, ring, centre, across, math.atan2(up, right), math.hypot(up, right))


def shares(total: int, weights: list[float]) -> list[int]:
    """Whole numbers in proportion to the weights that add up to the total (largest remainders)."""
    exact = [total * weight / sum(weights) for weight in weights]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: counts[i] - exact[i])
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts


def plan_plots(grids: int, seed: int) -> list[Plot]:
    """Plots of that many grids (1 to 25,000), 13 % urban; a small city has fewer districts, about ten grids each."""
    if not 1 <= grids <= MOST_GRIDS:
        raise InvalidInput(f"A made-up city has 1 to {MOST_GRIDS:,} grids, not {grids:,}.")
    chosen = DISTRICTS[: max(1, min(len(DISTRICTS), math.ceil(grids / 10)))]
    weights = [district.weight for district in chosen]
    urban = shares(round(grids * URBAN_SHARE), weights)
    rural = shares(grids - sum(urban), weights)
    lattice = Lattice(seed)
    owned = _squares(lattice, [u // PER_SQUARE**2 + 1 + r for u, r in zip(urban, rural, strict=True)], chosen)
    plots: list[Plot] = []
    for district, urban_count, rural_count, squares in zip(chosen, urban, rural, owned, strict=True):
        split = math.ceil(urban_count / PER_SQUARE**2)
        cells = [
            lattice.plot(district, "urban", row * PER_SQUARE + i, column * PER_SQUARE + j, 1)
            for row, column in squares[:split]
            for i in range(PER_SQUARE)
            for j in range(PER_SQUARE)
        ]
        plots += sorted(cells, key=lambda plot: plot.distance)[:urban_count]
        plots += [
            lattice.plot(district, "rural", row * PER_SQUARE, column * PER_SQUARE, PER_SQUARE)
            for row, column in squares[split : split + rural_count]
        ]
    return plots


def _squares(lattice: Lattice, counts: list[int], chosen: tuple[District, ...]) -> list[list[tuple[int, int]]]:
    """For each district its squares, nearest to the seat first: those nearer to it than to another, then free ones."""
    seats = np.array([lattice.square_of(district.lat, district.lon) for district in chosen])
    rows, columns = np.mgrid[0:_ROWS, 0:_COLUMNS]
    up = rows.ravel()[:, None] + 0.5 - seats[None, :, 0]
    right = columns.ravel()[:, None] + 0.5 - seats[None, :, 1]
    distances = np.hypot(up, right)
    nearest = distances.argmin(axis=1)
    free = np.ones(len(nearest), dtype=bool)
    owned: list[list[tuple[int, int]]] = [[] for _ in chosen]
    for own in (True, False):
        for district, count in enumerate(counts):
            candidates = np.flatnonzero(free & (nearest == district) if own else free)
            order = candidates[np.argsort(distances[candidates, district], kind="stable")][
                : count - len(owned[district])
            ]
            free[order] = False
            owned[district] += [(int(square) // _COLUMNS, int(square) % _COLUMNS) for square in order]
    return owned
