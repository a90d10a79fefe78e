"""Grid polygons made ready: inside or how far outside, in metres, for one position or for arrays.

Polygons are kept as GeoJSON text and parsed on first use, so that a city of 10,590 grids loads fast and stays small.
Distances are taken in a plane around the middle of the grid (metres a degree from the WGS-84 ellipsoid); across a few
kilometres that errs by less than 0.1 %.
"""

import math
from typing import Literal

import msgspec
import numpy as np
import shapely
from numpy.typing import NDArray

GridKind = Literal["urban", "rural"]
Floats = NDArray[np.float64]

_A = 6_378_137.0
_E2 = 0.006_694_379_990_14


def metres_per_degree(lat: float) -> tuple[float, float]:
    """Metres of one degree of latitude and of longitude on WGS-84 at a latitude in degrees."""
    sine = math.sin(math.radians(lat))
    w2 = 1.0 - _E2 * sine * sine
    north = math.radians(_A * (1.0 - _E2) / (w2 * math.sqrt(w2)))
    east = math.radians(_A * math.cos(math.radians(lat)) / math.sqrt(w2))
    return north, east


class Grid:
    """One grid. box: (min_lon, min_lat, max_lon, max_lat) in WGS-84 degrees. Safe to share between threads."""

    __slots__ = ("_east", "_geojson", "_lat0", "_lon0", "_north", "_plane", "box", "code", "kind", "name")

    def __init__(
        self, code: str, name: str, kind: GridKind, geojson: str, box: tuple[float, float, float, float]
    ) -> None:
        self.code = code
        self.name = name
        self.kind = kind
        self.box = box
        self._geojson = geojson
        self._lat0 = (box[1] + box[3]) / 2
        self._lon0 = (box[0] + box[2]) / 2
        self._north, self._east = metres_per_degree(self._lat0)
        self._plane: shapely.Geometry | None = None

    @property
    def geojson(self) -> dict[str, object]:
        """The GeoJSON geometry (Polygon or MultiPolygon, WGS-84, lon before lat)."""
        return msgspec.json.decode(self._geojson, type=dict[str, object])

    def polygon(self) -> shapely.Geometry:
        """The polygon in WGS-84 degrees (x = lon, y = lat), parsed anew at each call."""
        return shapely.from_geojson(self._geojson)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return (self.code, self.name, self.kind, self._geojson) == (other.code, other.name, other.kind, other._geojson)

    __hash__ = None  # type: ignore[assignment]

    def contains(self, lat: float, lon: float) -> bool:
        """True inside the grid or on its border."""
        box = self.box
        if lon < box[0] or lon > box[2] or lat < box[1] or lat > box[3]:
            return False
        return self.distance_outside_m(lat, lon) == 0.0

    def distance_outside_m(self, lat: float, lon: float) -> float:
        """Metres from the grid; 0 inside or on its border. lat, lon: WGS-84 degrees."""
        x, y = (lon - self._lon0) * self._east, (lat - self._lat0) * self._north
        plane = self._in_plane()
        if shapely.intersects_xy(plane, x, y):
            return 0.0
        return float(shapely.distance(plane, shapely.points(x, y)))

    def distances_outside_m(self, lats: Floats, lons: Floats) -> Floats:
        """Metres from the grid for arrays of WGS-84 degrees, shape (n,); 0 inside."""
        points = shapely.points((lons - self._lon0) * self._east, (lats - self._lat0) * self._north)
        distances: Floats = np.asarray(shapely.distance(self._in_plane(), points), dtype=np.float64)
        return distances

    def _in_plane(self) -> shapely.Geometry:
        """The polygon in metres around the middle of its box, prepared."""
        if self._plane is None:
            origin, scale = np.array([self._lon0, self._lat0]), np.array([self._east, self._north])
            plane = shapely.transform(self.polygon(), lambda degrees: (degrees - origin) * scale)
            shapely.prepare(plane)
            self._plane = plane
        return self._plane


class GridIndex:
    """Which grid a position lies in: a tree over the boxes, polygons parsed only where a box is hit."""

    def __init__(self, grids: list[Grid]) -> None:
        self._grids = grids
        boxes = np.array([grid.box for grid in grids], dtype=np.float64).reshape(-1, 4)
        self._tree = shapely.STRtree(shapely.box(boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 3]))

    def grid_at(self, lat: float, lon: float) -> Grid | None:
        """The grid that contains a WGS-84 position (the least code where borders touch), or None."""
        hits = (self._grids[i] for i in self._tree.query(shapely.points(lon, lat)))
        return min((grid for grid in hits if grid.contains(lat, lon)), key=lambda grid: grid.code, default=None)

    def grids_at(self, lats: Floats, lons: Floats) -> list[str | None]:
        """Codes of the grids that contain arrays of positions, None where there is none."""
        found: list[str | None] = [None] * len(lats)
        pairs = self._tree.query(shapely.points(lons, lats))
        order = np.argsort(pairs[1], kind="stable")
        points, owners = pairs[0][order], pairs[1][order]
        starts = [i for i in range(len(owners)) if i == 0 or owners[i] != owners[i - 1]]
        for begin, end in zip(starts, [*starts[1:], len(owners)], strict=False):
            grid, indices = self._grids[owners[begin]], points[begin:end]
            inside = indices[grid.distances_outside_m(lats[indices], lons[indices]) == 0.0]
            for index in inside:
                present = found[index]
                found[index] = grid.code if present is None else min(present, grid.code)
        return found
