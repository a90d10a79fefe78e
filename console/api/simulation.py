"""What simulated devices need to be: ids, fresh tokens, grids, shifts. For the simulators' command line only."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from console.caller import needs
from console.context import console_of
from console.rights import Operator
from core.errors import InvalidInput
from devices import credentials
from devices.records import DeviceRecord
from devices.registry import Registry
from store.audit import Entry, record
from store.pool import Connection

router = APIRouter(prefix="/simulation", tags=["simulation"])

SHIFT_DAYS = 2
PROFILED_TRANSACTIONS = 200
BUSY_S = 60
SERVICES = ["electricity", "water", "gas", "phone", "tv", "insurance", "pension", "cash"]


class Wanted(BaseModel):
    """How many of each kind. Their present tokens stop working: each gets a new one."""

    handsets: int = Field(0, ge=0, le=20_000)
    terminals: int = Field(0, ge=0, le=20_000)


class Manifest(BaseModel):
    """The document that `python -m simulators` reads."""

    handsets: list[dict[str, Any]]
    terminals: list[dict[str, Any]]


@router.post("/manifest", status_code=201)
async def manifest(
    request: Request, caller: Annotated[Operator, needs("simulation.manifest")], body: Wanted
) -> Manifest:
    """Picks devices in service, idle ones first, gives each a new token, and says where it belongs."""
    console = console_of(request)
    registry = console.registry()
    async with console.store.transaction() as connection:
        busy = await _heard_of(connection)
        handsets = _first(registry, "handset", body.handsets, caller, busy)
        terminals = _first(registry, "terminal", body.terminals, caller, busy)
        made = await credentials.issue_many(connection, [(one.key, one.id) for one in handsets + terminals])
        details: dict[str, object] = {"handsets": len(handsets), "terminals": len(terminals)}
        await record(
            connection, Entry(caller.who, "simulation.manifest", caller.role, peer=caller.peer, details=details)
        )
        profiled = await _profiled(connection, [one.key for one in terminals])
    tokens = {credential.device: credential.token for credential in made}
    now = datetime.now(UTC)
    return Manifest(
        handsets=[_handset(registry, one, tokens[one.id], now) for one in handsets],
        terminals=[_terminal(registry, one, tokens[one.id], now, one.key in profiled) for one in terminals],
    )


def _first(registry: Registry, kind: Any, count: int, caller: Operator, busy: set[int]) -> list[DeviceRecord]:
    now_ms = round(datetime.now(UTC).timestamp() * 1000)
    known = [one for one in registry.devices(kind) if caller.sees(registry.grid_of(one.key, now_ms))]
    if count > len(known):
        raise InvalidInput(f"{kind}s: {count} were asked for, {len(known)} are registered; make more with demo-city.")
    return sorted(known, key=lambda one: (one.key in busy, one.id))[:count]


async def _heard_of(connection: Connection) -> set[int]:
    """Devices that are at work just now, so that a second run of simulators takes others where it can."""
    cursor = await connection.execute(
        "SELECT device FROM presence WHERE online OR received_at > now() - make_interval(secs => %s)", [BUSY_S]
    )
    return {row[0] for row in await cursor.fetchall()}


async def _profiled(connection: Connection, keys: list[int]) -> set[int]:
    """Terminals with enough of a past that what is unusual for them can be known. Index: primary key of pos_hours."""
    cursor = await connection.execute(
        """SELECT device FROM transactions_per_hour WHERE device = ANY(%s)
           GROUP BY device HAVING sum(transactions) >= %s""",
        [keys, PROFILED_TRANSACTIONS],
    )
    return {row[0] for row in await cursor.fetchall()}


def _handset(registry: Registry, one: DeviceRecord, token: str, now: datetime) -> dict[str, Any]:
    now_ms = round(now.timestamp() * 1000)
    worker = registry.worker_of(one.key, now_ms)
    code = registry.grid_of(one.key, now_ms)
    grid = registry.grid(code) if code else None
    until_ms = round((now + timedelta(days=SHIFT_DAYS)).timestamp() * 1000)
    shifts = registry.shifts_of(worker, now_ms, until_ms) if worker else []
    return {
        "id": one.id,
        "token": token,
        "worker": worker,
        "grid": code or "",
        "polygon": _ring(grid.geojson) if grid else [],
        "work_places": [
            {"lat": place.lat, "lon": place.lon, "radius_m": place.radius_m}
            for place in (registry.work_places(code) if code else ())
        ],
        "shift": [[_moment(start), _moment(end)] for start, end in shifts],
    }


def _ring(geojson: dict[str, Any]) -> list[Any]:
    """The outer ring of a polygon, of the first one where there are several."""
    coordinates = geojson["coordinates"]
    ring: list[Any] = coordinates[0][0] if geojson["type"] == "MultiPolygon" else coordinates[0]
    return ring


def _terminal(registry: Registry, one: DeviceRecord, token: str, now: datetime, profiled: bool) -> dict[str, Any]:
    site = registry.site_of(one.key, round(now.timestamp() * 1000))
    return {
        "id": one.id,
        "token": token,
        "lat": site.lat if site and site.lat is not None else 26.42,
        "lon": site.lon if site and site.lon is not None else 111.61,
        "grid": site.grid if site else "",
        "services": one.settings.get("services") or SERVICES[: 3 + one.key % 5],
        "profiled": profiled,
    }


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
