"""Handsets, terminals and cameras: registering, changing, retiring, whose they are and where they stand.

All run in the caller's transaction. A device's id is what it authenticates with; credentials are in `credentials`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from psycopg.types.json import Jsonb

from core.errors import Conflict, InvalidInput, NotFound
from core.fix import Datum
from devices.camera_address import check_camera_url
from devices.intervals import DEVICE_SITES, HANDSET_WORKERS, Interval, end_interval, put_interval
from devices.merging import Counts, merge
from devices.records import DeviceKind
from store.pool import Connection

DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
RESERVED_IDS = frozenset({"events"})
"""Ids that no device may have: its topics would be those of grid events (`wangge/v1/events/…`)."""
COLUMNS = ("id", "kind", "name", "model", "datum", "url", "settings")

LIST = """
SELECT d.id, d.kind, d.name, d.model, d.datum, d.url, d.settings ->> 'sub_url', d.retired_at,
       w.worker, coalesce(s.grid, g.grid), c.device IS NOT NULL, p.received_at, p.online
FROM devices d
LEFT JOIN LATERAL (SELECT worker FROM handset_workers WHERE handset = d.key AND valid_from <= now()
                   AND (valid_to IS NULL OR now() < valid_to) LIMIT 1) w ON true
LEFT JOIN LATERAL (SELECT grid FROM device_sites WHERE device = d.key AND valid_from <= now()
                   AND (valid_to IS NULL OR now() < valid_to) LIMIT 1) s ON true
LEFT JOIN LATERAL (SELECT grid FROM worker_grids WHERE worker = w.worker AND valid_from <= now()
                   AND (valid_to IS NULL OR now() < valid_to) ORDER BY valid_from LIMIT 1) g ON true
LEFT JOIN credentials c ON c.device = d.key AND c.revoked_at IS NULL
LEFT JOIN presence p ON p.device = d.key
WHERE (%(kind)s::text IS NULL OR d.kind = %(kind)s::text) AND (%(retired)s OR d.retired_at IS NULL)
  AND d.id > %(after)s AND (%(scope)s = '' OR coalesce(s.grid, g.grid) LIKE %(scope)s || '%%')
ORDER BY d.id LIMIT %(limit)s
"""


class DeviceRow(NamedTuple):
    """A device as it is registered. url: cameras only, an RTSP address without user and password.

    settings: of a camera `sub_url` (its smaller stream), `audio` (true: record it), `thresholds` (of rules).
    """

    id: str
    kind: DeviceKind
    name: str | None = None
    model: str | None = None
    datum: Datum = "wgs84"
    url: str | None = None
    settings: dict[str, object] | None = None


class Listed(NamedTuple):
    """A device as lists show it, now."""

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


def check_device(row: DeviceRow) -> DeviceRow:
    """The row, when it may be registered. Raises InvalidInput naming the field."""
    if not DEVICE_ID.fullmatch(row.id):
        raise InvalidInput("id: 1 to 64 letters, digits, '_', '.', ':' or '-', beginning with a letter or digit.")
    if row.id in RESERVED_IDS:
        raise InvalidInput(f"id: {row.id!r} is reserved (wangge/v1/{row.id}/# are the topics of grid events).")
    if row.kind == "camera":
        check_camera_url(row.url)
        sub_url = (row.settings or {}).get("sub_url")
        if sub_url is not None:
            check_camera_url(str(sub_url), "sub_url")
    elif row.url is not None:
        raise InvalidInput("url: only cameras have one.")
    return row


async def add_device(connection: Connection, row: DeviceRow) -> int:
    """Registers a new device and returns its key. Raises InvalidInput, Conflict when the id is taken."""
    check_device(row)
    cursor = await connection.execute("SELECT kind FROM devices WHERE id = %s", [row.id])
    present = await cursor.fetchone()
    if present is not None:
        raise Conflict(f"The id {row.id!r} is taken by a {present[0]}.")
    await put_devices(connection, [row])
    return await key_of(connection, row.id)


async def put_devices(connection: Connection, rows: Sequence[DeviceRow], columns: Sequence[str] = COLUMNS) -> Counts:
    """Adds devices or changes the named columns of those that exist. The caller has checked the rows."""
    taken = [DeviceRow._fields.index(column) for column in columns]
    filled = (row if row.settings is not None else row._replace(settings={}) for row in rows)
    return await merge(connection, "devices", ("id",), columns, [[row[i] for i in taken] for row in filled])


async def put_aliases(connection: Connection, rows: Sequence[tuple[str, str, int]]) -> Counts:
    """Names by which protocols know devices, as (protocol, alias, device key)."""
    return await merge(connection, "device_aliases", ("protocol", "alias"), ("protocol", "alias", "device"), rows)


async def key_of(connection: Connection, device_id: str) -> int:
    """The key of a device. Raises NotFound."""
    row = await (await connection.execute("SELECT key FROM devices WHERE id = %s", [device_id])).fetchone()
    if row is None:
        raise NotFound(f"No device {device_id!r} is registered; add it with `wangge devices add`.")
    return int(row[0])


async def check_camera(connection: Connection, device_id: str) -> None:
    """Raises NotFound when there is no camera of that id in service."""
    cursor = await connection.execute(
        "SELECT FROM devices WHERE id = %s AND kind = 'camera' AND retired_at IS NULL", [device_id]
    )
    if await cursor.fetchone() is None:
        raise NotFound(f"No camera {device_id!r} is registered; add it with `wangge devices add camera`.")


async def keys_of(connection: Connection, device_ids: Sequence[str]) -> dict[str, int]:
    """Keys of those of the devices that exist."""
    cursor = await connection.execute("SELECT id, key FROM devices WHERE id = ANY (%s)", [list(device_ids)])
    return dict(await cursor.fetchall())


async def settings_of(connection: Connection, device_ids: Sequence[str]) -> dict[str, dict[str, object]]:
    """Settings of those of the devices that exist."""
    cursor = await connection.execute("SELECT id, settings FROM devices WHERE id = ANY (%s)", [list(device_ids)])
    return dict(await cursor.fetchall())


async def change_settings(connection: Connection, device: str, changes: Mapping[str, object]) -> None:
    """Changes some settings of a device (None: takes it out); the others stay. Raises NotFound."""
    gone = [name for name, value in changes.items() if value is None]
    kept = {name: value for name, value in changes.items() if value is not None}
    await connection.execute(
        "UPDATE devices SET settings = (settings - %s::text[]) || %s WHERE key = %s",
        [gone, Jsonb(kept), await key_of(connection, device)],
    )


async def hand_out(
    connection: Connection, handset: str, worker: str, since: datetime, until: datetime | None = None
) -> bool:
    """Gives a handset to a worker; the one who had it gives it back then. False: nothing new. Raises Conflict."""
    row = await (await connection.execute("SELECT key, kind FROM devices WHERE id = %s", [handset])).fetchone()
    if row is None or row[1] != "handset":
        raise NotFound(f"No handset {handset!r} is registered.")
    return await put_interval(connection, HANDSET_WORKERS, row[0], Interval(since, until, (worker,)))


async def give_back(connection: Connection, handset: str, at: datetime) -> bool:
    """The handset belongs to nobody from then on; False when it did not anyway."""
    return await end_interval(connection, HANDSET_WORKERS, await key_of(connection, handset), at) > 0


async def stand_at(
    connection: Connection, device: str, grid: str, since: datetime, at: tuple[float, float] | None = None
) -> bool:
    """A device stands in a grid from then on. at: (lat, lon) in WGS-84. False: nothing new. Raises Conflict."""
    key = await key_of(connection, device)
    lat, lon = at or (None, None)
    return await put_interval(connection, DEVICE_SITES, key, Interval(since, None, (grid, lat, lon)))


async def retire(connection: Connection, device: str, at: datetime) -> None:
    """Takes a device out of service: no valid token, tied to nobody; its facts stay. Raises NotFound."""
    key = await key_of(connection, device)
    await connection.execute("UPDATE devices SET retired_at = %s WHERE key = %s AND retired_at IS NULL", [at, key])
    await connection.execute(
        "UPDATE credentials SET revoked_at = now() WHERE device = %s AND revoked_at IS NULL", [key]
    )
    await end_interval(connection, HANDSET_WORKERS, key, at)
    await end_interval(connection, DEVICE_SITES, key, at)


async def list_devices(
    connection: Connection,
    kind: DeviceKind | None = None,
    scope: str = "",
    *,
    retired: bool = False,
    after: str = "",
    limit: int = 1_000_000,
) -> list[Listed]:
    """Devices in order of id, with whom they belong to now; `after` is the last id of the page before."""
    parameters = {"kind": kind, "scope": scope, "retired": retired, "after": after, "limit": limit}
    return [Listed(*row) for row in await (await connection.execute(LIST.encode(), parameters)).fetchall()]
