"""Time in which a collector was ready: our own absence is not the devices' (design §6).

Intervals of all collectors are united; the first two minutes of each united interval are grace, in which devices come
back and nobody is judged.
"""

from bisect import bisect_right
from collections.abc import Iterable

GRACE_MS = 2 * 60_000
JOIN_MS = 15_000
"""Heartbeats this close belong together: a beat comes every few seconds."""


class ReadyTime:
    """Immutable. Instants in epoch milliseconds; nothing counts behind the newest heartbeat."""

    def __init__(self, spans: Iterable[tuple[int, int]] = (), grace_ms: int = GRACE_MS) -> None:
        united: list[tuple[int, int]] = []
        for since, until in sorted(spans):
            if united and since <= united[-1][1] + JOIN_MS:
                united[-1] = (united[-1][0], max(united[-1][1], until))
            else:
                united.append((since, until))
        self.spans = tuple((since + grace_ms, until) for since, until in united if until > since + grace_ms)
        self._ends = [until for _, until in self.spans]

    def counted_ms(self, since_ms: int, until_ms: int) -> int:
        """How much of [since, until) counts."""
        total = 0
        for since, until in self.spans[bisect_right(self._ends, since_ms) :]:
            if since >= until_ms:
                break
            total += min(until, until_ms) - max(since, since_ms)
        return total
