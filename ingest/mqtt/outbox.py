"""Down-link of one connection: what waits, what is in flight, what to send again. Pure.

Facts (OASIS MQTT 3.1.1): a packet id is not reused while in flight (2.3.1); unacknowledged messages are sent again
with DUP and the same id only after a reconnect (4.4); order is kept (4.6), here one order for all topics.
"""

from collections import deque
from collections.abc import Iterable

from ingest.mqtt.codec import Publish, encode
from ingest.mqtt.contract import Downlink, SessionRecord


class Outbox:
    """At most `window` QoS 1 messages in flight and `capacity` waiting; a full outbox takes nothing more."""

    def __init__(self, window: int, capacity: int) -> None:
        self.window = window
        self.capacity = capacity
        self.in_flight: dict[int, Downlink] = {}
        self.queue: deque[Downlink] = deque()
        self._last_id = 0

    def restore(self, record: SessionRecord) -> None:
        """Takes over what an earlier connection of the session had not got acknowledged."""
        self.in_flight = dict(record.in_flight)
        self.queue.extend(record.queued)
        self._last_id = next(reversed(self.in_flight), 0)

    def push(self, message: Downlink) -> bool:
        """Appends a message; False when the outbox is full."""
        if len(self.queue) >= self.capacity:
            return False
        self.queue.append(message)
        return True

    def holds(self, message_id: str) -> bool:
        """Whether a message of that name waits or is in flight."""
        return any(m.message_id == message_id for messages in (self.in_flight.values(), self.queue) for m in messages)

    def again(self) -> list[bytes]:
        """PUBLISH packets of everything in flight with DUP set: the first thing after a reconnect."""
        return [_publish(message, packet_id, dup=True) for packet_id, message in self.in_flight.items()]

    def release(self) -> tuple[list[bytes], list[Downlink]]:
        """(packets that may go now, those of them that count as delivered by being written: QoS 0)."""
        packets: list[bytes] = []
        written: list[Downlink] = []
        while self.queue:
            message = self.queue[0]
            if message.qos and len(self.in_flight) >= self.window:
                break
            self.queue.popleft()
            packet_id = 0
            if message.qos:
                packet_id = self._free_id()
                self.in_flight[packet_id] = message
            else:
                written.append(message)
            packets.append(_publish(message, packet_id, dup=False))
        return packets, written

    def acked(self, packet_id: int) -> Downlink | None:
        """PUBACK: frees the id; None for an id that is not in flight (a late one, ignored)."""
        return self.in_flight.pop(packet_id, None)

    def unsent(self) -> Iterable[Downlink]:
        """The QoS 1 messages that wait; QoS 0 ones do not outlive a connection (3.1.2.4)."""
        return (message for message in self.queue if message.qos)

    def _free_id(self) -> int:
        packet_id = self._last_id
        while True:
            packet_id = packet_id % 65535 + 1
            if packet_id not in self.in_flight:
                self._last_id = packet_id
                return packet_id


def _publish(message: Downlink, packet_id: int, *, dup: bool) -> bytes:
    return encode(Publish(message.topic, message.payload, message.qos, packet_id, message.retain, dup))
