"""Other versions of a loop for faults: the same instants and key frames, other pictures or another size."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from simulators.cameras import nal, scenery
from simulators.cameras.encoder import Form, LoopEncoder, Picture
from simulators.cameras.loop import VIDEO_HZ, Encoded

FREEZE, RESOLUTION = "freeze", "resolution_change"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the picture. strength: 0–1; for `resolution_change` the new width ÷ the old one."""

    kind: str
    strength: float = 1.0

    @property
    def name(self) -> str:
        """Of the variant."""
        return f"{self.kind} {self.strength:g}"


def spoiled(plain: Encoded, fault: Fault, seed: int) -> Encoded:
    """The loop with the fault. Blocking: decodes and encodes all of it."""
    assert plain.codec in ("h264", "h265")
    codec: nal.Codec = "h264" if plain.codec == "h264" else "h265"
    factor = fault.strength if fault.kind == RESOLUTION else 1.0
    width, height = (max(round(side * factor / 2) * 2, 64) for side in (plain.width, plain.height))
    seconds = plain.duration / plain.clock_hz
    kbps = max(round(sum(len(unit.data) for unit in plain.units) * 8 / 1000 / seconds), 100)
    reordered = any(unit.pts != unit.dts for unit in plain.units)
    form = Form(width, height, len(plain.units) / seconds, kbps, 2.0, codec, reordered, fault.kind == FREEZE)
    first = min(unit.pts for unit in plain.units)
    keys = frozenset(unit.pts - first for unit in plain.units if unit.is_key)
    encoder = LoopEncoder(form, plain.duration, keys)
    held: Picture | None = None
    for pts, picture in _pictures(plain, codec):
        held = picture if held is None else held
        encoder.add(_faulty(picture, held, fault, seed, (pts - first) / VIDEO_HZ), pts - first)
    return encoder.finish()


def _faulty(picture: Picture, held: Picture, fault: Fault, seed: int, t_s: float) -> Picture:
    if fault.kind == FREEZE:
        return held
    if fault.kind == RESOLUTION:
        return picture
    return scenery.spoiled(picture, fault.kind, fault.strength, seed, t_s)


def _pictures(plain: Encoded, codec: nal.Codec) -> Iterator[tuple[int, Picture]]:
    context = av.CodecContext.create("h264" if codec == "h264" else "hevc", "r")
    assert isinstance(context, av.VideoCodecContext)
    context.thread_count = 1
    for unit in [*plain.units, None]:
        packet = None
        if unit is not None:
            packet = av.Packet(unit.data)
            packet.pts, packet.dts, packet.time_base = unit.pts, unit.dts, Fraction(1, VIDEO_HZ)
        for frame in context.decode(packet):
            assert frame.pts is not None
            yield frame.pts, frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)
