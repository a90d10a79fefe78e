"""Other versions of a loop for faults: the same instants and key frames, other pictures or another size."""

import io
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

from simulators.cameras import nal, scenery
from simulators.cameras.encoder import Form, LoopEncoder, Picture
from simulators.cameras.loop import VIDEO_HZ, Encoded, EncodedUnit

FREEZE, RESOLUTION = "freeze", "resolution_change"
BLOCK = 16
"""Encoders work on whole blocks of so many pixels."""


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
    if fault.kind == FREEZE:
        return frozen(plain, codec)
    width, height = (max(round(side * factor / 2) * 2, 64) for side in (plain.width, plain.height))
    seconds = plain.duration / plain.clock_hz
    kbps = max(round(sum(len(unit.data) for unit in plain.units) * 8 / 1000 / seconds), 100)
    reordered = any(unit.pts != unit.dts for unit in plain.units)
    form = Form(width, height, len(plain.units) / seconds, kbps, 2.0, codec, reordered)
    first = min(unit.pts for unit in plain.units)
    keys = frozenset(unit.pts - first for unit in plain.units if unit.is_key)
    encoder = LoopEncoder(form, plain.duration, keys)
    for pts, picture in _pictures(plain, codec):
        t_s = (pts - first) / VIDEO_HZ
        spoilt = (
            picture if fault.kind == RESOLUTION else scenery.spoiled(picture, fault.kind, fault.strength, seed, t_s)
        )
        encoder.add(spoilt, pts - first)
    return encoder.finish()


def frozen(plain: Encoded, codec: nal.Codec) -> Encoded:
    """The loop with its first picture standing still: every picture decodes to the very same bytes.

    One GOP is made, its key frame from the picture, all others from what that decodes to, so that nothing is left to
    encode. Every GOP of the loop is as much of it as is needed. Encoders fill up to whole blocks by themselves, which
    would leave something: so the picture is filled up here and the stream cropped.
    """
    instants = sorted(unit.pts for unit in plain.units)
    keys = sorted(unit.pts for unit in plain.units if unit.is_key)
    counts = [bisect_left(instants, end) - bisect_left(instants, begin) for begin, end in pairwise([*keys, 1 << 62])]
    picture = next(_frames(plain.units, codec)).to_ndarray(format="bgr24").astype(np.uint8, copy=False)
    right, bottom = -plain.width % BLOCK, -plain.height % BLOCK
    filled: Picture = np.pad(picture, ((0, bottom), (0, right), (0, 0)), mode="edge")
    fps = len(instants) / (plain.duration / plain.clock_hz)
    form = Form(plain.width + right, plain.height + bottom, fps, 0, 1e9, codec, plainest=True)
    encoder = LoopEncoder(form, 1)
    encoder.add(filled, 0)
    held = next(_frames(encoder.units(), codec))
    for number in range(1, max(counts)):
        encoder.add_frame(held, number * 6000)
    gop = [unit.data for unit in encoder.finish().units]
    gop[0] = _cropped(gop[0], codec, right, bottom)
    places = [place for count in counts for place in range(count)]
    units = [
        EncodedUnit(at - instants[0], at - instants[0], place == 0, gop[place])
        for at, place in zip(instants, places, strict=True)
    ]
    return Encoded(codec, plain.duration, units, VIDEO_HZ, plain.width, plain.height)


def _cropped(key: bytes, codec: nal.Codec, right: int, bottom: int) -> bytes:
    """The key frame with parameter sets that hide so many columns and rows."""
    name = "h264" if codec == "h264" else "hevc"
    with av.open(io.BytesIO(key), "r", format=name) as container:
        stream = container.streams.video[0]
        change = BitStreamFilterContext(f"{name}_metadata=crop_right={right}:crop_bottom={bottom}", stream)
        return b"".join(bytes(one) for packet in container.demux(stream) for one in change.filter(packet))


def _pictures(plain: Encoded, codec: nal.Codec) -> Iterator[tuple[int, Picture]]:
    for frame in _frames(plain.units, codec):
        assert frame.pts is not None
        yield frame.pts, frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)


def _frames(units: Sequence[EncodedUnit], codec: nal.Codec) -> Iterator[av.VideoFrame]:
    """In the order of showing."""
    context = av.CodecContext.create("h264" if codec == "h264" else "hevc", "r")
    assert isinstance(context, av.VideoCodecContext)
    context.thread_count = 1
    for unit in [*units, None]:
        packet = None
        if unit is not None:
            packet = av.Packet(unit.data)
            packet.pts, packet.dts, packet.time_base = unit.pts, unit.dts, Fraction(1, VIDEO_HZ)
        yield from context.decode(packet)
