"""People of a street by its seed: along the pavement from door to door, over the crossing in a gap of the traffic, or
standing about. A walk begins and ends inside a house, so that nobody appears out of the air when the loop begins anew.
"""

import numpy as np

from simulators.cameras.scenes.movers import LOOP_S, SIZES, Mover, pose
from simulators.cameras.scenes.world import Colour, Street, stream

CLOTHES: tuple[Colour, ...] = (
    (0.13, 0.14, 0.2),
    (0.5, 0.14, 0.13),
    (0.75, 0.74, 0.72),
    (0.2, 0.32, 0.48),
    (0.3, 0.3, 0.3),
    (0.62, 0.5, 0.2),
)
_FARTHEST_M = 34.0
"""Longest walk of a loop: 1.7 m/s."""
Path = list[tuple[float, float]]


def walkers(street: Street, flow: float, moving: list[Mover]) -> list[Mover]:
    """People for a street with this flow (0–1) and these vehicles."""
    found: list[Mover] = []
    for side in (-1, 1) if flow > 0 else ():
        rng = stream(street.seed, f"people{side}{street.night}")
        for _ in range(int(rng.poisson((2.0 if street.night else 6.0) * flow))):
            walker = _one(street, side, rng, moving)
            if walker is not None:
                found.append(walker)
    return found


def _one(street: Street, side: int, rng: np.random.Generator, moving: list[Mover]) -> Mover | None:
    y = float(rng.uniform(6, 60))
    nearest = street.half_road + (3.7 if street.parks_on_pavement else 1.7)
    lane = float(rng.uniform(nearest, max(street.half_road + street.pavement - 0.5, nearest + 0.1)))
    what = str(rng.choice(["along", "over", "stand"], p=[0.5, 0.3, 0.2]))
    shirt, legs = (CLOTHES[int(i)] for i in rng.integers(len(CLOTHES), size=2))
    dark = (legs[0] * 0.5, legs[1] * 0.5, legs[2] * 0.5)
    look, start = int(rng.integers(1 << 30)), float(rng.random())
    if what == "stand":
        turn = float(rng.uniform(-1, 1))
        here = ((side * lane, y), (side * lane + turn, y + 0.5))
        return Mover("person", here, 0.0, shirt, dark, look, parked=True)
    path = _over(street, side, rng) if what == "over" else _along(street, side, y, lane, float(rng.uniform(14, 26)))
    if path is None:
        return None
    if rng.random() < 0.5:
        path.reverse()
    for attempt in range(24 if what == "over" else 1):
        walker = Mover("person", tuple(path), (start + attempt / 24) % 1.0, shirt, dark, look)
        if what != "over" or not _run_over(walker, moving):
            return walker
    return None


def _along(street: Street, side: int, y: float, lane: float, length: float) -> Path | None:
    """Out of a door, along the pavement, into another."""
    out, back = _door(street, side, y), _door(street, side, y + length)
    if out is None or back is None:
        return None
    sideways = abs(out - lane) + abs(back - lane)
    if sideways + length > _FARTHEST_M:
        return None
    return [(side * out, y), (side * lane, y + 1.0), (side * lane, y + length - 1.0), (side * back, y + length)]


def _over(street: Street, side: int, rng: np.random.Generator) -> Path | None:
    """From a house over the zebra crossing to the one opposite."""
    if street.zebra_y is None:
        return None
    y = street.zebra_y + float(rng.uniform(-1.3, 1.3))
    out, back = _door(street, side, y), _door(street, -side, y)
    if out is None or back is None or out + back > _FARTHEST_M + 4:
        return None
    return [(side * out, y), (-side * back, y)]


def _door(street: Street, side: int, y: float) -> float | None:
    """Distance from the road's middle to just inside the front at y; None in a gap between houses."""
    for building in street.buildings:
        if building.side == side and building.y0 + 0.6 < y < building.y1 - 0.6:
            return abs(building.face_x) + 0.5
    return None


def _run_over(walker: Mover, moving: list[Mover]) -> bool:
    """Whether anybody drives nearer than 1 m to the sides or 3 m to the front of the walker on the way."""
    for t_s in np.arange(0, LOOP_S, 0.2):
        here = pose(walker, float(t_s))
        for mover in moving:
            length, width, _ = SIZES[mover.kind]
            if abs(mover.path[0][0] - here.x) < width / 2 + 1.0:
                there = pose(mover, float(t_s))
                if abs(there.y - here.y) < length / 2 + 3.0:
                    return True
    return False
