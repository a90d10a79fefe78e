"""A loop: footage that is played for ever, kept as RTP packets made once and shared by all cameras that play it."""

import base64
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from simulators.cameras import nal
from simulators.cameras.packets import Framed, framed, payloads

VIDEO_HZ = 90_000
VIDEO_TYPE, AAC_TYPE, PCMA_TYPE = 96, 97, 8
"""RTP payload types."""


class EncodedUnit(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One access unit in decoding order. dts, pts: ticks from the loop's start; data: Annex B, or one audio frame."""

    dts: int
    pts: int
    is_key: bool
    data: bytes


class Encoded(msgspec.Struct, frozen=True, gc=False):
    """A loop as the encoder made it; this is what the cache keeps. duration: ticks of clock_hz."""

    codec: Literal["h264", "h265", "aac", "pcma"]
    duration: int
    units: list[EncodedUnit]
    clock_hz: int = VIDEO_HZ
    width: int = 0
    height: int = 0
    config: bytes = b""
    """AAC: AudioSpecificConfig."""


@dataclass(frozen=True, slots=True)
class Unit:
    """send: ticks from the loop's beginning at which it leaves; pts: its time stamp, from there, too."""

    send: int
    pts: int
    is_key: bool
    packets: Framed


@dataclass(frozen=True, slots=True)
class Loop:
    """Units in the order of sending, repeated for ever every `duration` ticks. format_lines: of the SDP."""

    codec: str
    clock_hz: int
    duration: int
    units: tuple[Unit, ...]
    payload_type: int
    format_lines: tuple[str, ...]
    width: int = 0
    height: int = 0
    sends: list[int] = field(default_factory=list)
    mean_bytes: float = 0.0

    def position(self, ticks: int) -> int:
        """Number of the first unit, counted over all repetitions, that leaves at or after so many ticks."""
        cycle, rest = divmod(ticks, self.duration)
        return cycle * len(self.units) + bisect_left(self.sends, rest)

    def key_at(self, position: int, step: int = 1) -> int:
        """Position of the next key unit from here on; step −1: of the last one before or here."""
        for _ in self.units:
            if self.units[position % len(self.units)].is_key:
                return position
            position += step
        return position


def prepared(encoded: Encoded) -> Loop:
    """The loop with its packets. A unit leaves when the latest of those that show earlier was taken."""
    delay = max(unit.pts - unit.dts for unit in encoded.units)
    first = min(unit.pts for unit in encoded.units)
    kind = {"h264": VIDEO_TYPE, "h265": VIDEO_TYPE, "aac": AAC_TYPE, "pcma": PCMA_TYPE}[encoded.codec]
    units = tuple(
        Unit(unit.dts + delay - first, unit.pts - first, unit.is_key, framed(_payloads(encoded, unit), kind))
        for unit in encoded.units
    )
    return Loop(
        encoded.codec,
        encoded.clock_hz,
        encoded.duration,
        units,
        kind,
        _format_lines(encoded, kind),
        encoded.width,
        encoded.height,
        [unit.send for unit in units],
        sum(len(unit.packets.template) for unit in units) / len(units),
    )


def _payloads(encoded: Encoded, unit: EncodedUnit) -> list[bytes]:
    if encoded.codec == "pcma":
        return [unit.data]
    if encoded.codec == "aac":  # RFC 3640 3.3.6: one header of 13 bits of size and 3 of index
        return [b"\x00\x10" + (len(unit.data) << 3).to_bytes(2, "big") + unit.data]
    units = [one for one in nal.split(unit.data) if not nal.is_dropped(encoded.codec, one)]
    return payloads(encoded.codec, units)


def _format_lines(encoded: Encoded, kind: int) -> tuple[str, ...]:
    if encoded.codec == "pcma":
        return (f"a=rtpmap:{kind} PCMA/8000",)
    if encoded.codec == "aac":
        settings = "profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3"
        return (
            f"a=rtpmap:{kind} MPEG4-GENERIC/{encoded.clock_hz}/1",
            f"a=fmtp:{kind} streamtype=5;{settings};config={encoded.config.hex()}",
        )
    key = next(unit for unit in encoded.units if unit.is_key)
    sets = [one for one in nal.split(key.data) if nal.is_parameter(encoded.codec, one)]
    text = [base64.b64encode(one).decode() for one in sets]
    if encoded.codec == "h264":
        level = sets[0][1:4].hex().upper()
        settings = f"packetization-mode=1;profile-level-id={level};sprop-parameter-sets={','.join(text)}"
        return (f"a=rtpmap:{kind} H264/{VIDEO_HZ}", f"a=fmtp:{kind} {settings}")
    names = {32: "sprop-vps", 33: "sprop-sps", 34: "sprop-pps"}
    settings = ";".join(f"{names[nal.kind('h265', one)]}={base64.b64encode(one).decode()}" for one in sets)
    return (f"a=rtpmap:{kind} H265/{VIDEO_HZ}", f"a=fmtp:{kind} {settings}")
