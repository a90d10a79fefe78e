"""RTP of H.264 (RFC 6184, packetization-mode 1): an access unit becomes payloads once, for all viewers of a camera."""

import struct

from core.media import Packet
from streams.live.h264 import DELIMITER, FILLER, PPS, SPS, nal_units

MOST_PAYLOAD = 1150
"""Bytes of a payload: with RTP header, extension and SRTP trailer under 1,200, which every path to a browser takes."""
_STAP_A, _FU_A = 24, 28


def payloads(packet: Packet, sets: list[bytes]) -> list[bytes]:
    """Payloads of one access unit, at least one unless it is empty.

    sets: SPS and PPS, in front of a key picture that does not carry its own. Delimiters and filler are left out.
    """
    units = [unit for unit in nal_units(packet.data) if unit[0] & 31 not in (DELIMITER, FILLER)]
    if packet.is_key and not {SPS, PPS} <= {unit[0] & 31 for unit in units}:
        units = sets + units
    return _packetised(units)


def _packetised(units: list[bytes]) -> list[bytes]:
    made = list[bytes]()
    gathered = list[bytes]()
    size = 1
    for unit in units:
        if size + 2 + len(unit) > MOST_PAYLOAD:
            made += _aggregated(gathered)
            gathered, size = [], 1
        if len(unit) > MOST_PAYLOAD:
            made += _fragmented(unit)
        else:
            gathered.append(unit)
            size += 2 + len(unit)
    return made + _aggregated(gathered)


def _aggregated(units: list[bytes]) -> list[bytes]:
    """One STAP-A (RFC 6184, 5.7.1), or the only unit as it is."""
    if len(units) < 2:
        return units
    importance = max(unit[0] & 0x60 for unit in units)
    parts = [bytes((importance | _STAP_A,))]
    for unit in units:
        parts += (struct.pack(">H", len(unit)), unit)
    return [b"".join(parts)]


def _fragmented(unit: bytes) -> list[bytes]:
    """FU-A pieces (RFC 6184, 5.8), of one size but the last."""
    indicator, kind = unit[0] & 0xE0 | _FU_A, unit[0] & 31
    starts = range(1, len(unit), MOST_PAYLOAD - 2)
    heads = [bytes((indicator, kind))] * len(starts)
    heads[0] = bytes((indicator, kind | 0x80))
    heads[-1] = bytes((indicator, kind | 0x40))
    return [head + unit[at : at + MOST_PAYLOAD - 2] for head, at in zip(heads, starts, strict=True)]
