"""The bytes of MQTT 3.1.1 that a device needs (OASIS standard, clause 3): building packets and cutting a stream.

Pure. `Splitter` keeps what is incomplete between reads.
"""

import struct
from collections.abc import Iterator

from simulators.errors import SimulatorError

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 0x20, 0x30, 0x40, 0x90, 0xD0
PINGREQ_PACKET = b"\xc0\x00"
DISCONNECT_PACKET = b"\xe0\x00"
DUP = 0x08
MAX_PACKET = 268_435_455


def string(text: str) -> bytes:
    """A UTF-8 string with its length before it (1.5.3)."""
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def remaining_length(length: int) -> bytes:
    """1–4 bytes of 7 bits each, least significant first (2.2.3). length: 0 to MAX_PACKET."""
    encoded = bytearray()
    while True:
        length, low = length >> 7, length & 0x7F
        encoded.append(low | (0x80 if length else 0))
        if not length:
            return bytes(encoded)


def connect(
    client_id: str,
    user: str,
    password: str,
    *,
    keepalive_s: int,
    clean: bool,
    will: tuple[str, bytes] | None = None,
) -> bytes:
    """CONNECT with user name and password; will: (topic, payload), retained, QoS 1."""
    flags = 0xC0 | (0x02 if clean else 0) | (0x2C if will else 0)
    body = string("MQTT") + bytes([4, flags]) + struct.pack(">H", keepalive_s) + string(client_id)
    if will:
        body += string(will[0]) + struct.pack(">H", len(will[1])) + will[1]
    body += string(user) + string(password)
    return b"\x10" + remaining_length(len(body)) + body


def publish(topic: bytes, packet_id: int, payload: bytes) -> bytes:
    """PUBLISH with QoS 1; topic: as `string` encodes it."""
    length = len(topic) + 2 + len(payload)
    return b"\x32" + remaining_length(length) + topic + packet_id.to_bytes(2, "big") + payload


def publish_retained(topic: str, payload: bytes) -> bytes:
    """PUBLISH with QoS 0 and RETAIN."""
    body = string(topic) + payload
    return b"\x31" + remaining_length(len(body)) + body


def again(packet: bytes) -> bytes:
    """The same PUBLISH with DUP set (3.3.1-1)."""
    return bytes([packet[0] | DUP]) + packet[1:]


def subscribe(packet_id: int, topics: list[str]) -> bytes:
    """SUBSCRIBE with QoS 1 for each filter."""
    body = packet_id.to_bytes(2, "big") + b"".join(string(topic) + b"\x01" for topic in topics)
    return b"\x82" + remaining_length(len(body)) + body


def puback(packet_id: bytes) -> bytes:
    """PUBACK of the two bytes of a packet id."""
    return b"\x40\x02" + packet_id


class Splitter:
    """Cuts a byte stream into packets."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """(first byte, body) of each packet that is complete. Raises SimulatorError on a length field over 4 bytes."""
        data = self._rest + data if self._rest else data
        at, end = 0, len(data)
        self._rest = b""
        while end - at >= 2:
            length, shift, body = 0, 0, at + 1
            while body < end:
                byte = data[body]
                length |= (byte & 0x7F) << shift
                body, shift = body + 1, shift + 7
                if byte < 0x80:
                    break
                if shift > 21:
                    raise SimulatorError("the server sent a packet with a length field of more than 4 bytes")
            else:
                break
            if end - body < length:
                break
            yield data[at], data[body : body + length]
            at = body + length
        self._rest = data[at:]
