"""Decoding times for pictures that are sent out of order of showing: RTP carries only when they show.

A stream that reorders by n pictures decodes each one when the smallest of the last n + 1 times is due; that never comes
after showing, and rises. n comes from the parameter sets, or is learned.
"""

from bisect import insort

_MOST = 16
_LEAP = 2 * 90_000


class Reorder:
    """State of one stream. Not thread-safe."""

    def __init__(self) -> None:
        self.depth = 0
        self._times: list[int] = []
        self._last = -(1 << 62)

    def expect(self, depth: int) -> None:
        """The parameter sets say that so many pictures may be shown later than they are sent."""
        if depth > self.depth:
            self.depth = min(depth, _MOST)
            self._times.clear()

    def decoding(self, pts: int) -> int:
        """Decoding time of the next picture, given when it shows; ticks."""
        times = self._times
        if len(times) < self.depth or (times and abs(pts - times[-1]) > _LEAP) or abs(pts - self._last) > _LEAP:
            times[:] = range(pts - self.depth, pts)
            self._last = pts - self.depth - 1
        insort(times, pts)
        if pts <= self._last and self.depth < _MOST:
            self.depth += 1  # more than we knew of: it comes later than its time
            return pts
        self._last = times.pop(0)
        return self._last
