"""Vehicles of a street by its seed: the flow in the lanes, two-wheelers, parked ones; and `traffic`, which adds people.

How much is about is drawn from the seed too: an empty street by night is common, by day it is not.
"""

import math

import numpy as np

from simulators.cameras.scenes.camera import camera_of
from simulators.cameras.scenes.movers import SIZES, Kind, Mover
from simulators.cameras.scenes.walkers import CLOTHES, walkers
from simulators.cameras.scenes.world import Colour, Street, stream

_FLOW = {"empty": 0.0, "sparse": 0.25, "normal": 0.6, "dense": 1.0}
_LANE_END_M = 146.0
"""Vehicles are gone just before the houses that close the view."""
_PAINTS: tuple[Colour, ...] = (
    (0.88, 0.88, 0.87),
    (0.93, 0.93, 0.92),
    (0.62, 0.64, 0.66),
    (0.14, 0.14, 0.15),
    (0.22, 0.23, 0.25),
    (0.50, 0.09, 0.09),
    (0.12, 0.20, 0.38),
    (0.36, 0.33, 0.28),
    (0.10, 0.45, 0.42),
    (0.75, 0.55, 0.20),
)
_GREY: Colour = (0.2, 0.2, 0.2)


def traffic(street: Street) -> tuple[Mover, ...]:
    """Everything of a street that is not built: moving and parked vehicles, people."""
    rng = stream(street.seed, "flow-night" if street.night else "flow-day")
    weights = [0.25, 0.4, 0.3, 0.05] if street.night else [0.0, 0.25, 0.45, 0.3]
    flow = _FLOW[str(rng.choice(list(_FLOW), p=weights))]
    if street.near_miss == "empty":
        flow = 0.0
    parked = _parked(street)
    if street.near_miss == "lorry":
        parked.append(_lorry_in_the_way(street))
    moving = [*_vehicles(street, flow, parked), *_riders(street, flow, parked)]
    return (*moving, *parked, *walkers(street, flow, moving))


def _vehicles(street: Street, flow: float, parked: list[Mover]) -> list[Mover]:
    """The flow of each lane; a lane in which something stands is closed."""
    found: list[Mover] = []
    for lane, x in enumerate(street.lanes):
        rng = stream(street.seed, f"lane{lane}{street.night}")
        length = float(rng.uniform(165, 225))
        y = float(rng.uniform(0, 12))
        closed = any(abs(p.path[0][0] - x) < 2.1 for p in parked)
        while flow > 0 and not closed and y < length - 10:
            kind: Kind = ("car", "suv", "van", "lorry", "bus")[int(rng.choice(5, p=[0.5, 0.24, 0.12, 0.08, 0.06]))]
            side = x + float(rng.normal(0, 0.12))
            paint, second = _paint(kind, rng), _PAINTS[int(rng.integers(2))]
            look, wobble = int(rng.integers(1 << 30)), float(rng.uniform(0, 1.2))
            found.append(Mover(kind, _lane(side, length), y / length, paint, second, look, wobble))
            y += SIZES[kind][0] + 8 + float(rng.exponential(18 / flow))
    return found


def _lane(x: float, length: float) -> tuple[tuple[float, float], ...]:
    """The path of a lane in driving direction; its near end lies behind the camera."""
    near, far = (x, _LANE_END_M - length), (x, _LANE_END_M)
    return (near, far) if x > 0 else (far, near)


def _riders(street: Street, flow: float, parked: list[Mover]) -> list[Mover]:
    """Two-wheelers at the kerb, or beside what is parked there."""
    found: list[Mover] = []
    for side in (-1, 1) if flow > 0 else ():
        rng = stream(street.seed, f"bikes{side}{street.night}")
        blocked = any(side * p.path[0][0] > 0 and abs(p.path[0][0]) < street.half_road for p in parked)
        x = side * (street.half_road - (2.35 if blocked else 0.8))
        count = int(rng.poisson((3.0 if street.bike_lane else 0.8) * flow))
        length = float(rng.uniform(85, 110))
        first = float(rng.random())
        for i in range(count):
            near, far = (x, -14.0), (x, length - 14.0)
            path = (near, far) if x > 0 else (far, near)
            start = first + (i + float(rng.uniform(-0.3, 0.3))) / max(count, 1)
            paint = CLOTHES[int(rng.integers(len(CLOTHES)))]
            found.append(Mover("two_wheeler", path, start % 1.0, paint, _GREY, int(rng.integers(1 << 30))))
    return found


def _paint(kind: Kind, rng: np.random.Generator) -> Colour:
    if kind in ("lorry", "van") and rng.random() < 0.6:
        return (0.86, 0.86, 0.85)
    if kind == "bus":
        return ((0.16, 0.42, 0.60), (0.70, 0.20, 0.16), (0.20, 0.48, 0.26))[int(rng.integers(3))]
    return _PAINTS[int(rng.integers(len(_PAINTS)))]


def _parked(street: Street) -> list[Mover]:
    """Vehicles at the kerb or on a wide pavement; never on the zebra crossing."""
    found: list[Mover] = []
    for side in (-1, 1):
        rng = stream(street.seed, f"parked{side}")
        share = float(rng.choice([0.0, 0.0, 0.25, 0.6]))
        x = side * (street.half_road + 2.4 if street.parks_on_pavement else street.half_road - 1.0)
        if not (street.parks_on_pavement or street.bike_lane):
            share = 0.0
        y = float(rng.uniform(-8, 4))
        while y < 90:
            kind: Kind = ("car", "suv", "van")[int(rng.choice(3, p=[0.6, 0.3, 0.1]))]
            step = SIZES[kind][0] + float(rng.uniform(0.8, 1.6))
            middle = y + step / 2
            clear = street.zebra_y is None or abs(middle - street.zebra_y) > 6
            if rng.random() < share and clear:
                path = ((x, middle), (x, middle + side))
                found.append(Mover(kind, path, 0.0, _paint(kind, rng), _GREY, int(rng.integers(1 << 30)), parked=True))
            y += step
    return found


def _lorry_in_the_way(street: Street) -> Mover:
    """A lorry that stands so near that it hides as much of the picture as it may: a third of it at most."""
    camera = camera_of(street.view, (1280, 720))
    best: tuple[float, tuple[float, float]] = (-1.0, (street.lanes[-1], 40.0))
    for side in (-1, 1):
        for y in np.arange(6.0, 40.0, 0.5):
            x = side * (street.half_road - 1.4)
            corners = [[x + a, y + b, z] for a in (-1.2, 1.2) for b in (-3.8, 3.8) for z in (0, 3.3)]
            pixels, depth = camera.project(np.array(corners))
            if float(depth.min()) < 1.5:
                continue
            low, high = np.clip(pixels.min(axis=0), 0, (1280, 720)), np.clip(pixels.max(axis=0), 0, (1280, 720))
            share = float(np.prod(high - low)) / (1280 * 720)
            if best[0] < share <= 1 / 3:
                best = (share, (x, float(y)))
    x, y = best[1]
    return Mover("lorry", ((x, y), (x, y + math.copysign(1, x))), 0.0, (0.82, 0.82, 0.80), _GREY, 1, parked=True)
