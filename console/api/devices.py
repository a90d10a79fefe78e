"""Devices: list, register, credentials, presence, import of files."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi import Path as FromPath
from pydantic import BaseModel, Field, SecretStr

from console.caller import needs
from console.context import console_of
from console.paging import Cursor, Limit, Page, decoded, page_of
from console.registering import NewDevice, grid_of, keep_log_in, noted, register, within
from console.rights import Operator
from core.errors import InvalidInput
from core.fix import Datum
from devices import credentials, equipment
from devices.camera_secrets import LogIn
from devices.records import DeviceKind

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
    sub_url: str | None
    retired_at: datetime | None
    worker: str | None
    grid: str | None
    has_credential: bool
    heard_at: datetime | None
    online: bool | None


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
        row = await register(connection, caller, body, console_of(request).log_ins)
        grid = await grid_of(connection, body.id)
    given = {name: value for name, value in row._asdict().items() if name != "settings"}
    sub_url = (row.settings or {}).get("sub_url")
    return DeviceLine(
        **given,
        sub_url=None if sub_url is None else str(sub_url),
        worker=body.worker,
        grid=grid,
        retired_at=None,
        has_credential=False,
        heard_at=None,
        online=None,
    )


@router.post("/{device_id}/credential", status_code=201)
async def new_credential(request: Request, caller: Writer, device_id: DeviceId) -> DeviceToken:
    """Makes the device's only valid token; it works in the running service at once."""
    async with console_of(request).store.transaction() as connection:
        await within(connection, caller, device_id)
        made = await credentials.issue(connection, device_id)
        await noted(connection, caller, "device.credential", device_id)
    return DeviceToken(device=made.device, token=made.token)


@router.delete("/{device_id}/credential", status_code=204)
async def revoke_credential(request: Request, caller: Writer, device_id: DeviceId) -> None:
    """Ends the device's token and closes its connections."""
    async with console_of(request).store.transaction() as connection:
        await within(connection, caller, device_id)
        await credentials.revoke(connection, device_id)
        await noted(connection, caller, "device.revoke", device_id)


@router.delete("/{device_id}", status_code=204)
async def retire_device(request: Request, caller: Writer, device_id: DeviceId) -> None:
    """Takes a device out of service: no token, no more recording; its facts and footage stay for their days."""
    async with console_of(request).store.transaction() as connection:
        await within(connection, caller, device_id)
        await equipment.retire(connection, device_id, datetime.now(UTC))
        await noted(connection, caller, "device.retire", device_id)


class CameraLogIn(BaseModel):
    """Who we are for a camera."""

    user: str = Field(min_length=1, max_length=200)
    password: SecretStr = Field(max_length=200)


@router.put("/{device_id}/login", status_code=204)
async def set_camera_login(request: Request, caller: Writer, device_id: DeviceId, body: CameraLogIn) -> None:
    """Keeps a camera's log-in in the private file of the machine that reads it; it can be read back nowhere."""
    console = console_of(request)
    if console.log_ins is None:
        raise InvalidInput("Log-ins of cameras are kept where cameras are read, and none is read here.")
    log_in = LogIn(body.user, body.password.get_secret_value())
    async with console.store.transaction() as connection:
        await within(connection, caller, device_id)
        await equipment.check_camera(connection, device_id)
        await keep_log_in(connection, caller, device_id, log_in, console.log_ins)


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
