"""Sound of a camera as MP4 takes it: AAC as it comes, anything else that libav decodes (G.711, G.726) made into AAC."""

from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.fifo import AudioFifo
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream

from core.media import TICKS_PER_S, AudioFormat

_BITS_PER_S = 32_000
_FRAME = 1024
"""Samples of an AAC frame."""
_OBJECT_LC = 2
_TOLERANCE_S = 0.2
"""Time stamps that stray less are jitter: sound goes on without a seam."""
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


class Sound:
    """One connection's sound. Used by the camera's thread only. Raises what PyAV raises."""

    def __init__(self, stream: AudioStream) -> None:
        """Raises ValueError for a stream without a rate that AAC knows."""
        context = stream.codec_context
        if context.name == "aac" and context.extradata:
            self.format = AudioFormat(context.sample_rate, context.channels, bytes(context.extradata))
            self._encoder: AudioCodecContext | None = None
            return
        rate = context.sample_rate
        self.format = AudioFormat(rate, 1, _config(rate))
        self._encoder = encoder = av.CodecContext.create("aac", "w")
        encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", "fltp"
        encoder.time_base, encoder.bit_rate = Fraction(1, rate), _BITS_PER_S
        self._resampler = AudioResampler(format="fltp", layout="mono", rate=rate)
        self._fifo = AudioFifo()
        self._next = 0
        """Time stamp of the next sample that leaves, in samples."""

    def frames(self, packet: "av.Packet[AudioStream]") -> Iterator[tuple[int | None, int, bytes]]:
        """The AAC frames that are whole with this packet: pts, duration (ticks of 1/90 000 s), raw AAC."""
        rate = self.format.rate_hz
        if self._encoder is None:
            if packet.size:
                yield _ticks(packet.pts, packet.time_base), _FRAME * TICKS_PER_S // rate, bytes(packet)
            return
        if packet.pts is not None and packet.time_base is not None:
            heard = int(packet.pts * packet.time_base * rate) - self._fifo.samples
            if abs(heard - self._next) > rate * _TOLERANCE_S:
                self._next = heard  # sound was lost, or the camera's clock leapt
        for frame in packet.decode():
            for part in self._resampler.resample(frame):
                part.pts = None
                self._fifo.write(part)
        for whole in self._fifo.read_many(_FRAME):
            whole.pts, whole.time_base = self._next, Fraction(1, rate)
            self._next += _FRAME
            for made in self._encoder.encode(whole):
                yield _ticks(made.pts, Fraction(1, rate)), _FRAME * TICKS_PER_S // rate, bytes(made)


def _ticks(time: int | None, base: Fraction | None) -> int | None:
    return None if time is None or base is None else int(time * base * TICKS_PER_S)


def _config(rate: int) -> bytes:
    """AudioSpecificConfig of mono AAC-LC."""
    if rate not in _RATES:
        raise ValueError(f"AAC has no sample rate of {rate} Hz")
    return (_OBJECT_LC << 11 | _RATES.index(rate) << 7 | 1 << 3).to_bytes(2, "big")
