"""Token buckets, kept as one number each (GCRA, ITU-T I.371 annex A): the time at which the bucket is full again. Pure.

Time comes in as monotonic seconds. Buckets of devices that were quiet long enough to be full are forgotten.
"""

from collections.abc import Hashable
from typing import Final

_MOST_BUCKETS: Final = 50_000


class Buckets:
    """One bucket a key. rate: tokens a second; burst_s: so many seconds of it may be taken at once."""

    def __init__(self, rate: float, burst_s: float) -> None:
        self._per_token_s = 1.0 / rate
        self._burst_s = burst_s
        self._full_at: dict[Hashable, float] = {}

    def take(self, key: Hashable, count: float, now: float) -> float:
        """Takes `count` tokens and returns 0, or takes none and returns the seconds after which to try again.

        More tokens than a whole bucket are given when it is full, so that no size is refused for ever.
        """
        full_at = max(self._full_at.get(key, now), now)
        after = full_at + count * self._per_token_s
        wait_s = min(after - self._burst_s, full_at) - now
        if wait_s > 0:
            return wait_s
        if len(self._full_at) >= _MOST_BUCKETS:
            self._full_at = {k: at for k, at in self._full_at.items() if at > now}
        self._full_at[key] = after
        return 0.0
