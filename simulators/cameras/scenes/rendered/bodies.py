"""Parts that vehicles share: bodies lofted over cross-sections, wheels, panes, lamps, and their colours."""

import numpy as np
from numpy.typing import NDArray

from simulators.cameras.scenes.camera import Points
from simulators.cameras.scenes.rendered.mesh import GLASS, GLOSS, OWN, PAINT, SHINE, WHITE, Builder
from simulators.cameras.scenes.world import Colour

RUBBER: Colour = (0.035, 0.035, 0.035)
TRIM: Colour = (0.05, 0.05, 0.055)
RIM: Colour = (0.55, 0.56, 0.58)
PANE: Colour = (0.05, 0.06, 0.065)
HEAD: Colour = (1.0, 0.97, 0.88)
REAR: Colour = (0.85, 0.04, 0.03)
Line = list[tuple[float, float]]
"""(share of length from the middle, −0.5 rear to 0.5 front; share of height)."""


def along(line: Line, y: Points) -> Points:
    """Heights of a line at shares y, corners eased."""
    values = np.interp(y, [p for p, _ in line], [v for _, v in line])
    eased: Points = np.convolve(np.pad(values, 1, mode="edge"), (0.2, 0.6, 0.2), mode="valid")
    return eased


def sides(
    builder: Builder,
    rings: Points,
    y: Points,
    colour: Colour,
    material: str,
    what: float,
    chosen: NDArray[np.bool_] | None = None,
) -> None:
    """Both halves of a loft; rings: (n, k, 2) of (half width, height), from the sill over the side to the middle."""
    for side in (-1.0, 1.0):
        grid = np.stack([rings[..., 0] * side, np.broadcast_to(y[:, None], rings.shape[:2]), rings[..., 1]], axis=-1)
        normals = np.cross(np.gradient(grid, axis=1), np.gradient(grid, axis=0)) * -side
        normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
        builder.surface(grid, colour, material, what, chosen, normals)


def cap(builder: Builder, ring: Points, y: float, forward: float) -> None:
    """Close a loft's end with a flat face."""
    outline = np.concatenate(
        [np.column_stack([ring[:, 0], ring[:, 1]]), np.column_stack([-ring[::-1, 0], ring[::-1, 1]])]
    )
    places = np.column_stack([outline[:, 0], np.full(len(outline), y), outline[:, 1]])
    middle = places.mean(axis=0)
    count = len(places)
    fan = np.array([[0, i + 1, (i + 1) % count + 1] for i in range(count)])
    normals = np.repeat(np.array([[0, forward, 0.0]]), count + 1, axis=0)
    builder.add(np.concatenate([middle[None], places]), normals, fan, WHITE, GLOSS, PAINT)


def box_loft(builder: Builder, y: Points, top: Points, low: float, half: float, length: float) -> None:
    """A tall body with rounded roof edges, closed at both ends."""
    shape = [
        (0.93, 0.0),
        (0.99, 0.05),
        (1.0, 0.3),
        (0.995, 0.6),
        (0.975, 0.85),
        (0.935, 0.96),
        (0.85, 0.993),
        (0.4, 1.0),
        (0.0, 1.0),
    ]
    pinch = 1 - 0.10 * np.clip((np.abs(2 * y) - 0.9) / 0.1, 0, 1) ** 2
    rings = np.stack([np.stack([half * w * pinch, low + (top - low) * z], axis=-1) for w, z in shape], axis=1)
    sides(builder, rings, y * length, WHITE, GLOSS, PAINT)
    cap(builder, rings[0], float(y[0]) * length, -1.0)
    cap(builder, rings[-1], float(y[-1]) * length, 1.0)


def axle(builder: Builder, y: float, width: float, radius: float, spokes: int = 5) -> None:
    """Two wheels with dark arches above them."""
    for side in (-1.0, 1.0):
        x = side * (width / 2 - 0.01)
        builder.tube(
            np.array([x + side * 0.002, y, radius]),
            np.array([x - side * 0.1, y, radius]),
            radius * 1.17,
            radius * 1.17,
            (0.012, 0.012, 0.012),
            sides=20,
        )
        builder.tube(
            np.array([x + side * 0.012, y, radius]),
            np.array([x - side * 0.2, y, radius]),
            radius,
            radius,
            RUBBER,
            sides=20,
        )
        face = x + side * 0.016
        builder.tube(
            np.array([face, y, radius]),
            np.array([face - side * 0.01, y, radius]),
            radius * 0.68,
            radius * 0.68,
            (0.09, 0.09, 0.09),
            sides=18,
        )
        for k in range(spokes):
            angle = 2 * np.pi * k / spokes + 0.3
            out, across = np.array([0, np.cos(angle), np.sin(angle)]), np.array([0, -np.sin(angle), np.cos(angle)])
            hub = np.array([face + side * 0.006, y, radius])
            builder.quad(
                np.array(
                    [
                        hub - across * 0.05,
                        hub + out * radius * 0.64 - across * 0.06,
                        hub + out * radius * 0.64 + across * 0.06,
                        hub + across * 0.05,
                    ]
                ),
                RIM,
                GLOSS,
            )


def pane(builder: Builder, corners: list[tuple[float, float, float]], shine: bool = False) -> None:
    builder.quad(
        np.array(corners), (0.9, 0.84, 0.66) if shine else PANE, GLOSS if shine else GLASS, SHINE if shine else OWN
    )


def lamps(builder: Builder, length: float, width: float, front_z: float, rear_z: float, lights_on: bool) -> None:
    shine = SHINE if lights_on else OWN
    for side in (-1, 1):
        builder.box((side * width * 0.37, length / 2 - 0.02, front_z), (width * 0.17, 0.08, 0.17), HEAD, GLOSS, shine)
        builder.box((side * width * 0.43, -length / 2 + 0.01, rear_z), (0.16, 0.06, 0.34), REAR, GLOSS, shine)
    builder.box((0, length / 2 + 0.004, front_z - 0.28), (0.44, 0.02, 0.14), (0.75, 0.58, 0.08))
    builder.box((0, -length / 2 - 0.004, rear_z - 0.1), (0.44, 0.02, 0.14), (0.75, 0.58, 0.08))
