"""What vehicles look like: one set of meshes a kind, cached; cars are here, larger and smaller ones in `heavy`.

Every vehicle fills the bounding box of `movers.SIZES`, so that truth boxes fit both engines.
"""

from functools import lru_cache

import numpy as np

from simulators.cameras.scenes.movers import SIZES, Kind
from simulators.cameras.scenes.rendered.bodies import (
    HEAD,
    PANE,
    REAR,
    TRIM,
    Line,
    along,
    axle,
    cap,
    sides,
)
from simulators.cameras.scenes.rendered.heavy import bus, lorry, scooter, van
from simulators.cameras.scenes.rendered.mesh import GLASS, GLOSS, OWN, PAINT, SHINE, WHITE, Builder, Mesh

_HOOD: dict[str, Line] = {
    "car": [
        (-0.5, 0.42),
        (-0.49, 0.57),
        (-0.46, 0.645),
        (-0.36, 0.665),
        (0.2, 0.655),
        (0.30, 0.63),
        (0.43, 0.555),
        (0.48, 0.49),
        (0.5, 0.40),
    ],
    "suv": [
        (-0.5, 0.44),
        (-0.49, 0.58),
        (-0.46, 0.63),
        (0.2, 0.635),
        (0.28, 0.625),
        (0.44, 0.57),
        (0.485, 0.50),
        (0.5, 0.42),
    ],
}
_ROOF: dict[str, Line] = {
    "car": [
        (-0.42, 0.65),
        (-0.38, 0.74),
        (-0.27, 0.94),
        (-0.2, 0.985),
        (-0.1, 1.0),
        (0.0, 0.995),
        (0.06, 0.96),
        (0.15, 0.83),
        (0.265, 0.64),
    ],
    "suv": [
        (-0.485, 0.62),
        (-0.47, 0.74),
        (-0.43, 0.93),
        (-0.38, 0.985),
        (-0.2, 1.0),
        (0.0, 0.995),
        (0.07, 0.96),
        (0.15, 0.82),
        (0.25, 0.63),
    ],
}


@lru_cache(maxsize=16)
def vehicle(kind: Kind, lights_on: bool) -> dict[str, Mesh]:
    """Meshes of a vehicle kind in its own axes (x right, y forward, z up, footprint's middle at the origin)."""
    builder = Builder()
    {"car": _car, "suv": _car, "van": van, "bus": bus, "lorry": lorry, "two_wheeler": scooter}[kind](
        builder, kind, lights_on
    )
    return builder.meshes()


def _car(builder: Builder, kind: Kind, lights_on: bool) -> None:
    length, width, height = SIZES[kind]
    half, sill = width / 2, 0.15 * height
    y = np.sort(np.concatenate([np.linspace(-0.5, 0.5, 30), [-0.495, -0.48, 0.48, 0.495]]))
    top = along(_HOOD[kind], y) * height
    wide = half * (1 - 0.16 * np.abs(2 * y) ** 8 - 0.05 * np.abs(2 * y) ** 3)
    low = sill + 0.10 * height * np.abs(2 * y) ** 10
    tall = top - low
    shape = [
        (0.86, 0.0),
        (0.965, 0.10),
        (0.995, 0.35),
        (1.0, 0.55),
        (0.975, 0.80),
        (0.94, 0.96),
        (0.85, 1.0),
        (0.45, 1.035),
        (0.0, 1.045),
    ]
    rings = np.stack([np.stack([wide * w, low + tall * z], axis=-1) for w, z in shape], axis=1)
    sides(builder, rings, y * length, WHITE, GLOSS, PAINT)
    cap(builder, rings[0], -0.5 * length, -1.0)
    cap(builder, rings[-1], 0.5 * length, 1.0)
    _greenhouse(builder, kind, half)
    _skirts(builder, length, width, sill, height)
    _car_ends(builder, length, width, height, lights_on)
    for side in (-1, 1):
        builder.box((side * (half - 0.02), 0.17 * length, 0.68 * height), (0.2, 0.1, 0.13), WHITE, GLOSS, PAINT)
    for at in (-0.3, 0.315):
        axle(builder, at * length, width, 0.32 if kind == "car" else 0.36)


def _greenhouse(builder: Builder, kind: Kind, half: float) -> None:
    """Windows and roof: sides are panes between pillars, steep parts of the top are windscreens."""
    length, _, height = SIZES[kind]
    line = _ROOF[kind]
    pillars = [-0.31, -0.085, 0.02] if kind == "car" else [-0.36, -0.17, 0.02]
    edges = [p + d for p in pillars for d in (-0.008, 0.008)]
    y = np.sort(np.concatenate([np.linspace(line[0][0], line[-1][0], 26), edges]))
    roof = np.interp(y, [p for p, _ in line], [v for _, v in line]) * height
    belt = 0.62 * height
    rise = np.maximum(roof - belt, 0.0)
    lean = rise / (height - belt)
    edge = half * (0.94 - 0.17 * lean)
    # Two points on the side pane, then over the edge of the roof to its middle (shares of the edge's half width).
    side = [(half * 0.945 + 0 * lean, -0.02), (half * (0.94 - 0.02 * lean), 0.05), (edge + 0.03 * half * lean, 0.86)]
    shape = [*side, *((edge * w, z) for w, z in ((1.0, 0.93), (0.91, 0.975), (0.47, 1.0), (0.0, 1.008)))]
    rings = np.stack([np.stack([w, belt + rise * z], axis=-1) for w, z in shape], axis=1)
    middle = (y[1:] + y[:-1]) / 2
    pillar = np.any(np.abs(middle[:, None] - np.array(pillars)) < 0.0085, axis=1)
    steep = np.abs(np.diff(roof)) > 0.28 * np.diff(y) * length
    glass = np.zeros((len(y) - 1, len(shape) - 1), dtype=bool)
    glass[:, 1] = ~pillar
    glass[steep, 4:] = True
    glass[steep & (np.abs(middle - line[0][0]) < 0.02), :] = False
    sides(builder, rings, y * length, PANE, GLASS, OWN, glass)
    sides(builder, rings, y * length, WHITE, GLOSS, PAINT, ~glass)


def _skirts(builder: Builder, length: float, width: float, sill: float, height: float) -> None:
    """The dark underside and sills."""
    builder.box((0, 0, sill + 0.02), (width * 0.86, length * 0.9, 0.14), TRIM)
    for side in (-1, 1):
        builder.box((side * width * 0.462, 0, sill + 0.05), (0.08, length * 0.44, 0.1), TRIM)
        for y in (-0.085, 0.02, 0.18):
            builder.box(
                (side * (width / 2 - 0.004), y * length, 0.42 * height),
                (0.012, 0.012, 0.42 * height),
                (0.02, 0.02, 0.02),
            )
        for y in (-0.13, -0.03):
            builder.box(
                (side * (width / 2 - 0.008), y * length - 0.15, 0.575 * height),
                (0.03, 0.17, 0.03),
                (0.25, 0.25, 0.26),
                GLOSS,
            )


def _car_ends(builder: Builder, length: float, width: float, height: float, lights_on: bool) -> None:
    """Lamps, grille, bumper inserts, plates."""
    front, rear = length / 2, -length / 2
    shine = SHINE if lights_on else OWN
    for side in (-1, 1):
        builder.box((side * width * 0.33, front - 0.055, 0.46 * height), (width * 0.19, 0.12, 0.12), HEAD, GLOSS, shine)
        builder.box((side * width * 0.41, front - 0.19, 0.47 * height), (width * 0.06, 0.16, 0.09), HEAD, GLOSS, shine)
        builder.box((side * width * 0.33, rear + 0.05, 0.55 * height), (width * 0.17, 0.11, 0.13), REAR, GLOSS, shine)
        builder.box((side * width * 0.415, rear + 0.17, 0.56 * height), (width * 0.05, 0.14, 0.11), REAR, GLOSS, shine)
    builder.box((0, front - 0.015, 0.43 * height), (width * 0.42, 0.05, 0.13), TRIM)
    builder.box((0, front - 0.02, 0.22 * height), (width * 0.74, 0.06, 0.12), TRIM)
    builder.box((0, rear + 0.02, 0.23 * height), (width * 0.78, 0.06, 0.16), TRIM)
    builder.box((0, front + 0.005, 0.32 * height), (0.44, 0.02, 0.14), (0.10, 0.22, 0.60))
    builder.box((0, rear - 0.005, 0.46 * height), (0.44, 0.02, 0.14), (0.10, 0.22, 0.60))
