"""Light of a street: sun and sky by day, lamps, windows and the glow of the city by night.

Shared by both engines. Values are factors on painted colours (RGB), 1 being full daylight in the sun.
"""

import numpy as np
from numpy.typing import NDArray

from simulators.cameras.scenes.world import Lamp, Street

Rgb = NDArray[np.float32]
LAMP_RANGE_M = 26.0


def ambient(street: Street, up: float = 0.0) -> Rgb:
    """Light from all around on a surface whose normal has the z component up."""
    sky = street.sky
    if street.night:
        glow = 0.055 + 0.07 * sky.night_glow
        return np.array([glow * 1.05, glow, glow * 1.12], np.float32)
    share = 0.5 + 0.5 * up
    if sky.overcast:
        level = 0.72 + 0.42 * share
        return np.array([level * 0.99, level, level * 1.02], np.float32)
    level = 0.46 + 0.22 * share
    return np.array([level * 0.95, level, level * 1.10], np.float32)


def haze_colour(street: Street) -> Rgb:
    """Colour of the air at a distance."""
    glow = 1.0 if not street.night else 0.05 + 0.10 * street.sky.night_glow
    return np.array(street.sky.haze_colour, np.float32) * glow


def sunlight(street: Street) -> Rgb:
    """Light of the sun on a surface that faces it; zeros at night and under clouds."""
    if street.night or street.sky.overcast:
        return np.zeros(3, np.float32)
    warm = street.sky.warmth
    return np.array([0.98 + 0.04 * warm, 0.93, 0.83 - 0.07 * warm], np.float32)


def lamplight(street: Street, points: NDArray[np.float64], normal: tuple[float, float, float] | None = None) -> Rgb:
    """Light of the street lamps at points (n, 3): inverse square with the lamp's downward beam, (n, 3)."""
    total = np.zeros((len(points), 3), np.float32)
    if not street.night:
        return total
    colour = np.array(street.sky.lamp, np.float32)
    for lamp in street.lamps:
        if lamp.works:
            total += _one(lamp, points, normal)[:, None] * colour
    return total


def _one(lamp: Lamp, points: NDArray[np.float64], normal: tuple[float, float, float] | None) -> Rgb:
    away = np.array(lamp.light_at) - points
    distance2 = np.einsum("ij,ij->i", away, away)
    distance = np.sqrt(distance2)
    down = np.clip(away[:, 2] / np.maximum(distance, 0.1), 0, 1)
    facing = (
        np.clip((away @ np.array(normal)) / np.maximum(distance, 0.1), 0, 1) if normal is not None else 0.6 + 0.4 * down
    )
    # 1.3 just under a lamp of the usual height: a road lit as the standards for residential streets want it.
    strength = 1.3 * 60.0 / np.maximum(distance2, 4.0) * np.sqrt(down) * facing
    result: Rgb = np.where(distance < LAMP_RANGE_M, strength * (1 - (distance / LAMP_RANGE_M) ** 2), 0).astype(
        np.float32
    )
    return result
