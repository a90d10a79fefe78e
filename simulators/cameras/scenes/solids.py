"""Low polyhedra of the drawn engine's vehicles: faces with normals, in the vehicle's own axes, made once a kind.

A vehicle is one or two convex solids from side profiles, with flat details (panes, lights, wheels) that show when the
face below them does. Axes: x right, y forward, z up, metres, the middle of the footprint at the origin.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simulators.cameras.scenes.camera import Points
from simulators.cameras.scenes.movers import SIZES, Kind
from simulators.cameras.scenes.world import Colour

PAINT: Colour = (-1.0, 0.0, 0.0)
"""Stands for the mover's own colour."""
GLASS: Colour = (0.13, 0.15, 0.17)
DARK: Colour = (0.06, 0.06, 0.065)
_PALE: Colour = (0.93, 0.93, 0.88)
_RED: Colour = (0.62, 0.06, 0.05)
Corner = tuple[float, float, float]
Profile = list[tuple[float, float]]

# Side profiles as (share of length from the rear, share of height), from the rear's foot over the roof to the front's.
_BODY: dict[Kind, Profile] = {
    "car": [(0, 0.17), (0, 0.56), (0.03, 0.64), (0.16, 0.67), (0.72, 0.64), (0.97, 0.54), (1, 0.44), (1, 0.17)],
    "suv": [(0, 0.2), (0, 0.58), (0.02, 0.62), (0.74, 0.62), (0.97, 0.56), (1, 0.47), (1, 0.2)],
    "van": [
        (0, 0.14),
        (0, 0.96),
        (0.03, 1.0),
        (0.72, 1.0),
        (0.78, 0.96),
        (0.89, 0.58),
        (0.98, 0.50),
        (1, 0.42),
        (1, 0.14),
    ],
    "lorry": [(0, 0.27), (0, 1.0), (0.73, 1.0), (0.73, 0.27)],
    "bus": [(0, 0.1), (0, 0.98), (0.02, 1.0), (0.97, 1.0), (0.99, 0.93), (1, 0.38), (1, 0.1)],
}
_CABIN: dict[Kind, Profile] = {
    "car": [(0.07, 0.66), (0.21, 0.96), (0.28, 1.0), (0.52, 1.0), (0.57, 0.97), (0.75, 0.64)],
    "suv": [(0.015, 0.61), (0.06, 0.95), (0.12, 1.0), (0.52, 1.0), (0.58, 0.96), (0.74, 0.61)],
    "lorry": [(0.755, 0.16), (0.755, 0.84), (0.79, 0.88), (0.94, 0.86), (0.98, 0.52), (1, 0.44), (1, 0.16)],
}
_PANES = {
    "van": [(0.64, 0.79, 0.58, 0.9)],
    "bus": [(0.03 + i * 0.157, 0.175 + i * 0.157, 0.44, 0.88) for i in range(6)],
}
_WHEELS: dict[Kind, tuple[float, tuple[float, ...]]] = {
    "car": (0.32, (-0.31, 0.32)),
    "suv": (0.36, (-0.30, 0.31)),
    "van": (0.35, (-0.31, 0.32)),
    "lorry": (0.47, (-0.36, -0.2, 0.36)),
    "bus": (0.48, (-0.24, 0.3)),
}


@dataclass(frozen=True, slots=True)
class Solid:
    """points: (n, 3). faces: slices of points. normals, centres: (f, 3). colours: (f, 3), PAINT marked by r < 0.
    own_light: (f,) light that a lamp or pane gives by night. detail: (f,) left out when small."""

    points: Points
    faces: tuple[slice, ...]
    normals: Points
    centres: Points
    colours: Points
    own_light: Points
    detail: NDArray[np.bool_]


class _Builder:
    def __init__(self) -> None:
        self._faces: list[tuple[Points, Points, Colour, float, bool]] = []

    def face(
        self, corners: list[Corner], away_from: Points, colour: Colour, own: float = 0.0, detail: bool = False
    ) -> None:
        """A plane face that looks away from a point inside."""
        points = np.array(corners, dtype=np.float64)
        normal = np.cross(points[1] - points[0], points[2] - points[0])
        normal /= max(float(np.linalg.norm(normal)), 1e-9)
        if float(normal @ (points.mean(axis=0) - away_from)) < 0:
            normal = -normal
        self._faces.append((points, normal, colour, own, detail))

    def on(
        self,
        quad: list[Corner],
        away_from: Points,
        area: tuple[float, float, float, float],
        colour: Colour,
        own: float = 0.0,
    ) -> None:
        """A detail on a quad (lower left, lower right, upper right, upper left); area: left, right, low, high share."""
        q = np.array(quad)
        left, right, low, high = area

        def at(u: float, v: float) -> Corner:
            x, y, z = (q[0] * (1 - u) + q[1] * u) * (1 - v) + (q[3] * (1 - u) + q[2] * u) * v
            return (float(x), float(y), float(z))

        self.face([at(left, low), at(right, low), at(right, high), at(left, high)], away_from, colour, own, detail=True)

    def solid(self) -> Solid:
        """All faces, in the order in which they were made."""
        ends = np.cumsum([len(f[0]) for f in self._faces])
        starts = ends - [len(f[0]) for f in self._faces]
        return Solid(
            np.concatenate([f[0] for f in self._faces]),
            tuple(slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True)),
            np.array([f[1] for f in self._faces]),
            np.array([f[0].mean(axis=0) for f in self._faces]),
            np.array([f[2] for f in self._faces]),
            np.array([f[3] for f in self._faces]),
            np.array([f[4] for f in self._faces]),
        )


@lru_cache(maxsize=32)
def parts(kind: Kind, lights_on: bool) -> tuple[Solid, ...]:
    """The convex parts of a vehicle kind, rear or lower part first."""
    if kind in ("car", "suv"):
        return (
            _extruded(kind, _BODY[kind], 0.03, lights_on, True),
            _extruded(kind, _CABIN[kind], 0.24, lights_on, False, glazed=True),
        )
    if kind == "lorry":
        return (
            _extruded(kind, _BODY[kind], 0.0, lights_on, False, ends=(True, False), wheels=(0, 1)),
            _extruded(kind, _CABIN[kind], 0.06, lights_on, False, ends=(False, True), wheels=(2,), cab=True),
        )
    return (_extruded(kind, _BODY[kind], 0.08, lights_on, True),)


def _extruded(
    kind: Kind, profile: Profile, lean: float, lights_on: bool, whole: bool, *, glazed: bool = False,
    ends: tuple[bool, bool] | None = None, wheels: tuple[int, ...] | None = None, cab: bool = False,
) -> Solid:  # fmt: skip
    """A profile drawn out to the vehicle's width; its upper edge leans in by lean metres."""
    length, width, height = SIZES[kind]
    low = min(z for _, z in profile)
    builder = _Builder()
    middle = np.array(
        [0.0, (np.mean([y for y, _ in profile]) - 0.5) * length, np.mean([z for _, z in profile]) * height]
    )

    def corner(side: float, at: tuple[float, float]) -> Corner:
        half = width / 2 - lean * max(0.0, at[1] - low) / max(1 - low, 0.1)
        return (side * half, (at[0] - 0.5) * length, at[1] * height)

    for a, b in pairwise(profile):
        steep = abs(b[1] - a[1]) * height > 0.3 * abs(b[0] - a[0]) * length
        lower, upper = (a, b) if a[1] <= b[1] else (b, a)
        quad = [corner(-1, lower), corner(1, lower), corner(1, upper), corner(-1, upper)]
        pane = glazed and steep and abs(b[1] - a[1]) > 0.2
        builder.face(quad, middle, GLASS if pane else PAINT)
        is_rear, is_front = a[0] == b[0] == 0, a[0] == b[0] == 1
        shows = ends or (whole, whole)
        if kind in ("van", "lorry", "bus") and not is_rear and lower[0] > 0.78 and abs(b[1] - a[1]) > 0.25:
            builder.on(quad, middle, (0.06, 0.94, 0.12 if kind != "bus" else 0.25, 0.92), GLASS)
        if (is_rear and shows[0]) or (is_front and shows[1]):
            _end(builder, kind, quad, middle, is_front, lights_on)
        elif kind == "bus" and is_front:
            _end(builder, kind, quad, middle, True, lights_on)
    for side in (-1.0, 1.0):
        builder.face([corner(side, p) for p in profile], middle, PAINT)
        _flank(builder, kind, profile, side, corner, middle, glazed or cab, lights_on)
        radius, places = _WHEELS[kind]
        chosen = wheels if wheels is not None else (() if glazed else tuple(range(len(places))))
        for i in chosen:
            _wheel(builder, side * (width / 2 + 0.005), places[i] * length, radius, middle)
    return builder.solid()


def _end(builder: _Builder, kind: Kind, quad: list[Corner], middle: Points, is_front: bool, lights_on: bool) -> None:
    """Bumper, lights, plate, rear pane of a vehicle's end."""
    big = kind in ("van", "lorry", "bus")
    if not is_front and kind in ("van", "bus"):
        builder.on(quad, middle, (0.1, 0.9, 0.55, 0.93), GLASS)
    if not is_front and kind == "lorry":
        builder.on(quad, middle, (0.49, 0.51, 0.03, 0.98), (0.4, 0.4, 0.4))
    builder.on(quad, middle, (0.0, 1.0, 0.0, 0.07 if big else 0.24), DARK)
    low, high = (0.60, 0.95) if not big else ((0.10, 0.26) if not is_front or kind == "bus" else (0.12, 0.45))
    for left, right in ((0.03, 0.25), (0.75, 0.97)):
        builder.on(quad, middle, (left, right, low, high), _PALE if is_front else _RED, 1.4 if lights_on else 0.0)
    if is_front and kind != "bus":
        builder.on(quad, middle, (0.28, 0.72, 0.55, 0.9) if not big else (0.2, 0.8, 0.5, 0.85), DARK)
    plate = (0.14, 0.27, 0.62) if not big else (0.78, 0.62, 0.10)
    builder.on(quad, middle, (0.38, 0.62, 0.28, 0.48) if not big else (0.4, 0.6, 0.08, 0.16), plate)


def _flank(
    builder: _Builder,
    kind: Kind,
    profile: Profile,
    side: float,
    corner: Callable[[float, tuple[float, float]], Corner],
    middle: Points,
    glazed: bool,
    lights_on: bool,
) -> None:
    """Side windows and the sill."""
    out = side * 1.002
    if glazed and kind != "lorry":
        centre = np.mean(profile, axis=0)
        inner = [
            (float(centre[0] + (y - centre[0]) * 0.9), float(centre[1] + (z - centre[1]) * 0.78 + 0.01))
            for y, z in profile
        ]
        builder.face([corner(out, p) for p in inner], middle, GLASS, detail=True)
        post = [(0.41, 0.66), (0.435, 0.66), (0.435, 0.965), (0.41, 0.965)]
        builder.face([corner(out * 1.002, p) for p in post], middle, PAINT, detail=True)
    elif glazed:
        builder.face(
            [corner(out, p) for p in ((0.83, 0.5), (0.965, 0.5), (0.94, 0.82), (0.83, 0.82))],
            middle,
            GLASS,
            detail=True,
        )
    for rear, front, low, high in _PANES.get(kind, []):
        inside = lights_on and kind == "bus"
        pane = ((rear, low), (front, low), (front, high), (rear, high))
        builder.face(
            [corner(out, p) for p in pane],
            middle,
            (0.8, 0.76, 0.62) if inside else GLASS,
            0.5 if inside else 0.0,
            detail=True,
        )
    if not glazed:
        low = min(z for _, z in profile)
        first, last = profile[0][0] + 0.02, profile[-1][0] - 0.02
        sill = [(first, low), (last, low), (last, low + 0.07), (first, low + 0.07)]
        builder.face([corner(out, p) for p in sill], middle, DARK, detail=True)


def _wheel(builder: _Builder, x: float, y: float, radius: float, middle: Points) -> None:
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    for share, tone in ((1.14, 0.03), (0.96, 0.07), (0.58, 0.46)):
        ring: list[Corner] = [
            (x, float(y + np.cos(a) * radius * share), float(radius + np.sin(a) * radius * share)) for a in turn
        ]
        builder.face(ring, middle, (tone, tone, tone), detail=share < 1)
