"""Registering devices for people: what may be registered, where it may stand, and the audit row about it.

Used by the operators' API and by the command line; runs in the caller's transaction.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

from console import reach
from console.rights import Operator
from core.errors import InvalidInput, NotAllowed, NotFound
from core.fix import Datum
from devices import equipment
from devices.camera_address import parse_address
from devices.camera_secrets import LogIn, put_log_ins
from devices.records import DeviceKind
from store.audit import Entry, record
from store.pool import Connection


class NewDevice(BaseModel):
    """A device to register. worker: handsets only; grid, lat, lon: where a terminal or camera stands.

    Of a camera: url, sub_url (its smaller stream), audio; user and password, which may also stand in the addresses, go
    to the file of log-ins and nowhere else.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")
    kind: DeviceKind
    name: str | None = Field(None, max_length=100)
    model: str | None = Field(None, max_length=100)
    datum: Datum = "wgs84"
    url: str | None = Field(None, max_length=500)
    sub_url: str | None = Field(None, max_length=500)
    audio: bool | None = None
    user: str | None = Field(None, min_length=1, max_length=200)
    password: SecretStr | None = Field(None, max_length=200)
    worker: str | None = Field(None, max_length=64)
    grid: str | None = Field(None, pattern=r"^[0-9]{15}$")
    lat: float | None = Field(None, ge=-90, le=90)
    lon: float | None = Field(None, ge=-180, le=180)


async def register(
    connection: Connection, caller: Operator, body: NewDevice, log_ins: Path | None
) -> equipment.DeviceRow:
    """Adds a device with its worker or place, audited, and its log-in to the file `log_ins` (None: none is taken).

    Raises InvalidInput, Conflict, NotFound, NotAllowed, ConfigurationError (the file cannot be written).
    """
    if not caller.sees(body.grid) and caller.division:
        raise NotAllowed(f"grid: it must lie in your division {caller.division}.")
    if body.worker is not None and body.kind != "handset":
        raise InvalidInput("worker: only a handset belongs to a worker.")
    if (body.lat is None) != (body.lon is None) or (body.lat is not None and body.grid is None):
        raise InvalidInput("lat, lon: give both, with the grid.")
    if body.grid is not None:
        found = await connection.execute("SELECT 1 FROM grids WHERE code = %s", [body.grid])
        if await found.fetchone() is None:
            raise InvalidInput(f"grid: there is no grid {body.grid}.")
    if body.worker is not None and not await reach.has_worker(connection, caller, worker=body.worker):
        raise InvalidInput(f"worker: there is no worker {body.worker} in your scope.")
    row, log_in = _row_of(body)
    if log_in is not None and log_ins is None:
        raise InvalidInput("password: log-ins of cameras are kept where cameras are read, and none is read here.")
    await equipment.add_device(connection, row)
    now = datetime.now(UTC)
    if body.worker is not None:
        await equipment.hand_out(connection, body.id, body.worker, now)
    if body.grid is not None:
        at = (body.lat, body.lon) if body.lat is not None and body.lon is not None else None
        await equipment.stand_at(connection, body.id, body.grid, now, at)
    await noted(connection, caller, "device.add", body.id)
    if log_in is not None and log_ins is not None:
        await keep_log_in(connection, caller, body.id, log_in, log_ins)
    return row


def _row_of(body: NewDevice) -> tuple[equipment.DeviceRow, LogIn | None]:
    """The registry's row and the log-in, taken apart. Raises InvalidInput."""
    given = (body.sub_url, body.audio, body.user, body.password)
    row = equipment.DeviceRow(body.id, body.kind, body.name, body.model, body.datum, body.url)
    if body.kind != "camera" or body.url is None:
        if any(one is not None for one in given):
            raise InvalidInput("sub_url, audio, user, password: only cameras have them.")
        return row, None
    main = parse_address(body.url)
    sub = None if body.sub_url is None else parse_address(body.sub_url, "sub_url")
    log_in = main.log_in or (sub.log_in if sub is not None else None)
    if body.user is not None:
        log_in = LogIn(body.user, body.password.get_secret_value() if body.password else "")
    elif body.password is not None:
        raise InvalidInput("user: is missing beside the password.")
    settings: dict[str, object] = {} if sub is None else {"sub_url": sub.url}
    if body.audio is not None:
        settings["audio"] = body.audio
    return row._replace(url=main.url, settings=settings), log_in


async def keep_log_in(
    connection: Connection, caller: Operator, camera: str, log_in: LogIn | None, log_ins: Path
) -> None:
    """Writes a camera's log-in (None: takes it out) before the transaction commits, audited without it."""
    await noted(connection, caller, "device.login", camera)
    await asyncio.to_thread(put_log_ins, log_ins, {camera: log_in})


async def within(connection: Connection, caller: Operator, device_id: str) -> None:
    """Raises NotFound for a device that is unknown or beyond the caller's division."""
    grid = await grid_of(connection, device_id)
    if caller.division and not caller.sees(grid):
        raise NotFound(f"There is no device {device_id} in your scope.")


async def grid_of(connection: Connection, device_id: str) -> str | None:
    """The grid that a device belongs to now, by its worker or its place. Raises NotFound."""
    cursor = await connection.execute(
        """SELECT coalesce(
                (SELECT g.grid FROM handset_workers h JOIN worker_grids g ON g.worker = h.worker
                 WHERE h.handset = d.key AND h.valid_from <= t.now AND (h.valid_to IS NULL OR t.now < h.valid_to)
                   AND g.valid_from <= t.now AND (g.valid_to IS NULL OR t.now < g.valid_to)
                 ORDER BY g.valid_from LIMIT 1),
                (SELECT s.grid FROM device_sites s WHERE s.device = d.key AND s.valid_from <= t.now
                   AND (s.valid_to IS NULL OR t.now < s.valid_to) LIMIT 1))
           FROM devices d, (SELECT clock_timestamp() AS now) t WHERE d.id = %s""",
        [device_id],
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"There is no device {device_id} in your scope.")
    return str(row[0]) if row[0] is not None else None


async def noted(connection: Connection, caller: Operator, action: str, device_id: str) -> None:
    """One audit row about a device."""
    await record(
        connection, Entry(caller.who, action, caller.role, device_id, caller.division or None, peer=caller.peer)
    )
