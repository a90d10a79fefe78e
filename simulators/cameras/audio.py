"""A sound track for tests: a tone that swells, as G.711 A-law (8 kHz) or AAC (16 kHz), mono."""

from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from simulators.cameras.loop import Encoded, EncodedUnit, Loop, prepared
from simulators.errors import SimulatorError

SECONDS = 8
_PCMA_STEP = 320
"""Samples a packet of G.711: 40 ms."""


def loops(kind: str) -> list[Loop]:
    """No loop for `none`, else the one of `pcma` or `aac`. Raises SimulatorError."""
    if kind == "none":
        return []
    if kind not in ("pcma", "aac"):
        raise SimulatorError(f"--audio takes none, pcma or aac, not {kind!r}")
    return [prepared(_pcma() if kind == "pcma" else _aac())]


def _tone(rate: int) -> NDArray[np.float32]:
    t = np.arange(SECONDS * rate) / rate
    return (0.3 * np.sin(2 * np.pi * 440 * t) * (0.6 + 0.4 * np.sin(np.pi * t))).astype(np.float32)


def _packets(context: av.AudioCodecContext, samples: NDArray[np.int16] | NDArray[np.float32], step: int) -> list[bytes]:
    form, found = context.format.name, []
    for at in range(0, samples.size, step):
        frame = av.AudioFrame.from_ndarray(samples[None, at : at + step], format=form, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = context.sample_rate, at, Fraction(1, context.sample_rate)
        found += [bytes(packet) for packet in context.encode(frame)]
    return found + [bytes(packet) for packet in context.encode(None)]


def _pcma() -> Encoded:
    context = _context("pcm_alaw", 8000, "s16")
    data = _packets(context, (_tone(8000) * 32767).astype(np.int16), _PCMA_STEP)
    units = [EncodedUnit(n * _PCMA_STEP, n * _PCMA_STEP, True, one) for n, one in enumerate(data)]
    return Encoded("pcma", len(units) * _PCMA_STEP, units, 8000)


def _aac() -> Encoded:
    context = _context("aac", 16_000, "fltp")
    context.bit_rate = 32_000
    data = _packets(context, _tone(16_000), 1024)
    units = [EncodedUnit(n * 1024, n * 1024, True, one) for n, one in enumerate(data)]
    return Encoded("aac", len(units) * 1024, units, 16_000, config=bytes(context.extradata or b""))


def _context(name: str, rate: int, form: str) -> av.AudioCodecContext:
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.format, context.layout = rate, form, "mono"
    return context
