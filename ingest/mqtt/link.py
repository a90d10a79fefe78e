"""What the connections of one device share: its in-flight window and its rate. Pure; time comes in."""

from typing import TYPE_CHECKING

from ingest.mqtt.contract import Device

if TYPE_CHECKING:
    from ingest.mqtt.connection import Connection


class Link:
    """One device's connections, its window (messages read and not yet stored) and its token bucket.

    rate: messages a second, burst: messages; a device over its rate is read more slowly, nothing is dropped.
    """

    __slots__ = ("_refilled_at", "_tokens", "burst", "connections", "device", "in_flight", "rate", "waiting")

    def __init__(self, device: Device, rate: float, burst: float, now: float) -> None:
        self.device = device
        self.rate = rate
        self.burst = burst
        self.in_flight = 0
        self.connections: dict[str, Connection] = {}
        self.waiting: dict[Connection, None] = {}
        self._tokens = burst
        self._refilled_at = now

    def room(self, now: float) -> int:
        """How many messages may be taken now; one look a read, not a message."""
        tokens = self._tokens + (now - self._refilled_at) * self.rate
        self._refilled_at = now
        self._tokens = tokens = min(tokens, self.burst)
        free = self.device.window - self.in_flight
        return free if free < tokens else int(tokens)

    def window_is_full(self) -> bool:
        """Whether room is wanting because of the window (an acknowledgement frees it), not of the rate."""
        return self.in_flight >= self.device.window

    def take(self, count: int) -> None:
        """Counts messages that were read."""
        self.in_flight += count
        self._tokens -= count

    def hold(self, seconds: float, now: float) -> None:
        """Reads nothing more from this device for about so long."""
        self._tokens = min(self._tokens, -seconds * self.rate)
        self._refilled_at = now

    def is_idle(self, now: float) -> bool:
        """Nothing is connected or in flight and the bucket is full again: may be forgotten."""
        full = self._tokens + (now - self._refilled_at) * self.rate >= self.burst
        return full and not self.connections and not self.in_flight
