"""What all senders have in common: they keep a message until it is acknowledged, and count.

They differ in protocol and in how many devices they carry: `mqtt_pool` and `http_pool` thousands, `paho_sender` tens.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager

from simulators.outgoing import Outgoing
from simulators.tally import OnAcked, Tally

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0


def backoff_s(attempts: int, draw: float) -> float:
    """Seconds to wait before attempt number `attempts` (0 = the first again); draw: 0–1, spreads it by half."""
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempts, 10)) * (0.5 + 0.5 * draw)


class Sender(ABC):
    """Base of the senders. Only used from the event loop's thread, within `async with sender.opened():`."""

    def __init__(self, on_acked: OnAcked | None = None) -> None:
        self.tally = Tally()
        self.outstanding = 0
        """Messages handed over and not acknowledged."""
        self._on_acked = on_acked
        self._idle = asyncio.Event()
        self._idle.set()

    @abstractmethod
    def opened(self) -> AbstractAsyncContextManager["Sender"]:
        """Connects in the background; on leaving closes, forgetting what is not acknowledged."""

    @abstractmethod
    def send(self, message: Outgoing) -> None:
        """Hand a message to its device. Raises KeyError for a device that this sender does not carry."""

    @abstractmethod
    async def online(self, timeout_s: float, share: float = 1.0) -> int:
        """Wait until that share of the devices is connected; how many are. Raises SimulatorError in time-out."""

    async def drained(self, timeout_s: float) -> bool:
        """Wait until everything is acknowledged; False when the time is over before."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def taken(self) -> None:
        """A message was handed over."""
        self.outstanding += 1
        self._idle.clear()

    def merged(self, fewer: int) -> None:
        """Waiting messages became one array."""
        self.outstanding -= fewer

    def acknowledged(self, message: Outgoing, seconds: float) -> None:
        """A message is acknowledged, `seconds` after it was first sent: only now it is forgotten."""
        self.outstanding -= 1
        if not self.outstanding:
            self._idle.set()
        tally = self.tally
        tally.acked += 1
        tally.facts_acked += len(message.keys)
        tally.latencies.add(seconds)
        if self._on_acked is not None:
            now = time.time() * 1000
            self._on_acked(message, round(now - seconds * 1000), round(now))
