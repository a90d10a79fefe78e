"""MQTT 3.1.1 packets: bytes to values and back. Pure; the only error a decoder raises is `DecodeError`.

Facts: OASIS MQTT Version 3.1.1, clause numbers in brackets. A packet is a first byte (type << 4 | flags), a
remaining length of 1-4 bytes (7 bits each, least significant first), a variable header and a payload.

`header` and `publish_parts` are the hot path (a published fix makes no object here); `decode` is the readable
form of the same for every packet, which the session uses for all but PUBLISH and tests use for all.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from core.errors import DecodeError

CONNECT: Final = 0x10
CONNACK: Final = 0x20
PUBLISH: Final = 0x30
PUBACK: Final = 0x40
PUBREC: Final = 0x50
PUBREL: Final = 0x60
PUBCOMP: Final = 0x70
SUBSCRIBE: Final = 0x80
SUBACK: Final = 0x90
UNSUBSCRIBE: Final = 0xA0
UNSUBACK: Final = 0xB0
PINGREQ: Final = 0xC0
PINGRESP: Final = 0xD0
DISCONNECT: Final = 0xE0

MAX_PACKET_BYTES: Final = 1 << 20
PINGRESP_PACKET: Final = b"\xd0\x00"
PUBACK_HEAD: Final = b"\x40\x02"
PUBREC_HEAD: Final = b"\x50\x02"
PUBCOMP_HEAD: Final = b"\x70\x02"

# First bytes that 2.2.2 allows: reserved flags are fixed, only PUBLISH has free ones (QoS 3 is refused later).
_FLAGS_TWO = (PUBREL, SUBSCRIBE, UNSUBSCRIBE)
_ALLOWED_FIRST = frozenset(
    {kind | (2 if kind in _FLAGS_TWO else 0) for kind in range(CONNECT, 0xF0, 0x10)} | set(range(0x30, 0x40))
)
_FIRST_IS_ALLOWED = bytes(first in _ALLOWED_FIRST for first in range(256))


class Connect(msgspec.Struct, frozen=True):
    """CONNECT (3.1). level other than 4: nothing after it was read. keep_alive_s 0: none. user, password: as sent."""

    client_id: str
    keep_alive_s: int = 60
    clean: bool = True
    user: str | None = None
    password: bytes | None = None
    will_topic: str | None = None
    will_payload: bytes = b""
    will_qos: int = 0
    will_retain: bool = False
    level: int = 4


class Connack(msgspec.Struct, frozen=True):
    """CONNACK (3.2)."""

    session_present: bool
    code: int


class Publish(msgspec.Struct, frozen=True):
    """PUBLISH (3.3). packet_id is 0 with QoS 0."""

    topic: str
    payload: bytes
    qos: int = 0
    packet_id: int = 0
    retain: bool = False
    dup: bool = False


class Acknowledge(msgspec.Struct, frozen=True):
    """PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK by `kind` (the type constant): a packet id and nothing else."""

    kind: int
    packet_id: int


class Subscribe(msgspec.Struct, frozen=True):
    """SUBSCRIBE (3.8): (filter, QoS 0-2), at least one."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]


class Suback(msgspec.Struct, frozen=True):
    """SUBACK (3.9): 0, 1, 2 or 0x80 for each filter."""

    packet_id: int
    codes: tuple[int, ...]


class Unsubscribe(msgspec.Struct, frozen=True):
    """UNSUBSCRIBE (3.10)."""

    packet_id: int
    filters: tuple[str, ...]


class Bare(msgspec.Struct, frozen=True):
    """PINGREQ, PINGRESP or DISCONNECT by `kind`: two bytes."""

    kind: int


Packet = Connect | Connack | Publish | Acknowledge | Subscribe | Suback | Unsubscribe | Bare


def header(buffer: bytes, at: int, limit: int) -> tuple[int, int]:
    """(start, end) of the body of the packet that begins at `at`, which must lie inside the buffer.

    When end > len(buffer) the packet is incomplete and at least the difference is missing. Raises DecodeError at the
    first byte that cannot be right: type 0 or 15, reserved flags, a length field of five bytes, over `limit` bytes.
    """
    if not _FIRST_IS_ALLOWED[buffer[at]]:
        raise DecodeError("first byte is no packet type with its flags", first=buffer[at])
    size = len(buffer)
    start = at + 1
    length = 0
    for shift in (0, 7, 14, 21):
        if start >= size:
            return start, size + 1
        byte = buffer[start]
        start += 1
        length |= (byte & 127) << shift
        if byte < 128:
            if length > limit:
                raise DecodeError("packet is larger than allowed", length=length, limit=limit)
            return start, start + length
    raise DecodeError("length field has five bytes")


def publish_parts(buffer: bytes, first: int, start: int, end: int) -> tuple[bytes, bytes, bytes]:
    """(topic, packet id, payload) of a whole PUBLISH, raw; the packet id is two bytes or, with QoS 0, none.

    The topic's characters are not looked at here (`text` does); everything else that can be wrong raises DecodeError.
    """
    if end - start < 2:
        raise DecodeError("PUBLISH is cut short")
    topic_end = start + 2 + (buffer[start] << 8) + buffer[start + 1]
    qos_bits = first & 6
    if qos_bits:
        if qos_bits == 6:
            raise DecodeError("QoS 3 in PUBLISH")
        payload_at = topic_end + 2
        if payload_at > end:
            raise DecodeError("PUBLISH is cut short")
        packet_id = buffer[topic_end:payload_at]
        if packet_id == b"\0\0":
            raise DecodeError("packet id 0")
        return buffer[start + 2 : topic_end], packet_id, buffer[payload_at:end]
    if first & 8:
        raise DecodeError("DUP with QoS 0")
    if topic_end > end:
        raise DecodeError("PUBLISH is cut short")
    return buffer[start + 2 : topic_end], b"", buffer[topic_end:end]


def text(raw: bytes) -> str:
    """A UTF-8 string (1.5.3): no surrogates, no U+0000; a leading U+FEFF stays."""
    try:
        value = raw.decode()
    except UnicodeDecodeError as error:
        raise DecodeError("string is not UTF-8") from error
    if "\0" in value:
        raise DecodeError("string holds U+0000")
    return value


def topic_name(raw: bytes) -> str:
    """A topic to publish on: at least one character, no wildcard (3.3.2-2, 4.7.3-1)."""
    value = text(raw)
    if not value or "+" in value or "#" in value:
        raise DecodeError("topic name is empty or holds a wildcard")
    return value


class _Reader:
    """Walks through the body of one packet; every step raises DecodeError at its end."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0

    def take(self, count: int) -> bytes:
        piece = self.body[self.at : self.at + count]
        if len(piece) < count:
            raise DecodeError("packet is cut short")
        self.at += count
        return piece

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def blob(self) -> bytes:
        return self.take(self.u16())

    def packet_id(self) -> int:
        value = self.u16()
        if not value:
            raise DecodeError("packet id 0")
        return value

    def more(self) -> bool:
        return self.at < len(self.body)

    def finish(self) -> None:
        if self.more():
            raise DecodeError("bytes after the end of the packet")


def _connect(reader: _Reader) -> Connect:
    name, level = reader.blob(), reader.u8()
    if name == b"MQIsdp" or (name == b"MQTT" and level != 4):
        return Connect(client_id="", level=level)
    if name != b"MQTT":
        raise DecodeError("protocol name is not MQTT")
    flags, keep_alive_s = reader.u8(), reader.u16()
    has_will, will_qos = bool(flags & 4), flags >> 3 & 3
    if flags & 1 or will_qos == 3 or (not has_will and flags & 0x38) or flags & 0xC0 == 0x40:
        raise DecodeError("connect flags contradict each other", flags=flags)
    packet = Connect(
        client_id=text(reader.blob()),
        keep_alive_s=keep_alive_s,
        clean=bool(flags & 2),
        will_topic=topic_name(reader.blob()) if has_will else None,
        will_payload=reader.blob() if has_will else b"",
        will_qos=will_qos,
        will_retain=bool(flags & 0x20),
        user=text(reader.blob()) if flags & 0x80 else None,
        password=reader.blob() if flags & 0x40 else None,
    )
    reader.finish()
    return packet


def _connack(reader: _Reader) -> Connack:
    flags, code = reader.u8(), reader.u8()
    reader.finish()
    if flags > 1 or code > 5:
        raise DecodeError("CONNACK with reserved bits or an unknown code")
    return Connack(session_present=bool(flags), code=code)


def _subscribe(reader: _Reader) -> Subscribe:
    packet_id, filters = reader.packet_id(), []
    while reader.more():
        topic_filter, qos = text(reader.blob()), reader.u8()
        if qos > 2:
            raise DecodeError("SUBSCRIBE asks for an unknown QoS")
        filters.append((topic_filter, qos))
    if not filters:
        raise DecodeError("SUBSCRIBE without a filter")
    return Subscribe(packet_id, tuple(filters))


def _suback(reader: _Reader) -> Suback:
    packet_id = reader.packet_id()
    codes = tuple(reader.take(len(reader.body) - reader.at))
    if not codes or not set(codes) <= {0, 1, 2, 0x80}:
        raise DecodeError("SUBACK without codes or with an unknown one")
    return Suback(packet_id, codes)


def _unsubscribe(reader: _Reader) -> Unsubscribe:
    packet_id, filters = reader.packet_id(), []
    while reader.more():
        filters.append(text(reader.blob()))
    if not filters:
        raise DecodeError("UNSUBSCRIBE without a filter")
    return Unsubscribe(packet_id, tuple(filters))


_BODIES: Final[dict[int, Callable[[_Reader], Packet]]] = {
    CONNECT: _connect,
    CONNACK: _connack,
    SUBSCRIBE: _subscribe,
    SUBACK: _suback,
    UNSUBSCRIBE: _unsubscribe,
}
_ACKNOWLEDGES = frozenset({PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK})


def decode(buffer: bytes, at: int, start: int, end: int) -> Packet:
    """The whole packet whose first byte is at `at` and whose body is [start, end), as `header` gave them."""
    first = buffer[at]
    kind = first & 0xF0
    if kind == PUBLISH:
        topic, raw_id, payload = publish_parts(buffer, first, start, end)
        return Publish(
            topic_name(topic),
            payload,
            first >> 1 & 3,
            int.from_bytes(raw_id, "big"),
            bool(first & 1),
            bool(first & 8),
        )
    reader = _Reader(buffer[start:end])
    if kind in _ACKNOWLEDGES:
        packet_id = reader.packet_id()
        reader.finish()
        return Acknowledge(kind, packet_id)
    if kind in _BODIES:
        return _BODIES[kind](reader)
    reader.finish()
    return Bare(kind)


def _length(size: int) -> bytes:
    encoded = bytearray()
    while size > 127:
        encoded.append(size & 127 | 128)
        size >>= 7
    encoded.append(size)
    return bytes(encoded)


def _packet(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes([first]) + _length(len(body)) + body


def _blob(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return len(raw).to_bytes(2, "big") + raw


def _u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _encode_connect(packet: Connect) -> bytes:
    flags = packet.clean << 1 | (packet.user is not None) << 7 | (packet.password is not None) << 6
    parts = [_blob(packet.client_id)]
    if packet.will_topic is not None:
        flags |= 4 | packet.will_qos << 3 | packet.will_retain << 5
        parts += [_blob(packet.will_topic), _blob(packet.will_payload)]
    parts += [_blob(value) for value in (packet.user, packet.password) if value is not None]
    return _packet(CONNECT, _blob("MQTT"), bytes([packet.level, flags]), _u16(packet.keep_alive_s), *parts)


def encode(packet: Packet) -> bytes:
    """The bytes of a packet; ValueError or OverflowError for a value out of range (strings: 65,535 bytes)."""
    match packet:
        case Publish():
            first = PUBLISH | packet.dup << 3 | packet.qos << 1 | packet.retain
            packet_id = _u16(packet.packet_id) if packet.qos else b""
            return _packet(first, _blob(packet.topic), packet_id, packet.payload)
        case Acknowledge():
            return _packet(packet.kind | (2 if packet.kind == PUBREL else 0), _u16(packet.packet_id))
        case Connack():
            return bytes([CONNACK, 2, packet.session_present, packet.code])
        case Suback():
            return _packet(SUBACK, _u16(packet.packet_id), bytes(packet.codes))
        case Connect():
            return _encode_connect(packet)
        case Subscribe():
            wanted: Sequence[bytes] = [_blob(name) + bytes([qos]) for name, qos in packet.filters]
            return _packet(SUBSCRIBE | 2, _u16(packet.packet_id), *wanted)
        case Unsubscribe():
            return _packet(UNSUBSCRIBE | 2, _u16(packet.packet_id), *map(_blob, packet.filters))
        case Bare():
            return bytes([packet.kind, 0])
