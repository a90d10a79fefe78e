"""The camera's own marks on a picture: noise, exposure that drifts, a little softness. Pure by seed and time."""

import cv2
import numpy as np

from simulators.cameras.scenes.camera import Picture
from simulators.cameras.scenes.movers import LOOP_S

_BANK = 5


def exposure(picture: Picture, night: bool) -> float:
    """The gain that a camera's automatic exposure settles at for a scene of this brightness."""
    wanted, least, most = (58.0, 1.0, 2.6) if night else (112.0, 0.8, 1.35)
    return float(np.clip(wanted / max(float(picture.mean()), 1.0), least, most))


class Sensor:
    """Noise is stronger by night, when the camera turns its gain up. The same time gives the same noise."""

    def __init__(self, seed: int, night: bool, size: tuple[int, int]) -> None:
        rng = np.random.default_rng([seed & 0xFFFFFFFF, 77])
        self._phase, self._sway = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.004, 0.015))
        sigma = float(rng.uniform(2.6, 5.2) if night else rng.uniform(0.9, 1.9))
        self._soft = float(rng.uniform(0.35, 0.65)) * size[0] / 1280
        self._night = night
        width, height = size
        self._noise = [_noise(rng, height, width, sigma) for _ in range(_BANK)]

    def expose(self, picture: Picture, t_s: float, gain: float = 1.0) -> Picture:
        """The picture as the camera delivers it; gain: further exposure. Periodic with the loop."""
        sway = 1 + self._sway * np.sin(2 * np.pi * t_s / LOOP_S + self._phase)
        if self._soft > 0.3:
            picture = cv2.GaussianBlur(picture, (3, 3), self._soft)
        frame = round((t_s % LOOP_S) * 1000) % int(LOOP_S * 1000)
        bank = self._noise[frame * 7 // 40 % _BANK]
        row, column = frame * 37 % 61, frame * 53 % 67
        height, width = picture.shape[:2]
        lit = cv2.convertScaleAbs(picture, alpha=float(sway * gain))
        result: Picture = cv2.add(lit, bank[row : row + height, column : column + width], dtype=cv2.CV_8U)
        return result


def _noise(rng: np.random.Generator, height: int, width: int, sigma: float) -> Picture:
    """Noise of luma, a little of colour, correlated over neighbours as after demosaicing."""
    shape = (height + 64, width + 68)
    luma: Picture = cv2.GaussianBlur(rng.standard_normal(shape, np.float32), (3, 3), 0.5)
    colour: Picture = cv2.GaussianBlur(rng.standard_normal((*shape, 3), np.float32), (5, 5), 1.0)
    luma *= sigma / float(luma.std())
    colour *= 0.5 * sigma / float(colour.std())
    result: Picture = np.rint(luma[..., None] + colour).astype(np.int16)
    return result
