"""Whatever moves or is parked in a street: its place as a pure function of time, periodic with the loop.

Every lane flows at the speed with which it comes round exactly once a loop: a vehicle that leaves at one end enters
again at the other, so that the last frame of a loop is followed by the first without a jump.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from simulators.cameras.scenes.world import Colour

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
