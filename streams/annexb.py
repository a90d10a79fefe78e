"""Annex B: what cameras send of H.264 and H.265, taken apart and put into the form that MP4 wants.

In: one access unit with start codes (3 or 4 bytes). Out: the same NAL units, each with its length in 4 bytes before
it, what kinds of units it holds, and configuration records made from parameter sets. Pure; nothing here raises anything
but DecodeError, and that only where it says so. It runs for every packet: searching is left to `bytes.find`.

Sources: ITU-T H.264 7.3.1, 7.4.1.2.4, annex B, D.2.8; H.265 7.4.2.2, annex B; ISO/IEC 14496-15 5.3.3.1, 8.3.3.1.
"""

import struct
from dataclasses import dataclass
from typing import Literal

from core.errors import DecodeError
from core.media import VideoFormat
from streams.parameter_sets import read_h264, read_h265

Codec = Literal["h264", "h265"]
FoundSets = tuple[tuple[bytes, ...], tuple[bytes, ...], tuple[bytes, ...]]
"""VPS, SPS, PPS."""

_START = b"\x00\x00\x01"
_H264_SPS, _H264_PPS, _H264_SEI, _H264_IDR = 7, 8, 6, 5
_H265_VPS, _H265_SPS, _H265_PPS = 32, 33, 34
_H265_IRAP = range(16, 24)
"""Pictures at which decoding may begin: BLA, IDR, CRA and the reserved ones (H.265 table 7-1)."""
_RECOVERY_POINT = 6
_MOST_SETS = 16
"""Parameter sets of one kind that a stream may hold; beyond it the bytes are no video."""


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """Parameter sets in force, NAL units without start code or length. vps: H.265 only. sps, pps: at least one each."""

    vps: tuple[bytes, ...]
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """data: NAL units with 4-byte lengths, in the order sent. is_key: decoding may begin here.

    sets: (VPS, SPS, PPS) units found inside; None when there is none at all, which is so for most packets.
    """

    data: bytes
    is_key: bool
    sets: FoundSets | None


def split(data: bytes) -> list[bytes]:
    """The NAL units of an Annex B byte stream, without start codes and without the zeros around them.

    What stands before the first start code is left out; without any start code there are no units.
    """
    units: list[bytes] = []
    start = data.find(_START)
    while start >= 0:
        start += 3
        end = data.find(_START, start)
        unit = data[start:end] if end >= 0 else data[start:]
        if unit[-1:] == b"\x00":
            unit = unit.rstrip(b"\x00")
        if unit:
            units.append(unit)
        start = end
    return units


def length_prefixed(units: list[bytes]) -> bytes:
    """The units one after another, each with its length (4 bytes, big-endian) before it."""
    parts: list[bytes] = []
    for unit in units:
        parts.append(len(unit).to_bytes(4, "big"))
        parts.append(unit)
    return b"".join(parts)


def access_unit(data: bytes, codec: Codec) -> AccessUnit:
    """Takes one access unit apart. Bytes without a start code give an empty unit that is no key."""
    units = split(data)
    kinds = [unit[0] & 31 for unit in units] if codec == "h264" else [unit[0] >> 1 & 63 for unit in units]
    sets: FoundSets | None
    if codec == "h264":
        sets, is_recovery = h264_extras(units)
        is_key = _H264_IDR in kinds or is_recovery
    else:
        sets = h265_extras(units)
        is_key = any(kind in _H265_IRAP for kind in kinds)
    return AccessUnit(length_prefixed(units), is_key, sets)


def h264_extras(units: list[bytes]) -> tuple[FoundSets | None, bool]:
    """Of NAL units: the parameter sets, None without any; and whether one says that decoding may begin here."""
    kinds = [unit[0] & 31 for unit in units]
    is_recovery = _H264_SEI in kinds and _is_recovery_point(units)
    if _H264_SPS not in kinds and _H264_PPS not in kinds:
        return None, is_recovery
    return ((), _of(units, kinds, _H264_SPS), _of(units, kinds, _H264_PPS)), is_recovery


def h265_extras(units: list[bytes]) -> FoundSets | None:
    """Of NAL units: the parameter sets, None without any."""
    kinds = [unit[0] >> 1 & 63 for unit in units]
    if not {_H265_VPS, _H265_SPS, _H265_PPS} & set(kinds):
        return None
    return _of(units, kinds, _H265_VPS), _of(units, kinds, _H265_SPS), _of(units, kinds, _H265_PPS)


def reorder_depth(codec: Codec, sets: ParameterSets) -> int:
    """How many pictures may be sent before one that is shown earlier. Raises DecodeError."""
    return read_h264(sets.sps[0]).reorder if codec == "h264" else read_h265(sets.sps[0]).reorder


def merged(old: ParameterSets | None, found: FoundSets) -> ParameterSets | None:
    """`old` with each kind replaced that `found` (VPS, SPS, PPS) has; the same object when nothing changes.

    None while there is not yet an SPS and a PPS.
    """
    vps, sps, pps = (
        new or before for new, before in zip(found, (old.vps, old.sps, old.pps) if old else ((), (), ()), strict=True)
    )
    if not sps or not pps:
        return None
    made = ParameterSets(vps, sps, pps)
    return old if made == old else made


def from_extradata(extradata: bytes, codec: Codec) -> ParameterSets | None:
    """Parameter sets that came beside the stream (SDP), as Annex B; None when they are not complete."""
    sets = access_unit(extradata, codec).sets
    return merged(None, sets) if sets else None


def video_format(codec: Codec, sets: ParameterSets) -> VideoFormat:
    """Format of a track with these parameter sets. Raises DecodeError when they cannot be read."""
    if max(len(sets.vps), len(sets.sps), len(sets.pps)) > _MOST_SETS:
        raise DecodeError("There are more parameter sets than a stream can have.")
    if codec == "h264":
        return _avc_format(sets)
    return _hevc_format(sets)


def _of(units: list[bytes], kinds: list[int], kind: int) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(unit for unit, its in zip(units, kinds, strict=True) if its == kind))


def _is_recovery_point(units: list[bytes]) -> bool:
    """A recovery point SEI with recovery_frame_cnt 0: an open GOP begins, the picture is whole at once."""
    for unit in units:
        if unit[0] & 31 != _H264_SEI:
            continue
        at = 1
        while at + 2 <= len(unit) - 1:
            kind, at = _sei_number(unit, at)
            size, at = _sei_number(unit, at)
            if kind == _RECOVERY_POINT:
                return at < len(unit) and unit[at] & 0x80 != 0  # ue(v) 0 is a single bit 1
            at += size
    return False


def _sei_number(unit: bytes, at: int) -> tuple[int, int]:
    number = 0
    while at < len(unit) and unit[at] == 255:
        number += 255
        at += 1
    return (number + unit[at], at + 1) if at < len(unit) else (number, at)


def _avc_format(sets: ParameterSets) -> VideoFormat:
    """AVCDecoderConfigurationRecord; the extension with chroma and depth only for the profiles that have it."""
    first = sets.sps[0]
    picture = read_h264(first)
    parts = [bytes((1, first[1], first[2], first[3], 0xFF, 0xE0 | len(sets.sps)))]
    parts += [struct.pack(">H", _short(sps)) + sps for sps in sets.sps]
    parts.append(bytes((len(sets.pps),)))
    parts += [struct.pack(">H", _short(pps)) + pps for pps in sets.pps]
    if picture.profile not in (66, 77, 88):
        parts.append(bytes((0xFC | picture.chroma, 0xF8 | picture.luma_bits - 8, 0xF8 | picture.chroma_bits - 8, 0)))
    return VideoFormat("h264", picture.width, picture.height, b"".join(parts))


def _hevc_format(sets: ParameterSets) -> VideoFormat:
    """HEVCDecoderConfigurationRecord; what a camera's stream does not tell (segmentation, frame rate) is 0."""
    picture = read_h265(sets.sps[0])
    head = struct.pack(
        ">B12sHBBBBHBB",
        1,
        picture.profile_tier_level,
        0xF000,
        0xFC,
        0xFC | picture.chroma,
        0xF8 | picture.luma_bits - 8,
        0xF8 | picture.chroma_bits - 8,
        0,
        picture.layers << 3 | (4 if picture.is_nested else 0) | 3,
        sum(bool(units) for units in (sets.vps, sets.sps, sets.pps)),
    )
    parts = [head]
    for kind, units in ((_H265_VPS, sets.vps), (_H265_SPS, sets.sps), (_H265_PPS, sets.pps)):
        if units:
            parts.append(struct.pack(">BH", 0x80 | kind, len(units)))
            parts += [struct.pack(">H", _short(unit)) + unit for unit in units]
    return VideoFormat("h265", picture.width, picture.height, b"".join(parts))


def _short(unit: bytes) -> int:
    if len(unit) > 0xFFFF:
        raise DecodeError("A parameter set is longer than 65,535 bytes.")
    return len(unit)
