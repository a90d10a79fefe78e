"""Timeline: puts the time stamps of one stream in order, packet by packet, without bending them.

Cameras leave time stamps out, let them jump, and send pictures out of order of showing. In: what the demuxer found.
Out: pts and dts in the camera's own ticks, dts strictly rising within a session. Pure: arrival times are arguments.

A jump is a leap of more than `jump_s` that arrival does not explain. Footage can only begin anew at a key frame, and
the pictures until then are worth keeping: they go on in the old scale, moved by the size of the leap. With the next key
frame a new session begins, in the camera's new scale.
"""

from core.media import TICKS_PER_S

_MOST_MISSING = 4
"""Packets in a row without dts that a decoder's delay explains; after that pts is taken for it."""
_USUAL_STEP = 3600
_FLOOR_RISE = 0.001
"""How fast the least latency seen may rise: more than any clock drifts."""


class Timeline:
    """State of one stream's time. Not thread-safe."""

    def __init__(self, jump_s: float) -> None:
        self._jump_ticks = round(jump_s * TICKS_PER_S)
        self._jump_s = jump_s
        self.jumps = 0
        self.latency_s = 0.0
        """How much later than the fastest packet the last one came."""
        self.restart()

    @property
    def offset(self) -> int:
        """Ticks by which the rest of a group of pictures is moved after a jump; 0 otherwise."""
        return self._offset

    def restart(self) -> None:
        """Everything before is of another clock."""
        self._last_pts: int | None = None
        self._highest = 0
        self._last_dts: int | None = None
        self._step = _USUAL_STEP
        self._missing = 0
        self._offset = 0
        self._floor_s: float | None = None
        self._floor_at_s = 0.0
        self.progressed_s = 0.0
        """Arrival of the last packet that moved time on."""

    def place(self, pts: int | None, dts: int | None, arrived_s: float, is_key: bool) -> tuple[int, int, bool]:
        """pts, dts for this packet, and whether a new session begins with it. Times in ticks of 1/90 000 s.

        pts, dts: as found, None when missing. arrived_s: monotonic seconds.
        """
        begins = False
        if pts is None:
            pts = 0 if self._last_pts is None else self._highest + self._step - self._offset
        if is_key and self._offset:
            self.restart()
            begins = True
        elif self._last_pts is not None and self._leaps(pts + self._offset, arrived_s):
            self.jumps += 1
            if is_key:
                self.restart()
                begins = True
            else:
                self._offset = self._highest + self._step - pts
                self._floor_s = None
        return *self._take(pts + self._offset, None if dts is None else dts + self._offset, arrived_s), begins

    def _leaps(self, pts: int, arrived_s: float) -> bool:
        assert self._last_pts is not None
        if pts < self._highest - self._jump_ticks:
            return True
        if pts <= self._last_pts + self._jump_ticks or self._floor_s is None:
            return False
        return arrived_s - pts / TICKS_PER_S < self._floor_s - self._jump_s  # it came before it could have been

    def _take(self, pts: int, dts: int | None, arrived_s: float) -> tuple[int, int]:
        first = self._last_pts is None
        if first or pts > self._highest:
            if not first:
                self._step = min(pts - self._highest, TICKS_PER_S)
            self._highest, self.progressed_s = pts, arrived_s
        self._last_pts = pts
        latency = arrived_s - pts / TICKS_PER_S
        if self._floor_s is None:
            self._floor_s = latency
        else:
            self._floor_s = min(latency, self._floor_s + _FLOOR_RISE * (arrived_s - self._floor_at_s))
        self._floor_at_s = arrived_s
        self.latency_s = latency - self._floor_s
        self._last_dts = self._decoding(pts, dts)
        return pts, self._last_dts

    def _decoding(self, pts: int, dts: int | None) -> int:
        """dts strictly above the last one. A missing one follows it closely (the demuxer waits for reordered
        pictures), unless it is missing for good."""
        last = self._last_dts
        if dts is None:
            self._missing += 1
            if last is None or self._missing > _MOST_MISSING:
                return pts if last is None else max(pts, last + 1)
            return last + 1
        self._missing = 0
        dts = min(dts, pts)
        return dts if last is None else max(dts, last + 1)
