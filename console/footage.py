"""Cameras in a caller's scope, and the audit row of a look at what they saw."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from console.context import Console
from console.rights import Operator
from core.errors import NotFound
from devices.records import DeviceRecord
from devices.registry import Registry
from store.audit import Entry, record


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera with the place where it stands now (None: nowhere)."""

    key: int
    id: str
    name: str | None
    grid: str | None
    lat: float | None
    lon: float | None
    has_sub: bool


def camera_in_scope(registry: Registry, caller: Operator, camera_id: str) -> Camera:
    """The camera. Raises NotFound: unknown, no camera, or outside the caller's division."""
    record = registry.device(camera_id)
    if record is not None and record.kind == "camera":
        camera = _placed(registry, record)
        if caller.sees(camera.grid) and caller.role != "worker":
            return camera
    raise NotFound(f"There is no camera {camera_id} in your scope.")


def same_scope_cameras(registry: Registry, caller: Operator) -> list[Camera]:
    """All cameras in service that the caller may know of, by id."""
    found = (_placed(registry, record) for record in registry.devices("camera"))
    return sorted((camera for camera in found if caller.sees(camera.grid)), key=lambda camera: camera.id)


def _placed(registry: Registry, record: DeviceRecord) -> Camera:
    site = registry.site_of(record.key, round(time.time() * 1000))
    grid, lat, lon = (None, None, None) if site is None else (site.grid, site.lat, site.lon)
    return Camera(record.key, record.id, record.name, grid, lat, lon, bool((record.settings or {}).get("sub_url")))


_BY_SPAN = frozenset({"footage.clip", "footage.play"})


async def look(
    console: Console, caller: Operator, camera: Camera, action: str, purpose: str | None, details: Mapping[str, str]
) -> None:
    """Writes the audit row of this look, unless it belongs to a viewing session that has one.

    The span of a clip or playlist counts, so that each time that was looked at is in the log; their ranges, segments,
    previews and live pictures of a camera are one session.
    """
    entry = Entry(caller.who, action, caller.role, camera.id, camera.grid, purpose, caller.peer, dict(details))
    span = tuple(details.items()) if action in _BY_SPAN else ()
    if console.viewings.is_going_on(entry, span):
        return
    async with console.store.transaction() as connection:
        await record(connection, entry)
    console.viewings.began(entry, span)
