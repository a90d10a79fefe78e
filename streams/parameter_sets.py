"""Sequence parameter sets of H.264 and H.265: the few figures that a track's description needs.

In: one SPS NAL unit. Out: size of the shown picture, chroma format, depth, profile. Only DecodeError is raised.
Sources: ITU-T H.264 7.3.2.1.1, table 6-1; H.265 7.3.2.2.1, 7.3.3.
"""

from dataclasses import dataclass

from core.errors import DecodeError

_HIGH_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))
_CROP_UNITS = {0: (1, 1), 1: (2, 2), 2: (2, 1), 3: (1, 1)}
"""SubWidthC, SubHeightC by chroma_format_idc."""
_LARGEST = 16_384
"""Pixels a side; what says more is no picture."""


@dataclass(frozen=True, slots=True)
class H264Picture:
    """width, height: shown pixels (cropped). chroma: chroma_format_idc. *_bits: 8 to 14. reorder: pictures that may be
    sent before one that is shown earlier, as far as the set tells (0 otherwise)."""

    profile: int
    width: int
    height: int
    chroma: int
    luma_bits: int
    chroma_bits: int
    reorder: int


@dataclass(frozen=True, slots=True)
class H265Picture:
    """profile_tier_level: the 12 bytes from general_profile_space to general_level_idc. layers: temporal, 1 to 7."""

    width: int
    height: int
    chroma: int
    luma_bits: int
    chroma_bits: int
    profile_tier_level: bytes
    layers: int
    is_nested: bool
    reorder: int


class _Bits:
    """Reads a raw byte sequence payload bit by bit. Raises DecodeError past its end."""

    def __init__(self, unit: bytes) -> None:
        payload = unit.replace(b"\x00\x00\x03", b"\x00\x00")
        self._number = int.from_bytes(payload, "big")
        self._left = len(payload) * 8

    def u(self, count: int) -> int:
        """u(count)."""
        self._left -= count
        if self._left < 0:
            raise DecodeError("A parameter set is cut off.")
        return self._number >> self._left & (1 << count) - 1

    def ue(self) -> int:
        """ue(v), at most 32 bits."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:
                raise DecodeError("A parameter set holds a number that is too large.")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """se(v)."""
        number = self.ue()
        return -(number >> 1) if number & 1 == 0 else (number + 1) >> 1


def read_h264(sps: bytes) -> H264Picture:
    """Reads an H.264 SPS with its NAL header. Raises DecodeError."""
    if len(sps) < 5 or len(sps) > 4096 or sps[0] & 31 != 7:
        raise DecodeError("This is no H.264 sequence parameter set.")
    bits = _Bits(sps[1:])
    profile = bits.u(8)
    bits.u(16)
    bits.ue()
    chroma, luma_bits, chroma_bits, is_split = 1, 8, 8, 0
    if profile in _HIGH_PROFILES:
        chroma = bits.ue()
        is_split = bits.u(1) if chroma == 3 else 0
        luma_bits, chroma_bits = 8 + bits.ue(), 8 + bits.ue()
        bits.u(1)
        if bits.u(1):
            for index in range(12 if chroma == 3 else 8):
                if bits.u(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    bits.ue()
    _skip_order_count(bits)
    bits.ue()
    bits.u(1)
    columns, rows = bits.ue() + 1, bits.ue() + 1
    fields = 2 - bits.u(1)
    if fields == 2:
        bits.u(1)
    bits.u(1)
    crop = [bits.ue() for _ in range(4)] if bits.u(1) else [0] * 4
    _check_format(chroma, luma_bits, chroma_bits)
    across, down = (1, 1) if is_split else _CROP_UNITS[chroma]
    width = columns * 16 - (crop[0] + crop[1]) * across
    height = rows * 16 * fields - (crop[2] + crop[3]) * down * fields
    _check_size(width, height)
    return H264Picture(profile, width, height, chroma, luma_bits, chroma_bits, _h264_reorder(bits))


def read_h265(sps: bytes) -> H265Picture:
    """Reads an H.265 SPS with its NAL header. Raises DecodeError."""
    if len(sps) < 16 or len(sps) > 4096 or sps[0] >> 1 & 63 != 33:
        raise DecodeError("This is no H.265 sequence parameter set.")
    bits = _Bits(sps[2:])
    bits.u(4)
    layers = bits.u(3) + 1
    is_nested = bool(bits.u(1))
    profile_tier_level = bits.u(96).to_bytes(12, "big")
    present = [(bits.u(1), bits.u(1)) for _ in range(layers - 1)]
    if layers > 1:
        bits.u(2 * (9 - layers))
    for has_profile, has_level in present:
        bits.u(88 * has_profile + 8 * has_level)
    bits.ue()
    chroma = bits.ue()
    is_split = bits.u(1) if chroma == 3 else 0
    width, height = bits.ue(), bits.ue()
    crop = [bits.ue() for _ in range(4)] if bits.u(1) else [0] * 4
    luma_bits, chroma_bits = 8 + bits.ue(), 8 + bits.ue()
    bits.ue()
    reorder = 0
    for _ in range(layers if bits.u(1) else 1):
        bits.ue()
        reorder = min(bits.ue(), 16)
        bits.ue()
    _check_format(chroma, luma_bits, chroma_bits)
    across, down = (1, 1) if is_split else _CROP_UNITS[chroma]
    width -= (crop[0] + crop[1]) * across
    height -= (crop[2] + crop[3]) * down
    _check_size(width, height)
    return H265Picture(width, height, chroma, luma_bits, chroma_bits, profile_tier_level, layers, is_nested, reorder)


def _h264_reorder(bits: _Bits) -> int:
    """max_num_reorder_frames of the VUI that follows (H.264 E.1.1); 0 where there is none or it is cut off."""
    try:
        if not bits.u(1):
            return 0
        if bits.u(1) and bits.u(8) == 255:
            bits.u(32)
        bits.u(bits.u(1))
        if bits.u(1) and (bits.u(4), bits.u(1))[1]:
            bits.u(24)
        if bits.u(1):
            bits.ue()
            bits.ue()
        bits.u(65 * bits.u(1))
        has_rate = [_skip_rate(bits) for _ in range(2) if bits.u(1)]
        bits.u(bool(has_rate) + 1)
        if not bits.u(1):
            return 0
        bits.u(1)
        for _ in range(4):
            bits.ue()
        return min(bits.ue(), 16)
    except DecodeError:
        return 0


def _skip_rate(bits: _Bits) -> bool:
    """hrd_parameters() (E.1.2)."""
    count = bits.ue() + 1
    if count > 32:
        raise DecodeError("A parameter set has too many buffer models.")
    bits.u(8)
    for _ in range(count):
        bits.ue()
        bits.ue()
        bits.u(1)
    bits.u(20)
    return True


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) & 255
        last = following or last


def _skip_order_count(bits: _Bits) -> None:
    kind = bits.ue()
    if kind == 0:
        bits.ue()
    elif kind == 1:
        bits.u(1)
        bits.se()
        bits.se()
        count = bits.ue()
        if count > 255:
            raise DecodeError("A parameter set has too many reference frames in its order count.")
        for _ in range(count):
            bits.se()


def _check_format(chroma: int, luma_bits: int, chroma_bits: int) -> None:
    if chroma > 3 or luma_bits > 14 or chroma_bits > 14:
        raise DecodeError("A parameter set names a picture format that does not exist.")


def _check_size(width: int, height: int) -> None:
    if not (0 < width <= _LARGEST and 0 < height <= _LARGEST):
        raise DecodeError(f"A parameter set names a picture of {width} × {height} pixels.")
