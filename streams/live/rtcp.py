"""RTCP of a viewer: what it asks for (RFC 4585, RFC 5104), and our sender reports (RFC 3550, 6.4.1). Pure."""

import struct
from dataclasses import dataclass, field

_RECEIVER_REPORT, _BYE, _TRANSPORT_FEEDBACK, _PAYLOAD_FEEDBACK = 201, 203, 205, 206
_NACK, _PLI, _FIR = 1, 1, 4
_NTP_EPOCH_S = 2_208_988_800
_MOST_LOST = 512
"""Packets that one RTCP datagram may ask for again."""


@dataclass(slots=True)
class Wishes:
    """lost: sequence numbers to be sent again. wants_key: PLI or FIR. lost_share: 0–1, of the last report."""

    lost: list[int] = field(default_factory=list)
    wants_key: bool = False
    is_goodbye: bool = False
    lost_share: float | None = None


def read(data: bytes, ssrc: int) -> Wishes:
    """Reads a compound packet as far as it concerns `ssrc`; what is malformed is passed over."""
    wishes = Wishes()
    at = 0
    while at + 8 <= len(data):
        count, kind = data[at] & 31, data[at + 1]
        size = 4 * (int.from_bytes(data[at + 2 : at + 4], "big") + 1)
        body = data[at + 4 : at + size]
        at += size
        if kind == _RECEIVER_REPORT and count and len(body) >= 28 and _number(body, 4) == ssrc:
            wishes.lost_share = body[8] / 256
        elif kind == _BYE:
            wishes.is_goodbye = True
        elif kind == _TRANSPORT_FEEDBACK and count == _NACK and len(body) >= 8 and _number(body, 4) == ssrc:
            _take_lost(wishes.lost, body)
        elif kind == _PAYLOAD_FEEDBACK and len(body) >= 8:
            targets = [_number(body, 4)] if count == _PLI else [_number(body, n) for n in range(8, len(body) - 7, 8)]
            wishes.wants_key |= count in (_PLI, _FIR) and ssrc in targets
    return wishes


def _take_lost(lost: list[int], body: bytes) -> None:
    for at in range(8, len(body) - 3, 4):
        first, mask = struct.unpack_from(">HH", body, at)
        lost.append(first)
        lost.extend((first + bit + 1) & 0xFFFF for bit in range(16) if mask >> bit & 1)
        if len(lost) > _MOST_LOST:
            return


def _number(body: bytes, at: int) -> int:
    return int.from_bytes(body[at : at + 4], "big")


def sender_report(ssrc: int, utc_us: int, timestamp: int, packets: int, octets: int) -> bytes:
    """SR and SDES with a CNAME. utc_us: when `timestamp` (RTP) was sent, epoch microseconds."""
    seconds, rest = divmod(utc_us, 1_000_000)
    ntp = (seconds + _NTP_EPOCH_S << 32) + (rest << 32) // 1_000_000
    report = struct.pack(
        ">BBHIQIII", 0x80, 200, 6, ssrc, ntp & 0xFFFFFFFFFFFFFFFF, timestamp, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF
    )
    return report + struct.pack(">BBHIBB6s4x", 0x81, 202, 4, ssrc, 1, 6, b"wangge")


def goodbye(ssrc: int) -> bytes:
    """BYE."""
    return struct.pack(">BBHI", 0x81, _BYE, 1, ssrc)
