"""Facts about trust on their way to the store: refused credentials, forbidden topics, other devices' ids, card numbers.

An attacker must not fill the disk: a bounded number a second is stored one by one (enough for SEC-01 to count), the
rest is counted together and stored as one fact each FLUSH_S. For the event loop's thread.
"""

from collections import Counter
from typing import Final

from core.clock import Clock
from core.lane import SECURITY
from ingest.lanes import ASIDE, Lanes, Piece
from ingest.limits import Buckets
from ingest.metrics import IngestMetrics
from store.partitions import day_of
from store.quarantine import pack_security_fact

FLUSH_S: Final = 10.0
_PER_SENDER: Final = 1.0
_BURST_S: Final = 30.0


class SecurityLog:
    """Takes facts; never waits and never fails: what has no room is counted and told later."""

    def __init__(self, lanes: Lanes, metrics: IngestMetrics, clock: Clock, facts_per_s: float) -> None:
        self._lanes = lanes
        self._metrics = metrics
        self._clock = clock
        self._all = Buckets(facts_per_s, _BURST_S)
        self._each = Buckets(_PER_SENDER, _BURST_S)
        self._together: Counter[tuple[str, str]] = Counter()

    def note(
        self,
        kind: str,
        *,
        via: str,
        device: int | None = None,
        claimed: str | None = None,
        peer: str | None = None,
        detail: str | None = None,
    ) -> None:
        """One fact. kind: credential_refused, credential_revoked, topic_forbidden, identity_forbidden, card_number."""
        self._metrics.security.labels(kind=kind).inc()
        now = self._clock.monotonic()
        sender = (kind, device, claimed, _host(peer))
        if self._each.take(sender, 1, now) or self._all.take(None, 1, now):
            self._together[kind, via] += 1
            return
        row = pack_security_fact(self._clock.now_ms(), kind, device, claimed, peer, via, detail)
        if not self._put(row):
            self._together[kind, via] += 1

    def flush(self) -> None:
        """Stores what was counted together since the last time; call it every FLUSH_S and at the end."""
        together, self._together = self._together, Counter()
        for (kind, via), count in together.items():
            detail = f"{count} more like this were counted together"
            row = pack_security_fact(self._clock.now_ms(), kind, None, None, None, via, detail)
            if not self._put(row):
                self._together[kind, via] += count

    def _put(self, row: bytes) -> bool:
        now_ms = self._clock.now_ms()
        piece = Piece(None, SECURITY, (row,), (0,), (day_of(now_ms),), now_ms, now_ms, len(row))
        return self._lanes.place(((ASIDE, piece),))


def _host(peer: str | None) -> str | None:
    """The address without its port."""
    return peer.rpartition(":")[0] or peer if peer else peer
