"""RTP packets of one access unit, framed for RTSP over TCP, ready but for sequence number, time stamp and SSRC.

RFC 3550 5.1 (header), RFC 6184 5.6–5.8 (single NAL unit, STAP-A, FU-A), RFC 7798 4.4 (AP, FU), RFC 2326 10.12 ($).
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simulators.cameras import nal

MOST_PAYLOAD = 1388
"""Bytes of payload a packet: fits an Ethernet frame, as cameras send it by TCP, too."""
FRAMING = 4
HEADER = 12
_HEAD = struct.Struct(">BBHBBHII")
_FIELDS = struct.Struct(">HII")
_FIELDS_AT = FRAMING + 2
_STAP_A, _FU_A = 24, 28
_AP, _FU = 48, 49


@dataclass(frozen=True, slots=True)
class Framed:
    """template: all packets of the unit with their framing; offsets: where each begins; octets: payload bytes."""

    template: bytes
    offsets: tuple[int, ...]
    octets: int

    def addressed(self, channel: int, sequence: int, timestamp: int, ssrc: int) -> bytearray:
        """The packets for one receiver; `sequence` is the first one's."""
        data = bytearray(self.template)
        fill = _FIELDS.pack_into
        for offset in self.offsets:
            fill(data, offset + _FIELDS_AT, sequence & 0xFFFF, timestamp, ssrc)
            sequence += 1
        if channel:
            for offset in self.offsets:
                data[offset + 1] = channel
        return data


def framed(payloads: Sequence[bytes], payload_type: int) -> Framed:
    """Packets of one time stamp; the marker is on the last."""
    parts: list[bytes] = []
    offsets = []
    at = 0
    for number, payload in enumerate(payloads, 1):
        marker = 0x80 if number == len(payloads) else 0
        parts += (_HEAD.pack(0x24, 0, HEADER + len(payload), 0x80, marker | payload_type, 0, 0, 0), payload)
        offsets.append(at)
        at += FRAMING + HEADER + len(payload)
    return Framed(b"".join(parts), tuple(offsets), sum(map(len, payloads)))


def payloads(codec: nal.Codec, units: Iterable[bytes], most: int = MOST_PAYLOAD) -> list[bytes]:
    """RTP payloads of an access unit: parameter sets in one aggregate, slices alone or in fragments of ≤ most bytes."""
    out: list[bytes] = []
    small: list[bytes] = []

    def flush() -> None:
        if small:
            out.append(small[0] if len(small) == 1 else _aggregate(codec, small))
            small.clear()

    for unit in units:
        if not nal.is_picture(codec, unit) and len(unit) < most // 2:
            if sum(len(one) + 2 for one in small) + len(unit) + 4 > most:
                flush()
            small.append(unit)
            continue
        flush()
        out += [unit] if len(unit) <= most else _fragments(codec, unit, most)
    flush()
    return out


def _aggregate(codec: nal.Codec, units: list[bytes]) -> bytes:
    if codec == "h264":
        head = bytes([max(unit[0] & 0x60 for unit in units) | _STAP_A])
    else:
        head = bytes([_AP << 1, min(unit[1] & 0x07 for unit in units)])
    return head + b"".join(struct.pack(">H", len(unit)) + unit for unit in units)


def _fragments(codec: nal.Codec, unit: bytes, most: int) -> list[bytes]:
    if codec == "h264":
        indicator, kind, body = bytes([unit[0] & 0xE0 | _FU_A]), unit[0] & 0x1F, unit[1:]
    else:
        indicator, kind, body = bytes([unit[0] & 0x81 | _FU << 1, unit[1]]), unit[0] >> 1 & 0x3F, unit[2:]
    size = most - len(indicator) - 1
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    last = len(pieces) - 1
    return [
        indicator + bytes([(0x80 if number == 0 else 0) | (0x40 if number == last else 0) | kind]) + piece
        for number, piece in enumerate(pieces)
    ]
