"""Rows of a made-up city: divisions with right codes, grids, people, places, devices, components. Pure.

Codes follow the national order: streets from 001, towns from 100, townships from 200; communities from 001, villages
from 200; grids of a community from 001.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import time
from itertools import groupby
from typing import NamedTuple

import numpy as np

from devices import demo_names
from devices.area import ComponentRow, GridRow, RoadRow
from devices.demo_shape import DISTRICTS, District, Plot, plan_plots
from devices.equipment import DeviceRow
from devices.people import ShiftLine
from devices.records import Division, Place

TERMINALS_PER_GRID = 1500 / 10_590
COMPONENTS_EACH = {"urban": 160, "rural": 29}
"""Together 493,000 in the whole city."""
_GRIDS_EACH = {"urban": (6, 8), "rural": (4, 14)}
"""Grids of a community or village, and communities of a street or township."""
_SERVICES = ("electricity", "water", "gas", "phone", "tv", "insurance", "pension", "cash")


def week(weekdays: range, *times: tuple[float, float]) -> frozenset[ShiftLine]:
    """The same shifts on several weekdays; times in hours, 24 is midnight."""
    return frozenset(ShiftLine(day, _time(start), _time(end)) for day in weekdays for start, end in times)


def _time(hours: float) -> time:
    return time(int(hours) % 24, round(hours % 1 * 60))


CLOCK_ROUND = week(range(1, 8), (0, 8), (8, 16), (16, 24))
"""For a demo at any hour."""
WEEKS = (
    (0.6, week(range(1, 6), (8, 17))),
    (0.2, week(range(1, 6), (8.5, 12), (14, 17.5))),
    (0.1, week(range(1, 7), (7, 15))),
    (0.1, week(range(1, 6), (14, 22))),
)


class DemoWorker(NamedTuple):
    """A worker with grid, week and handset."""

    id: str
    name: str
    phone: str
    team: str
    grid: str
    lines: frozenset[ShiftLine]
    handset: DeviceRow


CAMERA_PORT = 8554
"""Where simulated cameras listen by default."""


class DemoTerminal(NamedTuple):
    """A terminal and where it stands."""

    device: DeviceRow
    grid: str
    lat: float
    lon: float


@dataclass(slots=True)
class DemoPlan:
    """All rows of a city but its components, which are made a stretch of grids at a time."""

    divisions: list[Division] = field(default_factory=list)
    grids: list[GridRow] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    roads: list[RoadRow] = field(default_factory=list)
    workers: list[DemoWorker] = field(default_factory=list)
    terminals: list[DemoTerminal] = field(default_factory=list)
    cameras: list[DemoTerminal] = field(default_factory=list)


def plan_city(
    grids: int, seed: int, *, on_duty_now: bool, cameras: int = 0, camera_port: int = CAMERA_PORT
) -> DemoPlan:
    """Everything of a city of that many grids; the same arguments give the same rows."""
    rng = np.random.default_rng([seed, 1])
    plan = DemoPlan()
    plan.divisions.append(Division("43", "湖南省", "province"))
    plan.divisions.append(Division("4311", "永州市", "city"))
    plan.divisions += [Division(district.code, district.name, "district") for district in DISTRICTS]
    plots = plan_plots(grids, seed)
    for (district, _), some in groupby(plots, key=lambda plot: (plot.district, plot.kind)):
        _settle(plan, district, list(some), rng)
    for number, (grid, plot) in enumerate(zip(plan.grids, plan.plots, strict=True), start=1):
        _furnish(plan, grid, plot, rng)
        _employ(plan, number, grid, on_duty_now, rng)
    stations = max(min(grids, 20), round(grids * TERMINALS_PER_GRID))
    plan.terminals = list(_terminals(plan, stations, rng))
    plan.cameras = list(_cameras(plan, cameras, rng, camera_port))
    return plan


def plan_components(plan: DemoPlan, begin: int, end: int, seed: int) -> list[ComponentRow]:
    """The components of grids begin … end − 1."""
    rng = np.random.default_rng([seed, 2, begin])
    kinds, departments, portions = zip(*demo_names.COMPONENTS, strict=True)
    rows: list[ComponentRow] = []
    for grid, plot in zip(plan.grids[begin:end], plan.plots[begin:end], strict=True):
        count = COMPONENTS_EACH[plot.kind]
        chosen = rng.choice(len(kinds), count, p=np.array(portions)).tolist()
        lats = np.round(plot.centre[0] + rng.uniform(-0.3, 0.3, count) * plot.across[0], 6).tolist()
        lons = np.round(plot.centre[1] + rng.uniform(-0.3, 0.3, count) * plot.across[1], 6).tolist()
        rows += [
            ComponentRow(f"{grid.code}{n:04d}", kinds[k], None, lat, lon, grid.code, departments[k])
            for n, (k, lat, lon) in enumerate(zip(chosen, lats, lons, strict=True), start=1)
        ]
    return rows


def _settle(plan: DemoPlan, district: District, plots: list[Plot], rng: np.random.Generator) -> None:
    """Streets and communities (or townships and villages) with their grids, for the plots of one kind in a district."""
    urban = plots[0].kind == "urban"
    each, communities_each = _GRIDS_EACH[plots[0].kind]
    names = demo_names.place_names(rng)
    middle = float(np.median([plot.distance for plot in plots]))
    ordered = sorted(plots, key=lambda plot: (plot.distance > middle, plot.bearing))
    size = each * communities_each
    for street in range(math.ceil(len(ordered) / size)):
        code, name = _street(district, street, urban, next(names))
        plan.divisions.append(Division(code, name, "street" if urban else "township"))
        members = sorted(
            ordered[street * size : (street + 1) * size], key=lambda p: (round(p.centre[0] / p.across[0]), p.centre[1])
        )
        for community in range(math.ceil(len(members) / each)):
            number = community + (1 if urban else 200)
            community_name = next(names) + ("社区" if urban else "村")
            plan.divisions.append(Division(f"{code}{number:03d}", community_name, "community" if urban else "village"))
            for n, plot in enumerate(members[community * each : (community + 1) * each], start=1):
                households = int(rng.normal(300, 40) if urban else rng.normal(200, 30))
                residents = int(households * (3.3 if urban else 2.5))
                polygon: dict[str, object] = {"type": "Polygon", "coordinates": [plot.ring]}
                title = f"{community_name}第{n}网格"
                plan.grids.append(
                    GridRow(
                        f"{code}{number:03d}{n:03d}", title, plot.kind, polygon, max(0, households), max(0, residents)
                    )
                )
                plan.plots.append(plot)


def _street(district: District, number: int, urban: bool, name: str) -> tuple[str, str]:
    if urban:
        return f"{district.code}{number + 1:03d}", name + "街道"
    town = number % 3 != 2
    return f"{district.code}{(100 if town else 200) + number:03d}", name + ("镇" if town else "乡")


def _furnish(plan: DemoPlan, grid: GridRow, plot: Plot, rng: np.random.Generator) -> None:
    """One work place, two or three checkpoints, two roads."""
    work = demo_names.WORK_PLACES[int(rng.integers(len(demo_names.WORK_PLACES)))]
    lat, lon = _inside(plot, rng)
    radius = 50.0 if plot.kind == "urban" else 100.0
    plan.places.append(Place(f"{grid.code}-w1", grid.code, "work", work, lat, lon, radius, 0, None))
    chosen = rng.choice(len(demo_names.CHECKPOINTS), 2 + int(rng.integers(2)), replace=False)
    for ordinal, which in enumerate(chosen, start=1):
        lat, lon = _inside(plot, rng)
        name = demo_names.CHECKPOINTS[int(which)]
        plan.places.append(
            Place(f"{grid.code}-c{ordinal}", grid.code, "checkpoint", name, lat, lon, 50.0, 120, ordinal)
        )
    for number, (up, right) in enumerate(((0.04, 0.3), (0.3, 0.04)), start=1):
        bend = rng.uniform(-0.05, 0.05, 3).tolist()
        steps = ((-1, bend[0]), (0, bend[1]), (1, bend[2]))
        line = [
            [
                round(plot.centre[1] + (s * right + (b if right < up else 0)) * plot.across[1], 6),
                round(plot.centre[0] + (s * up + (b if up < right else 0)) * plot.across[0], 6),
            ]
            for s, b in steps
        ]
        road: dict[str, object] = {"type": "LineString", "coordinates": line}
        plan.roads.append(RoadRow(f"{grid.code}-r{number}", grid.code, None, road))


def _employ(plan: DemoPlan, number: int, grid: GridRow, on_duty_now: bool, rng: np.random.Generator) -> None:
    name, drawn = demo_names.person_name(rng), float(rng.random())
    lines, bound = WEEKS[-1][1], 0.0
    for share, candidate in WEEKS:
        bound += share
        if drawn < bound:
            lines = candidate
            break
    handset = DeviceRow(f"hs-{number:05d}", "handset", f"{name}的手持机", "GT-5", settings={"simulated": True})
    team = grid.name.partition("第")[0]
    phone = f"13900{number:06d}"
    plan.workers.append(
        DemoWorker(f"w{number:05d}", name, phone, team, grid.code, CLOCK_ROUND if on_duty_now else lines, handset)
    )


def _terminals(plan: DemoPlan, count: int, rng: np.random.Generator) -> Iterator[DemoTerminal]:
    for number, at in enumerate(np.sort(rng.choice(len(plan.grids), count, replace=count > len(plan.grids))), start=1):
        grid = plan.grids[int(at)]
        services = [_SERVICES[i] for i in sorted(rng.choice(len(_SERVICES), 2 + int(rng.integers(5)), replace=False))]
        name = f"{grid.name.partition('第')[0]}便民缴费终端"
        device = DeviceRow(
            f"pos-{number:05d}", "terminal", name, "SP-80", settings={"services": services, "simulated": True}
        )
        yield DemoTerminal(device, grid.code, *_inside(plan.plots[int(at)], rng))


def _cameras(plan: DemoPlan, count: int, rng: np.random.Generator, port: int) -> Iterator[DemoTerminal]:
    for number in range(1, count + 1):
        at = int(rng.integers(len(plan.grids)))
        url = f"rtsp://127.0.0.1:{port}/cam-{number:04d}"
        settings: dict[str, object] = {"sub_url": f"{url}/sub", "simulated": True}
        device = DeviceRow(f"cam-{number:04d}", "camera", f"路口{number}", url=url, settings=settings)
        yield DemoTerminal(device, plan.grids[at].code, *_inside(plan.plots[at], rng))


def _inside(plot: Plot, rng: np.random.Generator) -> tuple[float, float]:
    """A point well inside a plot, (lat, lon)."""
    up, right = rng.uniform(-0.28, 0.28, 2)
    return round(plot.centre[0] + float(up) * plot.across[0], 6), round(
        plot.centre[1] + float(right) * plot.across[1], 6
    )
