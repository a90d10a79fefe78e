"""NAL units of H.264 and H.265: taken apart, named, put together (ITU-T H.264 and H.265, 7.3.1 and Annex B)."""

from collections.abc import Iterable
from typing import Literal

Codec = Literal["h264", "h265"]
START_CODE = b"\x00\x00\x00\x01"
_SPS, _PPS, _IDR, _AUD, _SEI = 7, 8, 5, 9, 6
_H265_PARAMETERS = (32, 33, 34)
_H265_IDR = (19, 20)
_H265_IRAP = range(16, 24)
_H265_DROPPED = (35, 39, 40)


def split(annex_b: bytes) -> list[bytes]:
    """NAL units between start codes of three or four bytes, without them and without trailing zeros."""
    units = []
    at = annex_b.find(b"\x00\x00\x01")
    while at >= 0:
        begin = at + 3
        at = annex_b.find(b"\x00\x00\x01", begin)
        unit = annex_b[begin : at if at >= 0 else len(annex_b)].rstrip(b"\x00")
        if unit:
            units.append(unit)
    return units


def joined(units: Iterable[bytes]) -> bytes:
    """Annex B with four-byte start codes."""
    return b"".join(START_CODE + unit for unit in units)


def kind(codec: Codec, unit: bytes) -> int:
    """nal_unit_type."""
    return unit[0] & 0x1F if codec == "h264" else unit[0] >> 1 & 0x3F


def is_picture(codec: Codec, unit: bytes) -> bool:
    """Whether it is a coded slice."""
    return 1 <= kind(codec, unit) <= 5 if codec == "h264" else kind(codec, unit) < 32


def is_parameter(codec: Codec, unit: bytes) -> bool:
    """Whether it is a VPS, SPS or PPS."""
    return kind(codec, unit) in ((_SPS, _PPS) if codec == "h264" else _H265_PARAMETERS)


def is_dropped(codec: Codec, unit: bytes) -> bool:
    """Delimiters and SEI: nobody needs them, and cameras of the plain sort send none."""
    return kind(codec, unit) in ((_AUD, _SEI) if codec == "h264" else _H265_DROPPED)


def is_key(codec: Codec, units: Iterable[bytes], *, any_random_access: bool = False) -> bool:
    """Whether decoding can begin with this access unit and nothing before is needed later (IDR).

    any_random_access: CRA and BLA of H.265 count, too.
    """
    if codec == "h264":
        return any(kind(codec, unit) == _IDR for unit in units)
    keys = _H265_IRAP if any_random_access else _H265_IDR
    return any(kind(codec, unit) in keys for unit in units)
