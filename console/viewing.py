"""Viewing sessions: one audit row for a look at footage, however many requests a player makes for it.

A session is (who, from where, what, camera, purpose, and the span of a clip) and lasts while requests come at most
`quiet_s` apart. The row is written in the transaction of its first request; who starts anew after a pause or on another
console, gets a row of their own.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from store.audit import Entry

QUIET_S = 600.0
MOST = 20_000


class Viewings:
    """Sessions of this process; bounded, the oldest are forgotten (and would be written again)."""

    def __init__(self, quiet_s: float = QUIET_S, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._quiet_s, self._monotonic = quiet_s, monotonic
        self._seen: OrderedDict[tuple[object, ...], float] = OrderedDict()

    def is_going_on(self, entry: Entry, span: tuple[object, ...] = ()) -> bool:
        """Whether this look belongs to a session whose row is written; lengthens it."""
        key, now = _key(entry, span), self._monotonic()
        seen = self._seen.get(key)
        if seen is None or now - seen > self._quiet_s:
            return False
        self._seen[key] = now
        self._seen.move_to_end(key)
        return True

    def began(self, entry: Entry, span: tuple[object, ...] = ()) -> None:
        """The session's row is committed."""
        self._seen[_key(entry, span)] = self._monotonic()
        while len(self._seen) > MOST:
            self._seen.popitem(last=False)


def _key(entry: Entry, span: tuple[object, ...]) -> tuple[object, ...]:
    return (entry.who, entry.peer, entry.action, entry.target, entry.purpose, span)
