"""The manifest for simulated devices: who they are, with new tokens, where they walk and when they work.

Making it rotates the credentials of the devices in it: tokens are known only at that moment. So only devices whose
settings say `"simulated": true` (those of the demo city) are taken: a trial on a live service cuts no real device off.
The document is plain JSON; simulators/manifest.py reads the same shape.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from devices.credentials import issue_many
from devices.loading import EXCEPTIONS, PLANS, parse_shifts
from devices.shifts import WorkerShifts
from store.pool import Connection

BEFORE, AFTER = timedelta(days=1), timedelta(days=2)
"""Shifts from a day back to two days ahead are told."""

HANDSETS = """
SELECT d.key, d.id, w.worker, g.code, g.polygon,
       CASE WHEN p.fixed_at > %(now)s - interval '1 day' THEN jsonb_build_array(p.lon, p.lat) END FROM devices d
JOIN LATERAL (SELECT worker FROM handset_workers WHERE handset = d.key AND valid_from <= %(now)s
              AND (valid_to IS NULL OR %(now)s < valid_to) LIMIT 1) w ON true
JOIN LATERAL (SELECT grid FROM worker_grids WHERE worker = w.worker AND valid_from <= %(now)s
              AND (valid_to IS NULL OR %(now)s < valid_to) ORDER BY valid_from LIMIT 1) held ON true
JOIN grids g ON g.code = held.grid
LEFT JOIN presence p ON p.device = d.key
WHERE d.kind = 'handset' AND d.retired_at IS NULL AND d.settings @> '{"simulated": true}'
ORDER BY coalesce(p.received_at > %(now)s - interval '1 minute', false), d.id LIMIT %(count)s
"""
TERMINALS = """
SELECT d.key, d.id, s.lat, s.lon, s.grid, d.settings FROM devices d
JOIN LATERAL (SELECT grid, lat, lon FROM device_sites WHERE device = d.key AND valid_from <= %(now)s
              AND (valid_to IS NULL OR %(now)s < valid_to) LIMIT 1) s ON s.lat IS NOT NULL
LEFT JOIN presence p ON p.device = d.key
WHERE d.kind = 'terminal' AND d.retired_at IS NULL AND d.settings @> '{"simulated": true}'
ORDER BY coalesce(p.received_at > %(now)s - interval '1 minute', false), d.id LIMIT %(count)s
"""
PLACES = "SELECT grid, lat, lon, radius_m FROM places WHERE grid = ANY (%s) ORDER BY grid, kind DESC, ordinal, id"


async def manifest(
    connection: Connection, *, handsets: int | None, terminals: int | None, now: datetime, zone: ZoneInfo
) -> dict[str, object]:
    """Document of the first so many handsets and terminals (None: all, 0: none) that are in use now.

    Those that were heard of within a minute come last, so that a second run of simulators takes idle ones. A handset
    starts where it was seen last. Handsets without worker or grid, and terminals without a position, are left out.
    """
    return {
        "handsets": await _handsets(connection, handsets, now, zone),
        "terminals": await _terminals(connection, terminals, now),
    }


async def _handsets(
    connection: Connection, count: int | None, now: datetime, zone: ZoneInfo
) -> list[dict[str, object]]:
    rows = await (await connection.execute(HANDSETS, {"now": now, "count": count})).fetchall()
    tokens = await _tokens(connection, rows)
    shifts = await _shifts(connection, [row[2] for row in rows], zone)
    places: dict[str, list[dict[str, float]]] = {}
    for grid, lat, lon, radius_m in await (await connection.execute(PLACES, [[row[3] for row in rows]])).fetchall():
        places.setdefault(grid, []).append({"lat": lat, "lon": lon, "radius_m": radius_m})
    since, until = (round(at.timestamp() * 1000) for at in (now - BEFORE, now + AFTER))
    return [
        {
            "id": device_id,
            "token": tokens[device_id],
            "worker": worker,
            "grid": grid,
            "polygon": _outer_ring(polygon),
            "work_places": places.get(grid, []),
            "home": _home(places.get(grid, []), polygon),
            "start": None if seen is None or None in seen else seen,
            "shift": [
                [_instant(start), _instant(end)]
                for start, end in (shifts[worker].shifts_between(since, until) if worker in shifts else [])
            ],
        }
        for _, device_id, worker, grid, polygon, seen in rows
    ]


async def _terminals(connection: Connection, count: int | None, now: datetime) -> list[dict[str, object]]:
    rows = await (await connection.execute(TERMINALS, {"now": now, "count": count})).fetchall()
    tokens = await _tokens(connection, rows)
    return [
        {
            "id": device_id,
            "token": tokens[device_id],
            "lat": lat,
            "lon": lon,
            "grid": grid,
            "services": settings.get("services", []),
        }
        for _, device_id, lat, lon, grid, settings in rows
    ]


async def _tokens(connection: Connection, rows: list[tuple[Any, ...]]) -> dict[str, str]:
    return dict(await issue_many(connection, [(row[0], row[1]) for row in rows]))


async def _shifts(connection: Connection, workers: list[str], zone: ZoneInfo) -> dict[str, WorkerShifts]:
    plans: dict[str, str] = dict(await (await connection.execute(PLANS.encode(), {"keys": workers})).fetchall())
    others: dict[str, str] = dict(await (await connection.execute(EXCEPTIONS.encode(), {"keys": workers})).fetchall())
    parsed: dict[tuple[str, str], WorkerShifts] = {}
    result = {}
    for worker in plans.keys() | others.keys():
        texts = plans.get(worker, ""), others.get(worker, "")
        if texts not in parsed:
            parsed[texts] = parse_shifts(*texts, zone)
        result[worker] = parsed[texts]
    return result


def _outer_ring(polygon: dict[str, Any]) -> list[list[float]]:
    """The outer border of the (largest part of the) polygon, [lon, lat]."""
    parts = [polygon["coordinates"]] if polygon["type"] == "Polygon" else polygon["coordinates"]
    ring: list[list[float]] = max((part[0] for part in parts), key=len)
    return ring


def _home(places: list[dict[str, float]], polygon: dict[str, Any]) -> list[float]:
    """Where the round begins: the first work place, else a corner of the grid."""
    return [places[0]["lon"], places[0]["lat"]] if places else _outer_ring(polygon)[0]


def _instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
