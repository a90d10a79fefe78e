"""Packets as a camera's reader makes them, from pictures that are really encoded (x264, x265, AAC by PyAV).

Every picture shows its number as bars, so that a test can tell from a decoded picture which one it is.
"""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Literal

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from core.media import AUDIO, TICKS_PER_S, VIDEO, AudioFormat, Packet, TrackFormats, VideoFormat

BITS = 16


def picture(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """Luma and chroma (yuv420p, shape (height * 3 // 2, width)): 16 columns, white where the bit of `number` is set."""
    image = np.full((height * 3 // 2, width), 128, np.uint8)
    column = width // BITS
    for bit in range(BITS):
        image[:height, bit * column : (bit + 1) * column] = 220 if number >> bit & 1 else 30
    return image


def number_of(luma: NDArray[np.uint8]) -> int:
    """What `picture` drew. luma: shape (height, width), or the grey of a decoded picture."""
    column = luma.shape[1] // BITS
    middles = [luma[:, bit * column + column // 4 : (bit + 1) * column - column // 4].mean() for bit in range(BITS)]
    return sum(1 << bit for bit, mean in enumerate(middles) if mean > 128)


def encode_video(
    codec: Literal["h264", "h265"],
    times_90k: list[int],
    *,
    width: int = 320,
    height: int = 192,
    gop: int = 15,
    b_frames: int = 0,
    first: int = 0,
    session: int = 0,
) -> list[Packet]:
    """One packet a picture, in decoding order, lengths before NAL units, parameter sets in band before each key.

    times_90k: pts of the pictures, rising; first: number drawn on the first one.
    """
    context = av.CodecContext.create("libx264" if codec == "h264" else "libx265", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, TICKS_PER_S), Fraction(25)
    gop_options = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={b_frames}:repeat-headers=1:annexb=1"
    if codec == "h264":
        context.options = {"preset": "ultrafast", "x264-params": f"{gop_options}:force-cfr=0"}
    else:
        context.options = {"preset": "ultrafast", "x265-params": f"{gop_options}:log-level=none:open-gop=0:pools=1"}
    out = []
    for number, at in enumerate(times_90k, first):
        frame = VideoFrame.from_ndarray(picture(number, width, height), format="yuv420p")
        frame.pts, frame.time_base = at, context.time_base
        out.extend(context.encode(frame))
    out.extend(context.encode(None))
    units = [split_annex_b(bytes(packet)) for packet in out]
    formats = TrackFormats(_format(codec, width, height, units[0]))
    delay = min(packet.pts - packet.dts for packet in out if packet.pts is not None and packet.dts is not None)
    packets = []
    for packet, parts in zip(out, units, strict=True):
        data = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        assert packet.pts is not None
        assert packet.dts is not None
        packets.append(
            Packet(VIDEO, packet.pts, packet.dts + min(delay, 0), 0, packet.is_keyframe, data, packet.pts * 100 // 9,
                   packet.pts / TICKS_PER_S, session, formats)
        )  # fmt: skip
    return packets


def encode_audio(seconds: float, *, rate_hz: int = 8000, start_90k: int = 0, session: int = 0) -> list[Packet]:
    """A tone as AAC frames of 1024 samples. `formats` of the packets are the caller's to set (see with_audio)."""
    context = av.CodecContext.create("aac", "w")
    context.sample_rate, context.layout, context.format = rate_hz, "mono", "fltp"
    packets, count = [], int(seconds * rate_hz) // 1024
    encoded = []
    for number in range(count):
        tone = np.sin(2 * np.pi * 440 * (np.arange(1024) + number * 1024) / rate_hz).astype(np.float32) * 0.3
        frame = AudioFrame.from_ndarray(tone[None, :], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate_hz, number * 1024
        encoded.extend(context.encode(frame))
    encoded.extend(context.encode(None))
    assert context.extradata is not None
    audio = AudioFormat(rate_hz, 1, bytes(context.extradata))
    formats = TrackFormats(VideoFormat("h264", 16, 16, b""), audio)
    for number, packet in enumerate(encoded):
        at = start_90k + number * 1024 * TICKS_PER_S // rate_hz
        packets.append(Packet(AUDIO, at, at, 0, True, bytes(packet), at * 100 // 9, at / TICKS_PER_S, session, formats))
    return packets


def with_audio(video: list[Packet], audio: list[Packet]) -> list[Packet]:
    """Both, in the order of their dts, under one TrackFormats."""
    formats = TrackFormats(video[0].formats.video, audio[0].formats.audio)
    together = sorted([*video, *audio], key=lambda packet: (packet.dts_90k, packet.track))
    return [replace(packet, formats=formats) for packet in together]


def split_annex_b(data: bytes) -> list[bytes]:
    """NAL units of an Annex B access unit."""
    return list(_units(data))


def _units(data: bytes) -> Iterator[bytes]:
    starts = []
    at = data.find(b"\0\0\1")
    while at >= 0:
        starts.append(at)
        at = data.find(b"\0\0\1", at + 3)
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        unit = data[start + 3 : end]
        yield unit.rstrip(b"\0") if end < len(data) else unit


def _format(codec: Literal["h264", "h265"], width: int, height: int, units: list[bytes]) -> VideoFormat:
    if codec == "h264":
        sps = next(unit for unit in units if unit[0] & 31 == 7)
        pps = next(unit for unit in units if unit[0] & 31 == 8)
        config = bytes([1, *sps[1:4], 0xFF, 0xE1]) + len(sps).to_bytes(2, "big") + sps
        config += b"\x01" + len(pps).to_bytes(2, "big") + pps
        if sps[1] not in (66, 77, 88):
            config += b"\xfd\xf8\xf8\x00"
        return VideoFormat(codec, width, height, config)
    sets = {kind: next(unit for unit in units if unit[0] >> 1 & 63 == kind) for kind in (32, 33, 34)}
    profile = sets[33].replace(b"\0\0\3", b"\0\0")[3:15]
    config = b"\x01" + profile + b"\xf0\x00\xfc\xfd\xf8\xf8\x00\x00\x0f\x03"
    for kind, unit in sets.items():
        config += bytes([0x80 | kind]) + b"\x00\x01" + len(unit).to_bytes(2, "big") + unit
    return VideoFormat(codec, width, height, config)
