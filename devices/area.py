"""The area and what stands in it: divisions, grids, places, roads, departments, components.

`put_…` adds rows or changes those that exist (by id or code) and counts what it did; rows that say nothing new write
nothing. Everything runs in the caller's transaction; positions are WGS-84 degrees.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import shapely

from core.errors import InvalidInput
from devices.geometry import GridKind
from devices.merging import Counts, merge
from devices.records import Division, Place
from store.pool import Connection

GEOJSON = dict[str, object]

LIST_DIVISIONS = "SELECT code, name, kind FROM divisions WHERE code LIKE %s || '%%' ORDER BY code"
LIST_GRIDS = """
SELECT code, name, kind, polygon, households, residents FROM grids WHERE code LIKE %s || '%%' ORDER BY code
"""
LIST_PLACES = """
SELECT id, grid, kind, name, lat, lon, radius_m, dwell_s, ordinal
FROM places WHERE grid LIKE %s || '%%' ORDER BY grid, ordinal NULLS LAST, id
"""
LIST_ROADS = "SELECT id, grid, name, line FROM roads WHERE grid LIKE %s || '%%' ORDER BY grid, id"
LIST_COMPONENTS = """
SELECT id, kind, name, lat, lon, grid, department FROM components
WHERE id > %(after)s AND (%(scope)s = '' OR grid LIKE %(scope)s || '%%') ORDER BY id LIMIT %(limit)s
"""


class GridRow(NamedTuple):
    """A grid as it is registered. polygon: GeoJSON Polygon or MultiPolygon."""

    code: str
    name: str
    kind: GridKind
    polygon: GEOJSON
    households: int | None = None
    residents: int | None = None


class RoadRow(NamedTuple):
    """A stretch of road inside a grid. line: GeoJSON LineString."""

    id: str
    grid: str
    name: str | None
    line: GEOJSON


class ComponentRow(NamedTuple):
    """A component 部件: lamp, manhole cover, hydrant …"""

    id: str
    kind: str
    name: str | None
    lat: float
    lon: float
    grid: str | None = None
    department: str | None = None


async def put_divisions(connection: Connection, rows: Sequence[Division]) -> Counts:
    """Divisions of 2 to 12 digits."""
    return await merge(connection, "divisions", ("code",), Division._fields, rows)


async def put_grids(connection: Connection, rows: Sequence[GridRow]) -> Counts:
    """Grids with their polygons. Raises InvalidInput for a polygon that is none."""
    columns = ("code", "name", "kind", "polygon", "households", "residents", *BOX)
    boxes = await asyncio.to_thread(lambda: [box_of(row.polygon) for row in rows])
    boxed = [(*row, *box) for row, box in zip(rows, boxes, strict=True)]
    return await merge(connection, "grids", ("code",), columns, boxed)


async def put_places(connection: Connection, rows: Sequence[Place]) -> Counts:
    """Work places and checkpoints."""
    return await merge(connection, "places", ("id",), Place._fields, rows)


async def put_roads(connection: Connection, rows: Sequence[RoadRow]) -> Counts:
    """Roads to be walked."""
    return await merge(connection, "roads", ("id",), RoadRow._fields, rows)


async def put_departments(connection: Connection, rows: Sequence[tuple[str, str]]) -> Counts:
    """Departments as (id, name)."""
    return await merge(connection, "departments", ("id",), ("id", "name"), rows)


async def put_components(connection: Connection, rows: Sequence[ComponentRow]) -> Counts:
    """Components; 493,000 of them take well under a minute."""
    return await merge(connection, "components", ("id",), ComponentRow._fields, rows)


async def list_divisions(connection: Connection, scope: str = "") -> list[Division]:
    """Divisions whose code begins with the scope."""
    return [Division(*row) for row in await _rows(connection, LIST_DIVISIONS, [scope])]


async def list_grids(connection: Connection, scope: str = "") -> list[GridRow]:
    """Grids of a scope, with polygons (index: grids_scope)."""
    return [GridRow(*row) for row in await _rows(connection, LIST_GRIDS, [scope])]


async def list_places(connection: Connection, scope: str = "") -> list[Place]:
    """Places of a scope."""
    return [Place(*row) for row in await _rows(connection, LIST_PLACES, [scope])]


async def list_roads(connection: Connection, scope: str = "") -> list[RoadRow]:
    """Roads of a scope."""
    return [RoadRow(*row) for row in await _rows(connection, LIST_ROADS, [scope])]


async def list_departments(connection: Connection) -> list[tuple[str, str]]:
    """All departments as (id, name)."""
    return [(row[0], row[1]) for row in await _rows(connection, "SELECT id, name FROM departments ORDER BY id", None)]


async def list_components(
    connection: Connection, scope: str = "", after: str = "", limit: int = 1000
) -> list[ComponentRow]:
    """One page of components in order of id; `after` is the last id of the page before."""
    rows = await _rows(connection, LIST_COMPONENTS, {"scope": scope, "after": after, "limit": limit})
    return [ComponentRow(*row) for row in rows]


async def remove_place(connection: Connection, place: str) -> bool:
    """Removes a work place or checkpoint; False when there is none of that id."""
    return (await connection.execute("DELETE FROM places WHERE id = %s", [place])).rowcount > 0


async def remove_component(connection: Connection, component: str) -> bool:
    """Removes a component; False when there is none of that id."""
    return (await connection.execute("DELETE FROM components WHERE id = %s", [component])).rowcount > 0


BOX = ("min_lon", "min_lat", "max_lon", "max_lat")


def box_of(polygon: GEOJSON) -> tuple[float, float, float, float]:
    """(min_lon, min_lat, max_lon, max_lat) of a GeoJSON polygon. Raises InvalidInput saying what is wrong with it."""
    shape = parsed_geometry(polygon, ("Polygon", "MultiPolygon"))
    if not shape.is_valid:
        raise InvalidInput(f"The polygon is not valid: {shapely.is_valid_reason(shape)} (lon lat).")
    return tuple(shape.bounds)


def parsed_geometry(geometry: object, kinds: tuple[str, ...]) -> Any:
    """A GeoJSON geometry in WGS-84 degrees as a shapely one. Raises InvalidInput."""
    if not isinstance(geometry, dict) or geometry.get("type") not in kinds:
        raise InvalidInput(f"The geometry must be a GeoJSON {' or '.join(kinds)}.")
    try:
        shape = shapely.geometry.shape(geometry)
    except (shapely.errors.ShapelyError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise InvalidInput(f"The coordinates of the {geometry['type']} are malformed.") from error
    if shape.is_empty:
        raise InvalidInput(f"The {geometry['type']} is empty.")
    west, south, east, north = shape.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise InvalidInput("The coordinates are no degrees; they must be longitude, latitude.")
    return shape


async def _rows(connection: Connection, statement: str, parameters: Any) -> list[tuple[Any, ...]]:
    return await (await connection.execute(statement.encode(), parameters)).fetchall()
