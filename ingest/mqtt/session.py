"""The protocol of one connection: bytes in, messages and answers out. Pure: no socket, no clock, no task.

Facts (OASIS MQTT 3.1.1): CONNECT comes first and once (3.1.0); PUBACKs leave in the order in which the messages
came (4.6); QoS 2 is PUBREC, then PUBREL answered by PUBCOMP (4.3.3). PUBACK and PUBREC leave only after the commit.

The shell (`connection.py`) calls `receive`, writes `out`, and looks at `news` (something rare happened: a CONNECT,
a subscription, a delivery) and at `closing` (close now, and why). Bytes that cannot be used yet stay here.
"""

from collections import deque
from enum import StrEnum
from typing import Final

import msgspec

from core.errors import DecodeError, NotAllowed
from ingest.mqtt import codec, topics
from ingest.mqtt.codec import Acknowledge, Bare, Connack, Connect, Suback, Subscribe, Unsubscribe
from ingest.mqtt.contract import Device, Downlink, Inbound, Origin, SessionRecord, TopicKind, Will
from ingest.mqtt.outbox import Outbox

_ROUTES_KEPT: Final = 32
_LONGEST_CLIENT_ID: Final = 1024
_NOTHING: Final[list[Inbound]] = []


class Reason(StrEnum):
    """Why a connection ends; the names in logs and counters."""

    DISCONNECT = "disconnect"
    MALFORMED = "malformed"
    FORBIDDEN_TOPIC = "forbidden_topic"
    REFUSED = "refused"
    CONNECT_TIMEOUT = "connect_timeout"
    KEEP_ALIVE = "keep_alive"
    TAKEN_OVER = "taken_over"
    SLOW_READER = "slow_reader"
    LOST = "lost"
    REVOKED = "revoked"
    DRAINING = "draining"
    FULL = "full"


class Phase(StrEnum):
    """fresh: waits for CONNECT. joining: CONNECT is judged. open: CONNACK 0 sent. over: nothing counts any more."""

    FRESH = "fresh"
    JOINING = "joining"
    OPEN = "open"
    OVER = "over"


class SessionLimits(msgspec.Struct, frozen=True):
    """packet_bytes, connect_bytes: body of one packet, of CONNECT. downlink_*: messages. subscriptions: filters."""

    packet_bytes: int = codec.MAX_PACKET_BYTES
    connect_bytes: int = 1 << 17
    downlink_in_flight: int = 20
    downlink_queued: int = 200
    subscriptions: int = 64


class Session:
    """One connection's state. Owned by one shell, used in one thread."""

    __slots__ = (
        "_at", "_buffer", "_chunks", "_limits", "_missing", "_origin", "_routes", "_unreleased", "clean", "client_id",
        "closing", "connect", "delivered", "detail", "device", "moved", "news", "notices", "out", "outbox", "pending",
        "phase", "refused_code", "stalled", "subscribed", "subscriptions", "unsubscribed", "will",
    )  # fmt: skip

    def __init__(self, origin: Origin, limits: SessionLimits) -> None:
        self._origin = origin
        self._limits = limits
        self._buffer = b""
        self._at = 0
        self._chunks: list[bytes] = []
        self._missing = 0
        self._routes: dict[bytes, tuple[TopicKind, str]] = {}
        self._unreleased: dict[bytes, Inbound | None] = {}
        self.phase = Phase.FRESH
        self.device = Device("", 0, "unknown")
        self.client_id = ""
        self.clean = True
        self.will: Will | None = None
        self.subscriptions: dict[str, int] = {}
        self.outbox = Outbox(limits.downlink_in_flight, limits.downlink_queued)
        self.pending: deque[Inbound] = deque()
        self.out: list[bytes] = []
        self.stalled = False
        self.moved = False
        self.news = False
        self.refused_code = 0
        self.connect: Connect | None = None
        self.subscribed: list[str] = []
        self.unsubscribed = False
        self.delivered: list[Downlink] = []
        self.notices: list[str] = []
        self.closing: Reason | None = None
        self.detail = ""

    # --- bytes in -----------------------------------------------------------------------------------------------

    def receive(self, data: bytes, room: int, received_ms: int) -> list[Inbound]:
        """Takes bytes (may be none: go on with what was kept); returns the messages published in them, ≤ `room`.

        `stalled`: a message was left for want of room, call again with no bytes later. `moved`: at least one whole
        packet was used. Never raises; what is wrong with the bytes sets `closing`, and messages before it are
        still returned.
        """
        if self._missing > len(data):
            self._chunks.append(data)
            self._missing -= len(data)
            self.moved = False
            return _NOTHING
        if self._chunks:
            data = b"".join((*self._chunks, data))
            self._chunks = []
        buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
        self._at = self._missing = 0
        self.stalled = False
        messages: list[Inbound] = []
        try:
            self._at = self._walk(buffer, room, received_ms, messages)
        except DecodeError as error:
            self._close(Reason.MALFORMED, str(error))
        except NotAllowed as error:
            self.deny(str(error.details["topic"]))
        self.moved = self._at > 0
        self._buffer = buffer if self._at < len(buffer) and self.closing is None else b""
        return messages

    def _walk(self, buffer: bytes, room: int, received_ms: int, messages: list[Inbound]) -> int:
        at, size, is_open = 0, len(buffer), self.phase is Phase.OPEN
        limit = self._limits.packet_bytes if is_open else self._limits.connect_bytes
        while at < size:
            start, end = codec.header(buffer, at, limit)
            if end > size:
                self._missing = end - size
                break
            first = buffer[at]
            if is_open and first & 0xF0 == codec.PUBLISH:
                if len(messages) >= room:
                    self.stalled = True
                    break
                topic, packet_id, payload = codec.publish_parts(buffer, first, start, end)
                kind, name = self._routes.get(topic) or self._route(topic)
                ack = codec.PUBACK_HEAD + packet_id if first & 2 else packet_id
                message = Inbound(
                    self.device, kind, name, payload, received_ms, first & 1 == 1, self._origin, ack
                )  # fmt: skip
                if first & 4 and not self._is_new(message):
                    at = end
                    continue
                self.pending.append(message)
                messages.append(message)
            elif self.phase is Phase.JOINING:
                break
            else:
                self._handle(codec.decode(buffer, at, start, end))
                if self.closing is not None:
                    break
            at = end
        return at

    def _route(self, raw: bytes) -> tuple[TopicKind, str]:
        name = codec.topic_name(raw)
        kind = topics.publish_kind(self.device, name)
        if len(self._routes) >= _ROUTES_KEPT:
            self._routes.clear()
        self._routes[raw] = kind, name
        return kind, name

    def _is_new(self, message: Inbound) -> bool:
        """QoS 2: False for a repetition of a message whose PUBREL has not come; it is answered, not taken again."""
        packet_id, message.ack = message.ack, codec.PUBREC_HEAD + message.ack
        if packet_id not in self._unreleased:
            self._unreleased[packet_id] = message
            return True
        if self._unreleased[packet_id] is None:
            self.out.append(message.ack)
        return False

    def _handle(self, packet: codec.Packet) -> None:
        if self.phase is Phase.FRESH:
            if not isinstance(packet, Connect):
                raise DecodeError("first packet is not CONNECT")
            self._take_connect(packet)
            return
        match packet:
            case Bare(kind=codec.PINGREQ):
                self.out.append(codec.PINGRESP_PACKET)
            case Bare(kind=codec.DISCONNECT):
                self._close(Reason.DISCONNECT, "")
            case Acknowledge(kind=codec.PUBACK):
                self._take_puback(packet.packet_id)
            case Acknowledge(kind=codec.PUBREL):
                self._take_pubrel(packet.packet_id.to_bytes(2, "big"))
            case Subscribe():
                self._take_subscribe(packet)
            case Unsubscribe():
                for topic_filter in packet.filters:
                    self.subscriptions.pop(topic_filter, None)
                self.unsubscribed = self.news = True
                self.out.append(codec.encode(Acknowledge(codec.UNSUBACK, packet.packet_id)))
            case _:
                raise DecodeError("packet is not allowed here", packet=type(packet).__name__)

    def _take_connect(self, packet: Connect) -> None:
        if packet.level != 4:
            self.refuse(1, "protocol level is not 4")
        elif (not packet.client_id and not packet.clean) or len(packet.client_id) > _LONGEST_CLIENT_ID:
            self.refuse(2, "client id is empty with clean session 0, or too long")
        elif packet.user is None or packet.password is None:
            self.refuse(4, "no user name or no token")
        else:
            self.connect = packet
            self.phase = Phase.JOINING
            self.news = True

    def _take_puback(self, packet_id: int) -> None:
        message = self.outbox.acked(packet_id)
        self.news = True
        if message is not None:
            self.delivered.append(message)

    def _take_pubrel(self, packet_id: bytes) -> None:
        if self._unreleased.pop(packet_id, None) is not None:
            raise DecodeError("PUBREL before PUBREC")
        self.out.append(codec.PUBCOMP_HEAD + packet_id)

    def _take_subscribe(self, packet: Subscribe) -> None:
        codes = []
        for topic_filter, asked in packet.filters:
            topics.check_filter(topic_filter)
            code = topics.grant(self.device, topic_filter, asked)
            if topic_filter not in self.subscriptions and len(self.subscriptions) >= self._limits.subscriptions:
                code = topics.REFUSED
            if code != topics.REFUSED:
                self.subscriptions[topic_filter] = code
                self.subscribed.append(topic_filter)
                self.news = True
            codes.append(code)
        self.out.append(codec.encode(Suback(packet.packet_id, tuple(codes))))

    def _close(self, reason: Reason, detail: str) -> None:
        if self.closing is None:
            self.closing, self.detail = reason, detail

    # --- what the shell decides ---------------------------------------------------------------------------------

    def refuse(self, code: int, why: str) -> None:
        """CONNACK with an error code (1–5), then close (3.2.2.3)."""
        self.refused_code = code
        self.out.append(codec.encode(Connack(False, code)))
        self._close(Reason.REFUSED, why)

    def deny(self, topic: str) -> None:
        """Close because of a topic that this device may not use (3.3.5-2)."""
        self._close(Reason.FORBIDDEN_TOPIC, topic)

    def accept(self, device: Device, connect: Connect, record: SessionRecord | None) -> None:
        """CONNACK 0; what the kept session had in flight follows with DUP. The caller has judged the will's topic."""
        if connect.will_topic is not None:
            self.will = Will(connect.will_topic, connect.will_payload, connect.will_qos, connect.will_retain)
        self.device, self.clean = device, connect.clean
        self.phase = Phase.OPEN
        self.out.append(codec.encode(Connack(record is not None, 0)))
        if record is not None:
            self.subscriptions = dict(record.subscriptions)
            self.outbox.restore(record)
            self.out += self.outbox.again()

    def settle(self) -> int:
        """Finished messages leave at the head of the in-flight window, acknowledged in `out`; returns how many."""
        pending, out, settled = self.pending, self.out, 0
        while pending and pending[0].finished:
            message = pending.popleft()
            settled += 1
            if message.ack:
                out.append(message.ack)
                if self._unreleased and message.ack.startswith(codec.PUBREC_HEAD):
                    self._unreleased[message.ack[2:]] = None
            if message.rejects:
                self.notices += message.rejects
        return settled

    def wants(self, topic: str) -> int | None:
        """The QoS granted for a topic, the highest of the filters that match (3.3.5); None without one."""
        granted = [qos for topic_filter, qos in self.subscriptions.items() if topics.matches(topic_filter, topic)]
        return max(granted, default=None)

    def send(self, message: Downlink) -> bool:
        """Queues a down-link message for this connection; False when it has no subscription for it or is full."""
        granted = self.wants(message.topic)
        if self.phase is not Phase.OPEN or granted is None:
            return False
        if granted < message.qos:
            message = msgspec.structs.replace(message, qos=granted)
        return self.outbox.push(message)

    def release(self) -> None:
        """Moves what may be sent from the outbox to `out`; QoS 0 messages count as delivered."""
        packets, written = self.outbox.release()
        self.out += packets
        self.delivered += written

    def record(self) -> SessionRecord:
        """The session as it is to be kept."""
        return SessionRecord(
            self.device.key,
            self.client_id,
            dict(self.subscriptions),
            tuple(self.outbox.in_flight.items()),
            tuple(self.outbox.unsent()),
            self.will,
        )
