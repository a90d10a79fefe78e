"""Clock map of a run: which UTC belongs to which media time. Pure: arrival times are arguments, nothing waits.

A camera's frames come late, never early, and a camera that was just connected to sends old ones in a burst; so the
start of the map is the least of (arrival − media time) in the first 30 s. Later the least lateness of each window of
30 s should stay 0; where it does not, the map bends, by 500 ppm at most, and never by a leap. What cannot be followed
that way ends the run: an error over 1 s, a drift that 500 ppm do not catch, a step of our own clock.

Instants: UTC in epoch microseconds. Media times: ticks of 1/90 000 s. Design §4.
"""

from typing import Literal

Ending = Literal["drift", "clock_step"]

SETTLE_S = 30.0
WINDOW_S = 30.0
MOST_RATE = 500e-6
MOST_ERROR_US = 1_000_000
LEAST_ERROR_US = 10_000
"""Below this the map is left alone: arrival is not more certain."""
STEP_US = 500_000
"""Our clock against the monotonic one: more than this within a run is a step."""
ANCHOR_S = 300.0
"""A bend never reaches further back than the window, however old the last point is."""
SUSTAINED = 10
"""So many windows in a row that wanted more than 500 ppm, and did not get better, are a drift."""
_US_PER_TICK = 100 / 9


class RunClock:
    """The map of one run. `changed` collects points that are new or moved; whoever stores them empties it."""

    def __init__(self, pts: int, arrived_us: int, arrived_s: float) -> None:
        self._points = [(pts, arrived_us)]
        self.changed: dict[int, int] = {pts: arrived_us}
        """pts → UTC of points to be stored."""
        self._wall_us = arrived_us - round(arrived_s * 1e6)
        self._began_s = arrived_s
        self._least: int | None = None
        self._window_s = arrived_s + SETTLE_S
        self._window_pts: int | None = None
        self._beyond: list[int] = []

    @property
    def is_settled(self) -> bool:
        """Whether the start of the map moves no more."""
        return self._window_pts is not None

    @property
    def error_us(self) -> int:
        """Least lateness in the window so far; 0 when nothing came yet."""
        return self._least or 0

    def observe(self, pts: int, arrived_us: int, arrived_s: float) -> Ending | None:
        """A picture came. Not None: the run should end (at the next key frame), and why; the map stays usable."""
        if abs(arrived_us - round(arrived_s * 1e6) - self._wall_us) > STEP_US:
            return "clock_step"
        error = arrived_us - self.utc_us(pts)
        if arrived_s < self._began_s + SETTLE_S:
            if error < 0:
                first, utc_us = self._points[0]
                self._points[0] = (first, utc_us + error)
                self.changed[first] = utc_us + error
            return None
        if self._window_pts is None:
            self._window_pts = pts
        if self._least is None or error < self._least:
            self._least = error
        if arrived_s < self._window_s + WINDOW_S:
            return None
        ending = self._bend(pts, self._least)
        self._window_s, self._window_pts, self._least = arrived_s, pts, None
        return ending

    def utc_us(self, pts: int) -> int:
        """UTC of a media time: straight between the points, at the last slope after the last one."""
        points = self._points
        if len(points) == 1:
            return points[0][1] + round((pts - points[0][0]) * _US_PER_TICK)
        at = len(points) - 1
        while at > 0 and points[at][0] > pts:
            at -= 1
        first_pts, first_us = points[at]
        if pts <= points[0][0]:
            return first_us + round((pts - first_pts) * _US_PER_TICK)
        before, after = points[min(at, len(points) - 2)], points[min(at + 1, len(points) - 1)]
        rate = (after[1] - before[1]) / (after[0] - before[0])
        return first_us + round((pts - first_pts) * rate)

    def _bend(self, pts: int, error: int) -> Ending | None:
        """Ends a window: takes up its least lateness as far as the rate allows."""
        if abs(error) > MOST_ERROR_US:
            return "drift"
        if abs(error) <= LEAST_ERROR_US:
            self._beyond.clear()
            return None
        assert self._window_pts is not None
        wanted = self.utc_us(pts) + error
        last_pts, _ = self._points[-1]
        if (pts - last_pts) * _US_PER_TICK > ANCHOR_S * 1e6 and last_pts < self._window_pts < pts:
            self._add(self._window_pts, self.utc_us(self._window_pts))
        last_pts, last_us = self._points[-1]
        if pts <= last_pts:
            return None
        straight = (pts - last_pts) * _US_PER_TICK
        most = straight * MOST_RATE
        taken = last_us + straight + min(most, max(-most, wanted - last_us - straight))
        self._add(pts, round(taken))
        if abs(wanted - taken) < 1000:
            self._beyond.clear()
            return None
        self._beyond.append(abs(error))
        is_sustained = len(self._beyond) >= SUSTAINED and self._beyond[-1] >= self._beyond[-SUSTAINED]
        return "drift" if is_sustained else None

    def _add(self, pts: int, utc_us: int) -> None:
        self._points.append((pts, utc_us))
        self.changed[pts] = utc_us
