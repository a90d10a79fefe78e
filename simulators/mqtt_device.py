"""One simulated device on MQTT: a protocol object that outlives its connections and forgets nothing unacknowledged.

No task belongs to it; the event loop calls it, its pool dials for it. What waits beyond the window is put into arrays,
as a handset does that comes out of a dead zone.
"""

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, cast

import msgspec

from simulators import mqtt_wire as wire
from simulators.errors import SimulatorError
from simulators.outgoing import MAX_FACTS, Outgoing, merge

if TYPE_CHECKING:
    from simulators.mqtt_pool import MqttPool

CONNECT_WAIT_S = 15.0
ARRAY_BYTES = 256 * 1024


class MqttDevice(asyncio.Protocol):
    """Device `id` of a pool. Only called from the event loop's thread."""

    __slots__ = (
        "_heard",
        "_next_id",
        "_pinged",
        "_pool",
        "_splitter",
        "_spoke",
        "_topics",
        "_transport",
        "_writable",
        "attempts",
        "id",
        "in_flight",
        "ready",
        "token",
        "waiting",
    )

    def __init__(self, pool: "MqttPool", device_id: str, token: str) -> None:
        self.id, self.token = device_id, token
        self.waiting: deque[Outgoing] = deque()
        self.in_flight: dict[int, tuple[Outgoing, bytes, float]] = {}
        self.ready = False
        self.attempts = 0
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._splitter = wire.Splitter()
        self._topics: dict[str, bytes] = {}
        self._next_id = 0
        self._heard = self._spoke = 0.0
        self._pinged = self._writable = False

    def send(self, message: Outgoing) -> None:
        """Take over a message; it is kept until it is acknowledged."""
        self.waiting.append(message)
        if self.ready:
            self._pump()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._writable, self._pinged = True, False
        self._splitter = wire.Splitter()
        self._heard = self._spoke = time.monotonic()
        state = f"wangge/v1/{self.id}/state"
        will = (state, _state(online=False)) if self._pool.presence else None
        keepalive = self._pool.keepalive_s
        self._transport.write(wire.connect(self.id, self.id, self.token, keepalive_s=keepalive, clean=False, will=will))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport, self.ready = None, False
        self._pool.lost(self)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self.ready:
            self._pump()

    def data_received(self, data: bytes) -> None:
        self._heard, self._pinged = time.monotonic(), False
        try:
            for first, body in self._splitter.feed(data):
                kind = first & 0xF0
                if kind == wire.PUBACK:
                    self._acknowledged(int.from_bytes(body, "big"))
                elif kind == wire.CONNACK:
                    self._answered(body)
                elif kind == wire.PUBLISH:
                    self._told(first, body)
        except SimulatorError:
            self._pool.tally.errors += 1
            self.abort()
            return
        if self.ready and self.waiting:
            self._pump()

    def _answered(self, body: bytes) -> None:
        assert self._transport is not None
        if len(body) != 2 or body[1] != 0:
            self._pool.last_refusal = body[1] if len(body) == 2 else -1
            self._transport.close()
            return
        self.ready, self.attempts = True, 0
        self._pool.tally.connects += 1
        packets = []
        if self._pool.presence:
            packets.append(wire.publish_retained(f"wangge/v1/{self.id}/state", _state(online=True)))
        if self._pool.listens:
            packets.append(wire.subscribe(self._packet_id(), [f"wangge/v1/{self.id}/reject"]))
        packets += [wire.again(packet) for _, packet, _ in self.in_flight.values()]
        self._pool.tally.resent += len(self.in_flight)
        self._write(packets)
        self._pump()

    def _packet_id(self) -> int:
        self._next_id = self._next_id % 65_535 + 1
        while self._next_id in self.in_flight:
            self._next_id = self._next_id % 65_535 + 1
        return self._next_id

    def _pump(self) -> None:
        packets = []
        now = time.monotonic()
        while self.waiting and len(self.in_flight) < self._pool.window and self._writable:
            message = self._next_message()
            topic = self._topics.get(message.kind)
            if topic is None:
                topic = self._topics[message.kind] = wire.string(f"wangge/v1/{self.id}/{message.kind}")
            packet_id = self._packet_id()
            packet = wire.publish(topic, packet_id, message.body)
            self.in_flight[packet_id] = (message, packet, now)
            packets.append(packet)
        self._pool.tally.sent += len(packets)
        self._write(packets)

    def _next_message(self) -> Outgoing:
        """The next message; where more wait than the window holds, the longest array that may be made of them."""
        first = self.waiting.popleft()
        if len(self.waiting) < self._pool.window:
            return first
        batch, facts, size = [first], len(first.keys), len(first.body)
        while self.waiting and self.waiting[0].kind == first.kind:
            facts, size = facts + len(self.waiting[0].keys), size + len(self.waiting[0].body)
            if facts > MAX_FACTS or size > ARRAY_BYTES:
                break
            batch.append(self.waiting.popleft())
        self._pool.merged(len(batch) - 1)
        return merge(batch)

    def _write(self, packets: list[bytes]) -> None:
        if packets and self._transport is not None:
            self._spoke = time.monotonic()
            self._transport.write(b"".join(packets))

    def _acknowledged(self, packet_id: int) -> None:
        entry = self.in_flight.pop(packet_id, None)
        if entry is not None:
            self._pool.acknowledged(entry[0], time.monotonic() - entry[2])

    def _told(self, first: int, body: bytes) -> None:
        length = int.from_bytes(body[:2], "big")
        at = 2 + length
        if first & 0x06:
            self._write([wire.puback(body[at : at + 2])])
            at += 2
        if body[2 : 2 + length].endswith(b"/reject"):
            self._pool.rejected(body[at:])

    def check(self, now: float) -> None:
        """Keep alive: ask when nothing was said for most of the interval, give up on a silent server."""
        if self._transport is None:
            return
        keepalive = self._pool.keepalive_s
        if now - self._heard > (CONNECT_WAIT_S if not self.ready else 1.5 * keepalive):
            self._pool.tally.errors += 1
            self.abort()
        elif self.ready and not self._pinged and now - min(self._heard, self._spoke) > 0.7 * keepalive:
            self._pinged, self._spoke = True, now
            self._transport.write(wire.PINGREQ_PACKET)

    def abort(self) -> None:
        """Cut the connection without a word, as a dead zone does."""
        if self._transport is not None:
            self._transport.abort()

    def leave(self) -> None:
        """Say goodbye and close."""
        if self._transport is not None:
            self._transport.write(wire.DISCONNECT_PACKET)
            self._transport.close()


def _state(*, online: bool) -> bytes:
    return msgspec.json.encode({"online": online, "at": round(time.time() * 1000)})
