"""Any video file as a camera: copied where it is plain H.264 (or kept H.265), else transcoded once and cached."""

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.stream import VideoStream

from simulators.cameras import cache, nal
from simulators.cameras.encoder import Form, LoopEncoder
from simulators.cameras.loop import VIDEO_HZ, Encoded, EncodedUnit
from simulators.errors import SimulatorError

LONGEST_GOP_S = 12.0
"""A file with longer ones is transcoded: who joins waits for a key frame."""
SUB_FPS = 8.0
SUB_WIDTH, SUB_KBPS = 640, 400
_PLAIN_FORMATS = ("yuv420p", "yuvj420p")


def key_of(path: Path, *, keep_codec: bool, gop_s: float) -> str:
    """Of the cache. Raises SimulatorError where the file cannot be read."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise SimulatorError(f"{path} cannot be played: {error.strerror}") from error
    return cache.key_of(["file 1", digest.hexdigest(), keep_codec, gop_s])


def loops(path: Path, *, keep_codec: bool = False, gop_s: float = 2.0, where: Path | None = None) -> cache.Pair:
    """Main and sub-stream of a file. Blocking. Raises SimulatorError where no picture can be read from it."""
    key = key_of(path, keep_codec=keep_codec, gop_s=gop_s)
    try:
        return cache.pair(key, lambda: (_main(path, gop_s, keep_codec=keep_codec), _sub(path, gop_s)), where)
    except (OSError, av.FFmpegError) as error:
        raise SimulatorError(f"{path} cannot be played: {error}") from error


def _main(path: Path, gop_s: float, *, keep_codec: bool) -> Encoded:
    return _copied(path, keep_codec=keep_codec) or _transcoded(path, gop_s)


def _video(container: "av.container.InputContainer", path: Path) -> VideoStream:
    if not container.streams.video:
        raise SimulatorError(f"{path} has no video track")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    return stream


def _copied(path: Path, *, keep_codec: bool) -> Encoded | None:
    """The file's own units; None where a plain camera could not have sent them."""
    with av.open(str(path)) as container:
        stream = _video(container, path)
        context = stream.codec_context
        codec: nal.Codec = "h265" if context.name == "hevc" else "h264"
        wanted = context.name == "h264" or (context.name == "hevc" and keep_codec)
        if not wanted or (codec == "h264" and context.pix_fmt not in _PLAIN_FORMATS):
            return None
        packets = list(_annex_b(container, stream, "hevc" if codec == "h265" else "h264"))
        tick = stream.time_base
        width, height, rate = context.width, context.height, stream.average_rate
    if not packets or tick is None or any(one.pts is None or one.dts is None for one in packets):
        return None
    first = packets[0].dts or 0
    units = []
    for packet in packets:
        pictures = [one for one in nal.split(bytes(packet)) if not nal.is_dropped(codec, one)]
        dts, pts = (round(((value or 0) - first) * tick * VIDEO_HZ) for value in (packet.dts, packet.pts))
        key = nal.is_key(codec, pictures, any_random_access=True)
        units.append(EncodedUnit(dts, pts, key, nal.joined(pictures)))
    last = packets[-1]
    step = last.duration * tick if last.duration else 1 / Fraction(rate or 25)
    duration = units[-1].dts + max(round(step * VIDEO_HZ), 1)
    if not _is_plain(codec, units, duration):
        return None
    return Encoded(codec, duration, units, VIDEO_HZ, width, height)


def _annex_b(
    container: "av.container.InputContainer", stream: VideoStream, name: str
) -> Iterator["av.Packet[VideoStream]"]:
    """Packets with start codes and with parameter sets at each key frame."""
    packets = (packet for packet in container.demux(stream) if packet.size)
    if (stream.codec_context.extradata or b"\x00")[0] != 1:
        yield from packets
        return
    change = BitStreamFilterContext(f"{name}_mp4toannexb", stream)
    for packet in packets:
        yield from change.filter(packet)
    yield from change.filter(None)


def _is_plain(codec: nal.Codec, units: list[EncodedUnit], duration: int) -> bool:
    keys = [number for number, unit in enumerate(units) if unit.is_key]
    if not keys or keys[0] != 0:
        return False
    ordered = all(before.dts < after.dts for before, after in pairwise(units))
    straight = codec == "h265" or all(unit.pts == unit.dts for unit in units)
    begins = [units[number].dts for number in keys] + [duration]
    longest = max(after - before for before, after in pairwise(begins))
    described = any(nal.is_parameter(codec, one) for one in nal.split(units[0].data))
    return ordered and straight and described and longest <= LONGEST_GOP_S * VIDEO_HZ


def _transcoded(path: Path, gop_s: float) -> Encoded:
    with av.open(str(path)) as container:
        context = _video(container, path).codec_context
        width, height = context.width // 2 * 2, context.height // 2 * 2
    kbps = min(max(round(2000 * width * height / (1280 * 720)), 300), 6000)
    return _encoded(path, (width, height, kbps), gop_s, most_fps=30.0)


def _sub(path: Path, gop_s: float) -> Encoded:
    with av.open(str(path)) as container:
        context = _video(container, path).codec_context
        width = min(SUB_WIDTH, context.width // 2 * 2)
        height = max(round(context.height * width / context.width / 2) * 2, 2)
    return _encoded(path, (width, height, SUB_KBPS), gop_s, most_fps=SUB_FPS)


def _encoded(path: Path, size: tuple[int, int, int], gop_s: float, *, most_fps: float) -> Encoded:
    """The file's pictures as H.264; where it has more than most_fps a second, each second, third … one."""
    with av.open(str(path)) as container:
        stream = _video(container, path)
        fps = float(stream.average_rate or 25)
        step = max(int(-(-fps // most_fps)), 1)
        encoder = LoopEncoder(Form(size[0], size[1], fps / step, size[2], gop_s), 0)
        first, latest, shown = None, -1, 0.0
        for number, frame in enumerate(container.decode(stream)):
            at_s = number / fps if frame.time is None else frame.time
            first = at_s if first is None else first
            shown = at_s - first + 1 / fps
            pts = round((at_s - first) * VIDEO_HZ)
            if number % step == 0 and pts > latest:
                latest = pts
                encoder.add(frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False), pts)
    if latest < 0:
        raise SimulatorError(f"{path} has no picture that can be decoded")
    encoder.duration = max(round(shown * VIDEO_HZ), latest + 1)
    return encoder.finish()
