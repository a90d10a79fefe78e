"""A small city for rule tests, as a registry in memory: square grids in a row, a handset and a terminal in each.

Workers are on planned duty all day unless said otherwise. The city stands at 26.42 N, 111.61 E; grid i is 500 m wide.
"""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import msgspec

from devices.geometry import Grid, metres_per_degree
from devices.records import FOREVER, NEVER, Assignment, DeviceRecord, Division, Place, Site, Worker
from devices.registry import Registry, Tables
from devices.shifts import PlanRow, WorkerShifts

ZONE = ZoneInfo("Asia/Shanghai")
LAT, LON = 26.42, 111.61
SIDE_M = 500.0
NORTH_M, EAST_M = metres_per_degree(LAT)
TERMINALS_FROM = 100_000
CAMERAS_FROM = 200_000


@dataclass(frozen=True, slots=True)
class City:
    """handset i has key i + 1 and id h<i>, terminal i key TERMINALS_FROM + i + 1 and id t<i>, camera i key
    CAMERAS_FROM + i + 1 and id c<i>; all in grid i."""

    registry: Registry
    count: int

    def handset(self, i: int) -> int:
        return i + 1

    def terminal(self, i: int) -> int:
        return TERMINALS_FROM + i + 1

    def camera(self, i: int) -> int:
        return CAMERAS_FROM + i + 1

    def middle(self, i: int) -> tuple[float, float]:
        """The middle of grid i."""
        return at_metres(i * SIDE_M + SIDE_M / 2, SIDE_M / 2)


def at_metres(east_m: float, north_m: float) -> tuple[float, float]:
    """(lat, lon) of metres from the city's corner."""
    return LAT + north_m / NORTH_M, LON + east_m / EAST_M


def make_city(
    count: int,
    *,
    planned: bool = True,
    shift: tuple[int, int] = (0, 0),
    division: str = "431102",
    since_ms: int = NEVER,
) -> City:
    """count grids. shift: begin and end in minutes of the day, every day; (0, 0) is all day."""
    grids, places, devices, workers = {}, {}, {}, {}
    handset_workers, worker_grids, sites, shifts = {}, {}, {}, {}
    plan = tuple(PlanRow(day, shift[0], shift[1], 1, None) for day in range(1, 8))
    shared = WorkerShifts(plan, {}, ZONE)
    for i in range(count):
        code = f"{division}001001{i:03d}" if i < 1000 else f"{division}{i // 1000 + 1:03d}001{i % 1000:03d}"
        south, west = at_metres(i * SIDE_M, 0.0)
        north, east = at_metres((i + 1) * SIDE_M, SIDE_M)
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        geojson = msgspec.json.encode({"type": "Polygon", "coordinates": [ring]}).decode()
        grids[code] = Grid(code, f"grid {i}", "urban", geojson, (west, south, east, north))
        lat, lon = at_metres(i * SIDE_M + 100, 100)
        places[code] = (Place(f"p{i}", code, "work", "station", lat, lon, 50.0, 0, None),)
        key, worker, terminal = i + 1, f"w{i}", TERMINALS_FROM + i + 1
        devices[key] = DeviceRecord(key, f"h{i}", "handset")
        devices[terminal] = DeviceRecord(terminal, f"t{i}", "terminal")
        camera = CAMERAS_FROM + i + 1
        devices[camera] = DeviceRecord(camera, f"c{i}", "camera", url=f"rtsp://10.0.0.{i % 250}/main")
        sites[camera] = (Site(since_ms, FOREVER, code, *at_metres(i * SIDE_M + 50, 50)),)
        workers[worker] = Worker(worker, worker, None, None, None)
        handset_workers[key] = (Assignment(since_ms, FOREVER, worker),)
        worker_grids[worker] = (Assignment(since_ms, FOREVER, code),)
        sites[terminal] = (Site(since_ms, FOREVER, code, *at_metres(i * SIDE_M + 250, 250)),)
        if planned:
            shifts[worker] = shared
    tables = Tables(
        devices=devices,
        handset_workers=handset_workers,
        sites=sites,
        workers=workers,
        worker_grids=worker_grids,
        shifts=shifts,
        grids=grids,
        places=places,
        divisions={division: Division(division, "district", "district")},
    )
    return City(Registry(tables), count)
