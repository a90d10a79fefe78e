"""Figures of live view, for the worker's metrics."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class FirstPictures:
    """Seconds from a viewer's request until its first picture was sent."""

    count: int = 0
    sum_s: float = 0.0
    most_s: float = 0.0

    def add(self, seconds: float) -> None:
        """One more viewer sees something."""
        self.count += 1
        self.sum_s += seconds
        self.most_s = max(self.most_s, seconds)


@dataclass(slots=True)
class LiveStats:
    """Counts since the start, but for `whep`, `mse` and `transcodes`, which are how many there are now.

    closed: sessions ended, by reason. refused: by the error's kind. dropped_frames: pictures that slow MSE viewers
    missed. lost_packets: RTP packets for which the system had no room. repeated_packets: sent again when asked (NACK).
    """

    whep: int = 0
    mse: int = 0
    transcodes: int = 0
    opened: int = 0
    closed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    sent_bytes: int = 0
    sent_packets: int = 0
    lost_packets: int = 0
    repeated_packets: int = 0
    key_requests: int = 0
    dropped_frames: int = 0
    snapshots: int = 0
    snapshots_cached: int = 0
    first_pictures: FirstPictures = field(default_factory=FirstPictures)
