"""Divisions and grids: what the city consists of."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as FromPath
from psycopg.rows import class_row
from pydantic import BaseModel

from console.caller import needs
from console.context import console_of
from console.filters import DivisionCode
from console.paging import Cursor, Limit, Page, decoded, page_of
from console.rights import Operator
from console.where import Where
from core.errors import NotFound

router = APIRouter(tags=["places"])

Caller = Annotated[Operator, needs("registry.read")]


class DivisionRow(BaseModel):
    """A part of the city."""

    code: str
    name: str
    name_en: str | None
    kind: str


class GridRow(BaseModel):
    """A grid without its polygon."""

    code: str
    name: str
    kind: str
    households: int | None
    residents: int | None
    min_lat: float
    min_lon: float
    max_lat: float
    max_lon: float


class GridDetail(GridRow):
    """A grid with its polygon (GeoJSON, WGS-84)."""

    polygon: dict[str, Any]


_GRID = "g.code, g.name, g.kind, g.households, g.residents, g.min_lat, g.min_lon, g.max_lat, g.max_lon"


@router.get("/divisions")
async def list_divisions(
    request: Request, caller: Caller, division: DivisionCode = None, cursor: Cursor = None, limit: Limit = 500
) -> Page[DivisionRow]:
    """Divisions in the caller's scope and those above it, by code."""
    where = Where().within("d.code", division)
    if caller.division:
        where.add("(d.code LIKE %s OR starts_with(%s, d.code))", f"{caller.division}%", caller.division)
    if position := decoded(cursor, str):
        where.add("d.code > %s", *position)
    async with (
        console_of(request).store.connection() as connection,
        connection.cursor(row_factory=class_row(DivisionRow)) as reader,
    ):
        await reader.execute(
            f"SELECT d.code, d.name, d.name_en, d.kind FROM divisions d WHERE {where.sql} ORDER BY d.code LIMIT %s",  # noqa: S608
            [*where.values, limit + 1],
        )
        rows = await reader.fetchall()
    return page_of(rows, limit, lambda row: row, lambda row: (row.code,))


@router.get("/grids")
async def list_grids(
    request: Request,
    caller: Caller,
    division: DivisionCode = None,
    name: Annotated[str | None, Query(max_length=40, description="Part of the name.")] = None,
    cursor: Cursor = None,
    limit: Limit = 500,
) -> Page[GridRow]:
    """Grids in the caller's scope, by code."""
    where = Where().seen_by(caller, "g.code").within("g.code", division)
    where.given("position(%s IN g.name) > 0", name)
    if position := decoded(cursor, str):
        where.add("g.code > %s", *position)
    async with (
        console_of(request).store.connection() as connection,
        connection.cursor(row_factory=class_row(GridRow)) as reader,
    ):
        await reader.execute(
            f"SELECT {_GRID} FROM grids g WHERE {where.sql} ORDER BY g.code LIMIT %s",  # noqa: S608
            [*where.values, limit + 1],
        )
        rows = await reader.fetchall()
    return page_of(rows, limit, lambda row: row, lambda row: (row.code,))


@router.get("/grids/{code}")
async def show_grid(
    request: Request, caller: Caller, code: Annotated[str, FromPath(pattern=r"^[0-9]{15}$")]
) -> GridDetail:
    """One grid with its polygon."""
    where = Where().seen_by(caller, "g.code").add("g.code = %s", code)
    async with (
        console_of(request).store.connection() as connection,
        connection.cursor(row_factory=class_row(GridDetail)) as reader,
    ):
        await reader.execute(f"SELECT {_GRID}, g.polygon FROM grids g WHERE {where.sql}", where.values)  # noqa: S608
        row = await reader.fetchone()
    if row is None:
        raise NotFound(f"There is no grid {code} in your scope.")
    return row
