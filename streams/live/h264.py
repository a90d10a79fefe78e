"""H.264 as live view needs it: NAL units of an access unit, and what a sequence parameter set says (H.264, 7.3.2.1.1).

Whether pictures are reordered (B-frames) decides whether a browser can play the stream by WebRTC.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import DecodeError

IDR, SEI, SPS, PPS, DELIMITER, FILLER = 5, 6, 7, 8, 9, 12
"""nal_unit_type (H.264, table 7-1)."""
_HIGH_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))


@dataclass(frozen=True, slots=True)
class SequenceFacts:
    """profile, constraints, level: the three bytes of `profile-level-id`. reorders: False when the parameter set rules
    B-frames out, True when it allows some, None when it does not say."""

    profile: int
    constraints: int
    level: int
    reorders: bool | None


def nal_units(data: bytes) -> Iterator[bytes]:
    """NAL units of an access unit with 4-byte lengths; what is cut off at the end is left out."""
    at, end = 0, len(data)
    while at + 4 < end:
        size = int.from_bytes(data[at : at + 4], "big")
        at += 4
        if size and at + size <= end:
            yield data[at : at + size]
        at += size


def parameter_sets(config: bytes) -> list[bytes]:
    """SPS and PPS of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1). Raises DecodeError."""
    sets = list[bytes]()
    at = 5
    for mask in (0x1F, 0xFF):
        if at >= len(config):
            raise DecodeError("The H.264 configuration record is cut off.")
        count, at = config[at] & mask, at + 1
        for _ in range(count):
            size = int.from_bytes(config[at : at + 2], "big")
            unit = config[at + 2 : at + 2 + size]
            if len(unit) != size or not size:
                raise DecodeError("The H.264 configuration record is cut off.")
            sets.append(unit)
            at += 2 + size
    return sets


def sequence_facts(sps: bytes) -> SequenceFacts:
    """Reads a sequence parameter set (one NAL unit with its header). Raises DecodeError."""
    bits = _Bits(sps[1:].replace(b"\0\0\3", b"\0\0"))
    profile, constraints, level = bits.take(8), bits.take(8), bits.take(8)
    bits.golomb()
    if profile in _HIGH_PROFILES:
        _skip_high(bits)
    bits.golomb()
    order_type = bits.golomb()
    if order_type == 0:
        bits.golomb()
    elif order_type == 1:
        bits.take(1)
        bits.golomb()
        bits.golomb()
        for _ in range(min(bits.golomb(), 255)):
            bits.golomb()
    if profile == 66 or order_type == 2:
        return SequenceFacts(profile, constraints, level, reorders=False)
    bits.golomb()
    bits.take(1)
    bits.golomb()
    bits.golomb()
    if not bits.take(1):
        bits.take(1)
    bits.take(1)
    if bits.take(1):
        for _ in range(4):
            bits.golomb()
    frames = _reordered_frames(bits) if bits.take(1) else None
    return SequenceFacts(profile, constraints, level, reorders=None if frames is None else frames > 0)


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise DecodeError("The H.264 sequence parameter set is cut off.")
        return self._value >> self._left & (1 << count) - 1

    def golomb(self) -> int:
        """ue(v); se(v) takes as many bits, and no signed value is of interest here (H.264, 9.1)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise DecodeError("The H.264 sequence parameter set holds a number that is too long.")
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        code = self.golomb()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _skip_high(bits: _Bits) -> None:
    chroma = bits.golomb()
    if chroma == 3:
        bits.take(1)
    bits.golomb()
    bits.golomb()
    bits.take(1)
    if not bits.take(1):
        return
    for number in range(12 if chroma == 3 else 8):
        if bits.take(1):
            last = following = 8
            for _ in range(16 if number < 6 else 64):
                if following:
                    following = (last + bits.signed()) % 256
                last = following or last


def _reordered_frames(bits: _Bits) -> int | None:
    """`max_num_reorder_frames` of the VUI parameters (H.264, E.1.1); None when they do not say."""
    if bits.take(1) and bits.take(8) == 255:
        bits.take(32)
    if bits.take(1):
        bits.take(1)
    if bits.take(1):
        bits.take(4)
        if bits.take(1):
            bits.take(24)
    if bits.take(1):
        bits.golomb()
        bits.golomb()
    if bits.take(1):
        bits.take(65)
    has_nal, has_vcl = bits.take(1), None
    if has_nal:
        _skip_hrd(bits)
    has_vcl = bits.take(1)
    if has_vcl:
        _skip_hrd(bits)
    if has_nal or has_vcl:
        bits.take(1)
    bits.take(1)
    if not bits.take(1):
        return None
    bits.take(1)
    for _ in range(4):
        bits.golomb()
    return bits.golomb()


def _skip_hrd(bits: _Bits) -> None:
    count = bits.golomb() + 1
    bits.take(8)
    for _ in range(min(count, 32)):
        bits.golomb()
        bits.golomb()
        bits.take(1)
    bits.take(20)
