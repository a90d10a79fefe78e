"""What a sender counts, and how long acknowledgements took.

Latencies go into a histogram of logarithmic bins (2 % wide), so that a city-day of them takes a few kilobytes.
"""

import math
from typing import IO, Any, Protocol

import msgspec

from simulators.outgoing import Outgoing

_LEAST_S = 1e-5
_BINS = 1000
_PER_BIN = math.log(1.02)


class Latencies:
    """Histogram of seconds from 10 µs to about an hour; errors of percentiles are within 2 %."""

    __slots__ = ("_bins", "_count", "max_s")

    def __init__(self) -> None:
        self._bins = [0] * _BINS
        self._count = 0
        self.max_s = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        """Count a latency, `times` times."""
        index = int(math.log(max(seconds, _LEAST_S) / _LEAST_S) / _PER_BIN)
        self._bins[min(index, _BINS - 1)] += times
        self._count += times
        self.max_s = max(self.max_s, seconds)

    def percentile_s(self, share: float) -> float:
        """The latency that `share` (0–1) of all do not exceed; 0.0 when there are none."""
        wanted = share * self._count
        seen = 0
        for index, count in enumerate(self._bins):
            seen += count
            if count and seen >= wanted:
                return min(_LEAST_S * math.exp((index + 1) * _PER_BIN), self.max_s)
        return 0.0


class Tally(msgspec.Struct):
    """Counts of one sender. Messages: sent once or more, acked, resent (sent again after a lost connection).

    facts_acked: fixes and records in acknowledged messages. errors: lost or refused connections and answers that are
    none. rejected, duplicates: facts that the service told us about. latencies: from first sending to acknowledgement.
    """

    sent: int = 0
    acked: int = 0
    facts_acked: int = 0
    resent: int = 0
    errors: int = 0
    rejected: int = 0
    duplicates: int = 0
    connects: int = 0
    latencies: Latencies = msgspec.field(default_factory=Latencies)


class OnAcked(Protocol):
    """Called for every acknowledged message. Times: epoch milliseconds."""

    def __call__(self, message: Outgoing, sent_ms: int, acked_ms: int) -> None: ...


class AckedLog:
    """Writes one NDJSON line for every acknowledged fact, so that a crash test can ask for each of them.

    A fix: {"kind", "device", "fixed_at", "sent_at", "acked_at"}; a POS record has "at", "boot", "seq" instead. All
    times are epoch milliseconds. Lines become visible to others within a second while there are more, and at close.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._encode = msgspec.json.Encoder().encode
        self._flushed_ms = 0

    def __call__(self, message: Outgoing, sent_ms: int, acked_ms: int) -> None:
        for key in message.keys:
            line: dict[str, Any] = {"kind": message.kind, "device": message.device}
            if isinstance(key, int):
                line["fixed_at"] = key
            else:
                line["at"], line["boot"], line["seq"] = key
            self._file.write(self._encode(line | {"sent_at": sent_ms, "acked_at": acked_ms}) + b"\n")
        if acked_ms - self._flushed_ms > 1000:
            self._file.flush()
            self._flushed_ms = acked_ms
