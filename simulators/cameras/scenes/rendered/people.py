"""What people look like: bodies of ellipsoids and limbs in the phases of a step, and the rider of a two-wheeler.

Clothes take the mover's two colours, so that one set of meshes serves everybody.
"""

from functools import lru_cache

import numpy as np

from simulators.cameras.scenes.rendered.mesh import MATTE, OWN, PAINT, SECOND, WHITE, Builder, Mesh
from simulators.cameras.scenes.world import Colour

PHASES = 12
"""Meshes of one double step."""
STEP_M = 1.45
"""Metres of a double step."""
_SKIN: Colour = (0.60, 0.43, 0.34)
_HAIR: Colour = (0.045, 0.04, 0.035)
_SHOE: Colour = (0.06, 0.055, 0.05)
Place = tuple[float, float, float]


@lru_cache(maxsize=PHASES * 2)
def walker(phase: int, standing: bool = False) -> dict[str, Mesh]:
    """A person of 1.72 m in the given phase of a step; facing +y."""
    builder = Builder()
    turn = 2 * np.pi * phase / PHASES
    hip, shoulder = 0.90, 1.42
    bob = 0.0 if standing else 0.02 * float(np.cos(2 * turn))
    for side in (-1.0, 1.0):
        swing = 0.0 if standing else 0.46 * float(np.sin(turn + (0 if side > 0 else np.pi)))
        bend = 0.06 if standing else 0.12 + 0.75 * max(0.0, float(np.sin(turn + (0 if side > 0 else np.pi) + 1.9)))
        knee = (side * 0.09, 0.43 * np.sin(swing), hip + bob - 0.43 * np.cos(swing))
        lower = swing - bend
        ankle = (side * 0.09, knee[1] + 0.42 * np.sin(lower), knee[2] - 0.42 * np.cos(lower))
        builder.limb((side * 0.085, 0, hip + bob), knee, 0.088, 0.062, WHITE, SECOND)
        builder.limb(knee, ankle, 0.060, 0.043, WHITE, SECOND)
        builder.ball((ankle[0], ankle[1] + 0.06, max(ankle[2] - 0.03, 0.04)), (0.045, 0.13, 0.045), _SHOE, sides=5)
        arm = -swing * 0.85
        elbow = (side * 0.245, 0.27 * np.sin(arm), shoulder + bob - 0.04 - 0.27 * np.cos(arm))
        hand = (side * 0.25, elbow[1] + 0.25 * np.sin(arm + 0.4), elbow[2] - 0.25 * np.cos(arm + 0.4))
        builder.limb((side * 0.19, 0, shoulder + bob - 0.03), elbow, 0.058, 0.046, WHITE, PAINT)
        builder.limb(elbow, hand, 0.044, 0.034, WHITE, PAINT)
        builder.ball(hand, 0.042, _SKIN, sides=4)
    builder.ball((0, 0, hip + 0.05 + bob), (0.165, 0.115, 0.14), WHITE, MATTE, SECOND)
    builder.ball((0, 0.0, 1.14 + bob), (0.165, 0.115, 0.24), WHITE, MATTE, PAINT)
    builder.ball((0, 0.0, 1.32 + bob), (0.205, 0.125, 0.16), WHITE, MATTE, PAINT)
    _head(builder, (0, 0.02, 1.60 + bob), helmet=None)
    return builder.meshes()


def _head(builder: Builder, at: Place, helmet: Colour | None) -> None:
    x, y, z = at
    builder.tube(np.array([x, y - 0.02, z - 0.2]), np.array([x, y, z - 0.06]), 0.055, 0.05, _SKIN, sides=8)
    builder.ball((x, y + 0.012, z - 0.01), (0.078, 0.092, 0.115), _SKIN, sides=7)
    if helmet is None:
        builder.ball((x, y - 0.018, z + 0.02), (0.087, 0.094, 0.105), _HAIR, sides=7)
    else:
        builder.ball((x, y - 0.01, z + 0.03), (0.115, 0.135, 0.12), helmet, "gloss", OWN, sides=7)


@lru_cache(maxsize=2)
def rider(helmet: bool) -> dict[str, Mesh]:
    """Somebody who sits on a two-wheeler, hands at the bar."""
    builder = Builder()
    builder.ball((0, -0.22, 0.88), (0.17, 0.16, 0.13), WHITE, MATTE, SECOND)
    builder.limb((0, -0.2, 0.95), (0, -0.1, 1.28), 0.15, 0.17, WHITE, PAINT)
    builder.ball((0, -0.09, 1.32), (0.21, 0.13, 0.12), WHITE, MATTE, PAINT)
    for side in (-1.0, 1.0):
        builder.limb((side * 0.1, -0.2, 0.86), (side * 0.15, 0.22, 0.74), 0.085, 0.065, WHITE, SECOND)
        builder.limb((side * 0.15, 0.22, 0.74), (side * 0.13, 0.14, 0.42), 0.06, 0.045, WHITE, SECOND)
        builder.ball((side * 0.13, 0.2, 0.40), (0.045, 0.13, 0.045), _SHOE, sides=5)
        builder.limb((side * 0.21, -0.06, 1.34), (side * 0.31, 0.12, 1.12), 0.058, 0.046, WHITE, PAINT)
        builder.limb((side * 0.31, 0.12, 1.12), (side * 0.29, 0.34, 1.07), 0.045, 0.036, WHITE, PAINT)
        builder.ball((side * 0.29, 0.35, 1.07), 0.045, _SKIN, sides=4)
    _head(builder, (0, 0.0, 1.54), (0.78, 0.78, 0.74) if helmet else None)
    return builder.meshes()
