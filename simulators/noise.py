"""GNSS error of many handsets: correlated in time, larger and slower between buildings.

A first-order Gauss–Markov process per axis (unit variance, time constant 40 s in the open, the usual model of a phone's
multipath) scaled by the standard deviation of the place: 2.5 m in the open, up to 5 times that in street canyons, cells
of 60 m drawn once. The reported accuracy follows the true deviation, as phones' does roughly.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

OPEN_SIGMA_M = 2.5
CANYON_CELL_M = 60.0
INDOOR_FACTOR = 3.0


def canyon_factor(x: Array, y: Array, salt: NDArray[np.uint64]) -> Array:
    """How many times the open-sky deviation holds at (x, y) metres: 1 on 6 of 10 cells, up to 5 in street canyons."""
    column = np.floor(x / CANYON_CELL_M).astype(np.int64).astype(np.uint64)
    row = np.floor(y / CANYON_CELL_M).astype(np.int64).astype(np.uint64)
    mixed = (column * np.uint64(0x9E3779B97F4A7C15)) ^ (row * np.uint64(0xC2B2AE3D27D4EB4F)) ^ salt
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    share = (mixed >> np.uint64(40)).astype(np.float64) / float(1 << 24)
    result: Array = 1.0 + np.maximum(share - 0.6, 0.0) * 10.0
    return result


class Noise:
    """Error state of n handsets. Not thread-safe; slices [a:b) may be advanced in any order, each with its own dt."""

    def __init__(self, n: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._error = rng.standard_normal((2, n))
        self._salt = rng.integers(0, 2**62, n, dtype=np.uint64)
        self.sigma_m = np.full(n, OPEN_SIGMA_M)
        self.indoor = np.zeros(n, dtype=bool)

    def advance(self, a: int, b: int, dt_s: float, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """Errors east and north in metres and reported accuracy in metres (68 %) of the handsets [a:b) at x, y."""
        n = b - a
        factor = canyon_factor(x, y, self._salt[a:b])
        factor = np.where(self.indoor[a:b], INDOOR_FACTOR, factor)
        sigma = self.sigma_m[a:b]
        sigma += (OPEN_SIGMA_M * factor - sigma) * (1.0 - np.exp(-dt_s / 15.0))
        keep = np.exp(-dt_s / (40.0 * np.sqrt(sigma / OPEN_SIGMA_M)))
        draws = self._rng.standard_normal((4, n))
        error = self._error[:, a:b]
        error *= keep
        error += np.sqrt(1.0 - keep * keep) * draws[:2]
        np.clip(error, -3.0, 3.0, out=error)
        east = error[0] * sigma + 0.3 * draws[2]
        north = error[1] * sigma + 0.3 * draws[3]
        return east, north, sigma * 1.5 + 0.5 * np.abs(draws[2])
