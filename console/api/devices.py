"""Devices: list, register, credentials, presence, import of files."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi import Path as FromPath
from pydantic import BaseModel, Field

from console.caller import needs
from console.context import console_of
from console.paging import Cursor, Limit, Page, decoded, page_of
from console.rights import Operator
from core.errors import InvalidInput, NotAllowed, NotFound
from core.fix import Datum
from devices import credentials, equipment
from devices.records import DeviceKind
from store.audit import Entry, record
from store.pool import Connection

router = APIRouter(prefix="/devices", tags=["devices"])

Reader = Annotated[Operator, needs("devices.read")]
Writer = Annotated[Operator, needs("registry.write")]
DeviceId = Annotated[str, FromPath(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]


class DeviceLine(BaseModel):
    """One device with whom it belongs to now and when it was last heard of."""

    id: str
    kind: DeviceKind
    name: str | None
    model: str | None
    datum: Datum
    url: str | None
    retired_at: datetime | None
    worker: str | None
    grid: str | None
    has_credential: bool
    heard_at: datetime | None
    online: bool | None


class NewDevice(BaseModel):
    """A device to register. worker: handsets only; grid, lat, lon: where a terminal or camera stands."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")
    kind: DeviceKind
    name: str | None = Field(None, max_length=100)
    model: str | None = Field(None, max_length=100)
    datum: Datum = "wgs84"
    url: str | None = Field(None, max_length=500)
    worker: str | None = Field(None, max_length=64)
    grid: str | None = Field(None, pattern=r"^[0-9]{15}$")
    lat: float | None = Field(None, ge=-90, le=90)
    lon: float | None = Field(None, ge=-180, le=180)


class DeviceToken(BaseModel):
    """A device's new token; shown once. The one before stops working at once."""

    device: str
    token: str


class Presence(BaseModel):
    """The last sign of life."""

    device: str
    received_at: datetime | None
    fixed_at: datetime | None
    battery: float | None
    online: bool | None
    online_at: datetime | None
    via: str | None


@router.get("")
async def list_devices(
    request: Request,
    caller: Reader,
    kind: DeviceKind | None = None,
    retired: Annotated[bool, Query(description="Also those taken out of service.")] = False,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[DeviceLine]:
    """Devices in the caller's scope, by id."""
    position = decoded(cursor, str)
    after = str(position[0]) if position else ""
    async with console_of(request).store.connection() as connection:
        rows = await equipment.list_devices(
            connection, kind, caller.division, retired=retired, after=after, limit=limit + 1
        )
    return page_of(rows, limit, lambda row: DeviceLine(**row._asdict()), lambda row: (row.id,))


@router.post("", status_code=201)
async def add_device(request: Request, caller: Writer, body: NewDevice) -> DeviceLine:
    """Registers a device; ask for its credential next."""
    async with console_of(request).store.transaction() as connection:
        await register(connection, caller, body)
        grid = await _grid_of(connection, body.id)
    given = body.model_dump(exclude={"grid", "lat", "lon"})
    return DeviceLine(**given, grid=grid, retired_at=None, has_credential=False, heard_at=None, online=None)


@router.post("/{device_id}/credential", status_code=201)
async def new_credential(request: Request, caller: Writer, device_id: DeviceId) -> DeviceToken:
    """Makes the device's only valid token; it works in the running service at once."""
    async with console_of(request).store.transaction() as connection:
        await within(connection, caller, device_id)
        made = await credentials.issue(connection, device_id)
        await _noted(connection, caller, "device.credential", device_id)
    return DeviceToken(device=made.device, token=made.token)


@router.delete("/{device_id}/credential", status_code=204)
async def revoke_credential(request: Request, caller: Writer, device_id: DeviceId) -> None:
    """Ends the device's token and closes its connections."""
    async with console_of(request).store.transaction() as connection:
        await within(connection, caller, device_id)
        await credentials.revoke(connection, device_id)
        await _noted(connection, caller, "device.revoke", device_id)


@router.get("/{device_id}/presence")
async def show_presence(request: Request, caller: Reader, device_id: DeviceId) -> Presence:
    """When a device was last heard of; without its position, which is a track query."""
    async with console_of(request).store.connection() as connection:
        await within(connection, caller, device_id)
        cursor = await connection.execute(
            """SELECT d.id, p.received_at, p.fixed_at, p.battery, p.online, p.online_at, p.via
               FROM devices d LEFT JOIN presence p ON p.device = d.key WHERE d.id = %s""",
            [device_id],
        )
        row = await cursor.fetchone()
    assert row is not None
    return Presence(**dict(zip(Presence.model_fields, row, strict=True)))


async def register(connection: Connection, caller: Operator, body: NewDevice) -> None:
    """Adds a device with its worker or place, audited. Raises InvalidInput, Conflict, NotFound, NotAllowed."""
    if not caller.sees(body.grid) and caller.division:
        raise NotAllowed(f"grid: it must lie in your division {caller.division}.")
    if body.worker is not None and body.kind != "handset":
        raise InvalidInput("worker: only a handset belongs to a worker.")
    if (body.lat is None) != (body.lon is None) or (body.lat is not None and body.grid is None):
        raise InvalidInput("lat, lon: give both, with the grid.")
    await _exists(connection, "grids", "code", "grid", body.grid)
    await _exists(connection, "workers", "id", "worker", body.worker)
    row = equipment.DeviceRow(body.id, body.kind, body.name, body.model, body.datum, body.url)
    await equipment.add_device(connection, row)
    now = datetime.now(UTC)
    if body.worker is not None:
        await equipment.hand_out(connection, body.id, body.worker, now)
    if body.grid is not None:
        at = (body.lat, body.lon) if body.lat is not None and body.lon is not None else None
        await equipment.stand_at(connection, body.id, body.grid, now, at)
    await _noted(connection, caller, "device.add", body.id)


async def within(connection: Connection, caller: Operator, device_id: str) -> None:
    """Raises NotFound for a device that is unknown or beyond the caller's division."""
    grid = await _grid_of(connection, device_id)
    if caller.division and not caller.sees(grid):
        raise NotFound(f"There is no device {device_id} in your scope.")


async def _grid_of(connection: Connection, device_id: str) -> str | None:
    """The grid that a device belongs to now, by its worker or its place. Raises NotFound."""
    cursor = await connection.execute(
        """SELECT coalesce(
                (SELECT g.grid FROM handset_workers h JOIN worker_grids g ON g.worker = h.worker
                 WHERE h.handset = d.key AND h.valid_from <= now() AND (h.valid_to IS NULL OR now() < h.valid_to)
                   AND g.valid_from <= now() AND (g.valid_to IS NULL OR now() < g.valid_to)
                 ORDER BY g.valid_from LIMIT 1),
                (SELECT s.grid FROM device_sites s WHERE s.device = d.key AND s.valid_from <= now()
                   AND (s.valid_to IS NULL OR now() < s.valid_to) LIMIT 1))
           FROM devices d WHERE d.id = %s""",
        [device_id],
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"There is no device {device_id} in your scope.")
    return str(row[0]) if row[0] is not None else None


async def _exists(connection: Connection, table: str, column: str, field: str, value: str | None) -> None:
    if value is None:
        return
    cursor = await connection.execute(f"SELECT 1 FROM {table} WHERE {column} = %s", [value])  # noqa: S608 - ours
    if await cursor.fetchone() is None:
        raise InvalidInput(f"{field}: there is no {field} {value}.")


async def _noted(connection: Connection, caller: Operator, action: str, device_id: str) -> None:
    await record(
        connection, Entry(caller.who, action, caller.role, device_id, caller.division or None, peer=caller.peer)
    )
