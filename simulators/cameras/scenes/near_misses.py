"""Sound pictures that look faulty at first sight: what a diagnosis must not report.

headlights: a car turns and its lights sweep over the lens. lorry: one stops before the camera and hides a part of the
picture (at most 35 %). dusk: the light goes and comes back within the loop. rain: light rain. empty: nobody about.
Lorry and emptiness are matters of the traffic (`traffic.traffic`); the others are laid over the frame here.
"""

from functools import lru_cache

import cv2
import numpy as np

from simulators.cameras.scenes.camera import Picture
from simulators.cameras.scenes.canvas import add_glow
from simulators.cameras.scenes.movers import LOOP_S

_SWEEP_S = 5.0
_DARKEST = {False: 0.5, True: 0.75}
"""Share of the light that is left in the middle of the loop, by day and by night."""


def gain(near_miss: str | None, night: bool, t_s: float) -> float:
    """Exposure at a time of the loop: falls and rises again at dusk, else 1."""
    if near_miss != "dusk":
        return 1.0
    darkest = _DARKEST[night]
    return (1 + darkest) / 2 + (1 - darkest) / 2 * float(np.cos(2 * np.pi * t_s / LOOP_S))


def overlay(picture: Picture, near_miss: str | None, seed: int, t_s: float) -> None:
    """Lay rain or the sweep of head lights over a picture, in place."""
    if near_miss == "rain":
        _rain(picture, t_s)
    elif near_miss == "headlights":
        _sweep(picture, seed, t_s)


def _sweep(picture: Picture, seed: int, t_s: float) -> None:
    """Two lights that cross the picture within 5 s, with the veil that they throw over the lens."""
    height, width = picture.shape[:2]
    share = (t_s + seed % 7) % LOOP_S / _SWEEP_S
    if share >= 1:
        return
    direction = 1 if seed % 2 else -1
    x = width * (0.5 + direction * (share - 0.5) * 1.3)
    y = height * (0.34 + 0.10 * share)
    power = float(np.sin(np.pi * share))
    # A warm white, in BGR.
    for offset in (-0.022, 0.022):
        centre = np.array([x + offset * width, y])
        add_glow(picture, centre, 0.45 * width * power, (110 * power, 120 * power, 125 * power))
        add_glow(picture, centre, 0.05 * width * power + 3, (245.0, 252.0, 255.0))
    veil = 14 * power
    cv2.convertScaleAbs(picture, dst=picture, alpha=1.0, beta=veil)


def _rain(picture: Picture, t_s: float) -> None:
    """Streaks that fall one picture height in a quarter of a second, and greyer air."""
    height, width = picture.shape[:2]
    streaks = _streaks(height, width)
    fall = int((t_s * 4 % 1.0) * height)
    across = int(t_s * 37 % 20 / 20 * width)
    cv2.addWeighted(picture, 0.93, np.full_like(picture, 118), 0.05, 0, dst=picture)
    shifted = np.roll(streaks, (fall, across), (0, 1))
    cv2.add(picture, cv2.merge([shifted, shifted, shifted]), dst=picture)


@lru_cache(maxsize=4)
def _streaks(height: int, width: int) -> Picture:
    rng = np.random.default_rng(5)
    field = np.zeros((height, width), np.uint8)
    for _ in range(260):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        length = int(height * float(rng.uniform(0.02, 0.06)))
        brightness = int(rng.integers(14, 46))
        cv2.line(field, (x, y), (x - length // 8, y + length), (brightness,), 1, cv2.LINE_AA)
    result: Picture = cv2.GaussianBlur(field, (3, 3), 0.6)
    return result
