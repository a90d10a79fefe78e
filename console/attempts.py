"""Refused sign-ins, counted by name and by address, so that guessing must wait. In memory, bounded."""

from collections import OrderedDict, deque

MOST_KEYS = 10_000


class Attempts:
    """Refusals of the last `window_s` seconds; a key with `most` of them must wait. Times: monotonic seconds."""

    def __init__(self, most: int, window_s: float) -> None:
        self._most = most
        self._window_s = window_s
        self._refused: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, now: float, *keys: str) -> float:
        """Seconds until the next try is allowed; 0: at once."""
        return max((self._wait_of(key, now) for key in keys), default=0.0)

    def refused(self, now: float, *keys: str) -> None:
        """Counts one refusal under each key; the least recently refused key is forgotten beyond MOST_KEYS."""
        for key in keys:
            times = self._refused.setdefault(key, deque(maxlen=self._most))
            times.append(now)
            self._refused.move_to_end(key)
        while len(self._refused) > MOST_KEYS:
            self._refused.popitem(last=False)

    def succeeded(self, name: str, *others: str) -> None:
        """Forgets the refusals of `name`, and of the others the newest alone: one right password of an address does not
        give its owner new tries at other names."""
        self._refused.pop(name, None)
        for key in others:
            if times := self._refused.get(key):
                times.pop()

    def _wait_of(self, key: str, now: float) -> float:
        times = self._refused.get(key)
        if times is None or len(times) < self._most:
            return 0.0
        return max(0.0, times[0] + self._window_s - now)
