"""Gathers packets of one run into fragments: durations from the next packet's time, cut at every key frame. Pure.

A fragment begins at each key frame and holds at most `fragment_s` of footage as it came. The last picture waits for its
successor, which tells its duration; when that is late, the usual duration is written.
"""

from collections.abc import Sequence

from core.media import VIDEO, Packet
from streams.mp4 import Fragment, fragment

_USUAL = 6000
_LONGEST = 0x7FFFFFFF


class Gatherer:
    """Packets of one run that are not in a fragment yet. sequence numbers start anew with every file."""

    def __init__(self, first: Packet, hole_ticks: int) -> None:
        """first: the run's first packet, a key frame. hole_ticks: a picture is never written as longer than this."""
        self.first_dts = first.dts_90k
        self.pending: list[Packet] = []
        self.sequence = 0
        self.opened: Packet | None = None
        """The picture with which the newest fragment that begins a file begins."""
        self._usual = first.duration_90k or _USUAL
        self._hole = hole_ticks
        self.end_pts = first.pts_90k
        """End of the last picture that was cut into a fragment."""

    def new_file(self) -> None:
        """The next fragment is the first of a file."""
        self.sequence = 0

    def add(self, packet: Packet) -> None:
        """The next packet, in the order of the hub. Sound from before the run's first picture is left out."""
        if packet.track == VIDEO or packet.dts_90k >= self.first_dts:
            self.pending.append(packet)

    def oldest_s(self) -> float | None:
        """Monotonic arrival of the oldest packet that is not written."""
        return self.pending[0].arrived_s if self.pending else None

    def cut(self, following: Packet | None, *, hold_last: bool = False) -> Fragment | None:
        """Everything pending as a fragment; None when there is nothing.

        following: the next picture, when it is there: it tells how long the last one lasts. hold_last: leave the last
        picture pending, since its successor is not there yet (a lone one is left, too).
        """
        packets = self.pending
        kept: list[Packet] = []
        if hold_last and following is None:
            last = next((at for at in range(len(packets) - 1, -1, -1) if packets[at].track == VIDEO), None)
            if last is not None:
                following = packets[last]
                packets, kept = packets[:last], packets[last:]
        if not packets:
            return None
        self.pending = kept
        durations = self._durations(packets, following)
        video_dts = next((p.dts_90k for p in packets if p.track == VIDEO), self.first_dts) - self.first_dts
        audio_dts = next((p.dts_90k for p in packets if p.track != VIDEO), self.first_dts) - self.first_dts
        shown = [p.pts_90k + length for p, length in zip(packets, durations, strict=True) if p.track == VIDEO]
        self.end_pts = max(self.end_pts, *shown) if shown else self.end_pts
        if self.sequence == 0:
            self.opened = packets[0]
        self.sequence += 1
        return fragment(self.sequence, video_dts, audio_dts, packets, durations)

    def _durations(self, packets: Sequence[Packet], following: Packet | None) -> list[int]:
        durations = [0] * len(packets)
        next_dts: dict[int, int] = {} if following is None else {following.track: following.dts_90k}
        for at in range(len(packets) - 1, -1, -1):
            packet = packets[at]
            later = next_dts.get(packet.track)
            if later is None:
                durations[at] = packet.duration_90k or self._usual
            else:
                durations[at] = min(max(later - packet.dts_90k, 0), _LONGEST)
                if packet.track == VIDEO and 0 < durations[at] <= self._hole:
                    self._usual = durations[at]
            next_dts[packet.track] = packet.dts_90k
        last = next((at for at in range(len(packets) - 1, -1, -1) if packets[at].track == VIDEO), None)
        if last is not None and durations[last] > self._hole:
            durations[last] = self._usual  # a hole: the picture does not stand for it
        return durations
