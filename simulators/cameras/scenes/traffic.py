"""Who moves through a street and who is parked there: positions as pure functions of time, periodic with the loop.

Every lane flows at the speed with which it comes round exactly once a loop: a vehicle that leaves at one end enters
again at the other, so that the last frame of a loop is followed by the first without a jump.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from simulators.cameras.scenes.camera import camera_of
from simulators.cameras.scenes.world import Colour, Street, stream

LOOP_S = 20.0
"""Seconds after which everything is as it was."""
Kind = Literal["car", "suv", "van", "lorry", "bus", "two_wheeler", "person"]
SIZES: dict[Kind, tuple[float, float, float]] = {
    "car": (4.5, 1.8, 1.46),
    "suv": (4.7, 1.88, 1.70),
    "van": (5.2, 1.95, 2.15),
    "lorry": (7.6, 2.4, 3.3),
    "bus": (10.8, 2.5, 3.1),
    "two_wheeler": (1.8, 0.66, 1.68),
    "person": (0.45, 0.5, 1.72),
}
"""Length, width, height, metres."""
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
_CLOTHES: tuple[Colour, ...] = (
    (0.13, 0.14, 0.2),
    (0.5, 0.14, 0.13),
    (0.75, 0.74, 0.72),
    (0.2, 0.32, 0.48),
    (0.3, 0.3, 0.3),
    (0.62, 0.5, 0.2),
)
_FLOW = {"empty": 0.0, "sparse": 0.25, "normal": 0.6, "dense": 1.0}


@dataclass(frozen=True, slots=True)
class Mover:
    """One vehicle or person. path: corner points (n, 2) in metres; a lane's path is a straight line of which the mover
    runs the whole length once a loop. start: share of the loop that it is ahead of the path's first point at time 0.
    wobble_m: how far it falls back and catches up. look: own random number. parked: stands at the first point."""

    kind: Kind
    path: tuple[tuple[float, float], ...]
    start: float
    paint: Colour
    second: Colour
    look: int
    wobble_m: float = 0.0
    parked: bool = False


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a mover is. heading: radians clockwise from +y. walked: metres along its path (people's steps). speed: m/s.
    fade: 0 (not there) to 1; movers fade where they enter and leave."""

    mover: Mover
    x: float
    y: float
    heading: float
    walked: float
    speed: float
    fade: float


def pose(mover: Mover, t_s: float) -> Pose:
    """Where a mover is at a time in seconds of the loop; pure."""
    path = mover.path
    if mover.parked:
        heading = math.atan2(path[1][0] - path[0][0], path[1][1] - path[0][1])
        return Pose(mover, *path[0], heading, 0.0, 0.0, 1.0)
    legs = [math.dist(a, b) for a, b in pairwise(path)]
    total = sum(legs)
    sway = mover.wobble_m * math.sin(2 * math.pi * (t_s / LOOP_S + mover.start * 7))
    along = min(max((t_s / LOOP_S + mover.start) % 1.0 * total + sway, 0.0), total - 1e-6)
    leg, rest = 0, along
    while leg < len(legs) - 1 and rest > legs[leg]:
        rest -= legs[leg]
        leg += 1
    (x0, y0), (x1, y1) = path[leg], path[leg + 1]
    share = rest / legs[leg]
    edge = 0.8 if mover.kind == "person" else 12.0
    fade = min(along, total - along, edge) / edge
    heading = math.atan2(x1 - x0, y1 - y0)
    return Pose(mover, x0 + (x1 - x0) * share, y0 + (y1 - y0) * share, heading, along, total / LOOP_S, fade)


def traffic(street: Street) -> tuple[Mover, ...]:
    """Everything of a street that is not a house: moving vehicles, parked ones, people; by the street's seed."""
    rng = stream(street.seed, "flow-night" if street.night else "flow-day")
    weights = [0.25, 0.4, 0.3, 0.05] if street.night else [0.0, 0.25, 0.45, 0.3]
    density = str(rng.choice(list(_FLOW), p=weights))
    if street.near_miss == "empty":
        density = "empty"
    movers = [*_vehicles(street, _FLOW[density]), *_parked(street), *_people(street, _FLOW[density])]
    if street.near_miss == "lorry":
        movers.append(_lorry_in_the_way(street))
    return tuple(movers)


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
    return Mover(
        "lorry", ((x, y), (x, y + math.copysign(1, x))), 0.0, (0.82, 0.82, 0.80), (0.2, 0.2, 0.2), 1, parked=True
    )


def _vehicles(street: Street, flow: float) -> list[Mover]:
    found: list[Mover] = []
    for lane, x in enumerate(street.lanes):
        rng = stream(street.seed, f"lane{lane}{street.night}")
        length = float(rng.uniform(170, 235))
        y = float(rng.uniform(0, 12))
        while flow > 0 and y < length - 8:
            kind: Kind = ("car", "suv", "van", "lorry", "bus")[int(rng.choice(5, p=[0.5, 0.24, 0.12, 0.08, 0.06]))]
            paint = _paint(kind, rng)
            ends = ((x, -32.0), (x, length - 32.0))
            path = ends if x > 0 else ends[::-1]
            side = float(rng.normal(0, 0.15))
            shifted = tuple((px + side, py) for px, py in path)
            wobble = float(rng.uniform(0, 1.2))
            found.append(
                Mover(
                    kind, shifted, y / length, paint, _PAINTS[int(rng.integers(2))], int(rng.integers(1 << 30)), wobble
                )
            )
            y += SIZES[kind][0] + 8 + float(rng.exponential(18 / flow))
    for side in (-1, 1) if flow > 0 else ():
        rng = stream(street.seed, f"bikes{side}{street.night}")
        x = side * (street.half_road - 0.8)
        for _ in range(int(rng.poisson((3.0 if street.bike_lane else 0.8) * flow))):
            ends = ((x, -14.0), (x, float(rng.uniform(80, 100)) - 14))
            shifted = tuple((px + float(rng.normal(0, 0.05)), py) for px, py in (ends if x > 0 else ends[::-1]))
            paint = _CLOTHES[int(rng.integers(len(_CLOTHES)))]
            found.append(
                Mover("two_wheeler", shifted, float(rng.random()), paint, (0.2, 0.2, 0.22), int(rng.integers(1 << 30)))
            )
    return found


def _paint(kind: Kind, rng: np.random.Generator) -> Colour:
    if kind in ("lorry", "van") and rng.random() < 0.6:
        return (0.86, 0.86, 0.85)
    if kind == "bus":
        return ((0.16, 0.42, 0.60), (0.70, 0.20, 0.16), (0.20, 0.48, 0.26))[int(rng.integers(3))]
    return _PAINTS[int(rng.integers(len(_PAINTS)))]


def _parked(street: Street) -> list[Mover]:
    """Vehicles at the kerb; their places are kept free of the zebra crossing."""
    found: list[Mover] = []
    for side in (-1, 1):
        rng = stream(street.seed, f"parked{side}")
        share = float(rng.choice([0.0, 0.0, 0.25, 0.6]))
        on_pavement = street.pavement > 4.2 and not street.bike_lane
        x = side * (street.half_road + 2.4 if on_pavement else street.half_road - 1.0)
        if not (on_pavement or street.bike_lane):
            share = 0.0
        y = float(rng.uniform(-8, 4))
        while y < 90:
            kind: Kind = ("car", "suv", "van")[int(rng.choice(3, p=[0.6, 0.3, 0.1]))]
            step = SIZES[kind][0] + float(rng.uniform(0.8, 1.6))
            clear = street.zebra_y is None or abs(y + step / 2 - street.zebra_y) > 6
            if rng.random() < share and clear:
                middle = y + step / 2
                path = ((x, middle), (x, middle + side))
                found.append(
                    Mover(kind, path, 0.0, _paint(kind, rng), (0.2, 0.2, 0.2), int(rng.integers(1 << 30)), parked=True)
                )
            y += step
    return found


def _people(street: Street, flow: float) -> list[Mover]:
    """Walkers from door to door (a walk that ends where it does not begin must be out of sight at its ends), some over
    the zebra crossing, some who stand and wait."""
    found: list[Mover] = []
    for side in (-1, 1) if flow > 0 else ():
        rng = stream(street.seed, f"people{side}{street.night}")
        wall, kerb = street.half_road + street.pavement, street.half_road + 0.9
        for _ in range(int(rng.poisson((2.0 if street.night else 6.0) * flow))):
            y = float(rng.uniform(6, 60))
            length, lane = float(rng.uniform(17, 27)), float(rng.uniform(kerb + 0.8, max(wall - 0.6, kerb + 1.0)))
            door = wall + 0.3
            walk = [
                (side * door, y),
                (side * lane, y + 1.0),
                (side * lane, y + length),
                (side * door, y + length + 1.0),
            ]
            if street.zebra_y is not None and rng.random() < 0.35:
                across = street.zebra_y + float(rng.uniform(-1.3, 1.3))
                walk = [(side * door, across), (-side * door, across)]
            if rng.random() < 0.5:
                walk.reverse()
            if rng.random() < 0.2:
                walk = [(side * lane, y), (side * lane, y + 0.01)]
            shirt, legs = (_CLOTHES[int(i)] for i in rng.integers(len(_CLOTHES), size=2))
            dark = (legs[0] * 0.5, legs[1] * 0.5, legs[2] * 0.5)
            standing = len(walk) == 2 and abs(walk[0][1] - walk[1][1]) == 0.01
            found.append(
                Mover(
                    "person", tuple(walk), float(rng.random()), shirt, dark, int(rng.integers(1 << 30)), parked=standing
                )
            )
    return found
