"""A plain moving picture for when nothing better is there: a road with boxes on it and grain, different by seed."""

import cv2
import numpy as np
from numpy.typing import NDArray


class Pattern:
    """Pictures of a loop; the last one leads to the first. Deterministic by seed and time."""

    engine = "drawn"
    loop_s = 10.0

    def __init__(self, seed: int, light: str = "day", size: tuple[int, int] = (1280, 720)) -> None:
        """size: width, height."""
        self._width, self._height = size
        rng = np.random.default_rng([seed, 77])
        tone = 0.22 if light == "night" else 1.0
        small = rng.integers(60, 190, (9, 16, 3)).astype(np.uint8)
        ground = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
        ground[self._height // 2 :] = ground[self._height // 2 :] * 0.25 + 80
        lines = rng.integers(0, min(size), (40, 4))
        for x, y, wide, tall in lines.tolist():
            corner = (x * 2 % self._width, y)
            far = (corner[0] + wide // 4 + 8, y + tall // 6 + 6)
            cv2.rectangle(ground, corner, far, rng.integers(30, 220, 3).tolist(), 2)
        self._ground = (ground * tone).clip(0, 255).astype(np.uint8)
        self._grain = rng.normal(0, 5, (4, self._height, self._width, 1)).astype(np.int16)
        self._boxes = [
            (
                rng.uniform(0, 1),
                int(rng.choice([-2, -1, 1, 2])),
                rng.uniform(0.55, 0.9),
                rng.integers(40, 230, 3) * tone,
            )
            for _ in range(6)
        ]

    def frame(self, t_s: float) -> NDArray[np.uint8]:
        """The picture t_s seconds after the loop's beginning, BGR."""
        picture = self._ground.copy()
        for begin, turns, lane, colour in self._boxes:
            x = int((begin + turns * t_s / self.loop_s) % 1.0 * (self._width + 200)) - 200
            y = int(lane * self._height)
            cv2.rectangle(picture, (x, y), (x + self._width // 8, y + self._height // 10), colour.tolist(), -1)
        grain = self._grain[round(t_s * 1000) % len(self._grain)]
        shown: NDArray[np.uint8] = (picture + grain).clip(0, 255).astype(np.uint8)
        return shown
