"""Pictures and packets for the tests of quality: a street-like picture by seed, coded by x264."""

import random
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.quality_runs import FPS, packets_of
from core.media import Packet
from streams.quality.measures import Measured, Planes, measure

Picture = NDArray[np.uint8]
WIDTH, HEIGHT = 640, 360
NOON_US, MIDNIGHT_US = 1_748_750_400_000_000, 1_748_793_600_000_000
"""2025-06-01 in Yongzhou."""


def street(seed: int = 1, level: float = 1.0) -> Picture:
    """Luma of a still scene: rectangles of many sizes over a gradient, with fine texture. level: light, 1 by day."""
    rng = np.random.default_rng(seed)
    picture = np.tile(np.linspace(150, 70, HEIGHT, dtype=np.float32)[:, None], (1, WIDTH))
    for _ in range(70):
        x, y = int(rng.integers(-20, WIDTH)), int(rng.integers(-20, HEIGHT))
        w, h = int(rng.integers(10, 140)), int(rng.integers(8, 90))
        picture[max(0, y) : max(0, y + h), max(0, x) : max(0, x + w)] = rng.uniform(30, 210)
    texture = rng.normal(0, 5, picture.shape).astype(np.float32)
    return np.clip(cv2.GaussianBlur(picture + texture, (0, 0), 0.7) * level, 16, 235).astype(np.uint8)


def noisy(picture: Picture, sigma: float, seed: int) -> Picture:
    """The picture with a sensor's noise."""
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def measured(luma: Picture, blue: int = 128, red: int = 128) -> Measured:
    """Measured with chroma of one value."""
    half = (luma.shape[0] // 2, luma.shape[1] // 2)
    return measure(Planes(luma, np.full(half, blue, np.uint8), np.full(half, red, np.uint8)))


def coded(
    pictures: Iterable[Picture], *, after: int = 2, every_s: float = 10.0, start_us: int = NOON_US, first_s: float = 0.0
) -> list[Packet]:
    """Packets of a camera: each picture as a key frame, then `after` more of it, every_s seconds apart from first_s
    on."""

    def steps() -> Iterator[tuple[float, bool, Picture]]:
        for number, picture in enumerate(pictures):
            for step in range(after + 1):
                yield first_s + number * every_s + step / FPS, step == 0, np.asarray(cv2.merge([picture] * 3), np.uint8)

    return [packet for _, packet in packets_of(steps(), start_us, random.Random(3))]
