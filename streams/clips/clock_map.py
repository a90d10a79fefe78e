"""Media time ↔ UTC of a run by its stored clock map: straight between the points, at the last slope after the last.

Before the first point, and where there is only one, the camera's clock is taken to run true.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.mp4.varints import Ints

US_PER_TICK = 100 / 9


@dataclass(frozen=True, slots=True)
class ClockMap:
    """ticks, us: the points, rising; relative to the first, so that floats are exact to a fraction of a microsecond."""

    first_pts: int
    first_us: int
    ticks: NDArray[np.float64]
    us: NDArray[np.float64]
    last_slope: float
    """Microseconds a tick."""

    @classmethod
    def of(cls, points: Sequence[tuple[int, int]]) -> "ClockMap":
        """points: (pts_90k, utc_us), at least one, by rising pts; points that do not rise in both are left out."""
        kept = [points[0]]
        for point in points[1:]:
            if point[0] > kept[-1][0] and point[1] > kept[-1][1]:
                kept.append(point)
        first_pts, first_us = kept[0]
        ticks = np.array([pts - first_pts for pts, _ in kept], np.float64)
        us = np.array([at - first_us for _, at in kept], np.float64)
        slope = US_PER_TICK if len(kept) == 1 else float((us[-1] - us[-2]) / (ticks[-1] - ticks[-2]))
        return cls(first_pts, first_us, ticks, us, slope)

    def utc_us(self, pts_90k: Ints) -> Ints:
        """UTC of media times, epoch microseconds."""
        at = (pts_90k - self.first_pts).astype(np.float64)
        out = np.interp(at, self.ticks, self.us)
        out = np.where(at < 0, at * US_PER_TICK, out)
        out = np.where(at > self.ticks[-1], self.us[-1] + (at - self.ticks[-1]) * self.last_slope, out)
        found: Ints = np.rint(out).astype(np.int64) + self.first_us
        return found

    def utc(self, pts_90k: int) -> int:
        """UTC of one media time."""
        return int(self.utc_us(np.array([pts_90k]))[0])

    def pts(self, utc_us: int) -> int:
        """Media time of an instant: the first tick that is not before it."""
        at = float(utc_us - self.first_us)
        if at < 0:
            ticks = at / US_PER_TICK
        elif at > self.us[-1]:
            ticks = float(self.ticks[-1]) + (at - float(self.us[-1])) / self.last_slope
        else:
            ticks = float(np.interp(at, self.us, self.ticks))
        # A microsecond is less than a tick: what rounds to the same instant counts as not before it.
        return self.first_pts + int(np.ceil(ticks - 0.5 / US_PER_TICK))
