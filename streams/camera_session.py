"""One connection to a camera: RTSP over TCP by libav, packet by packet into `core.media.Packet`.

In: a Source. Out: an iterator of packets that begins with a key frame and ends with an error. Blocking: it belongs to
one thread. libav's parser hands out a picture when the next one begins, so the moment at which the one before was
handed out is when this one began to arrive; that is what `Packet.arrived_s` says.
"""

import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import av.error
from av.video.stream import VideoStream

from core.errors import DecodeError
from core.media import AUDIO, TICKS_PER_S, VIDEO, Packet, TrackFormats
from streams import annexb
from streams.camera_audio import Sound
from streams.camera_settings import CameraSettings
from streams.camera_source import Source, Stalled
from streams.timeline import Timeline

_CODECS: dict[str, annexb.Codec] = {"h264": "h264", "hevc": "h265"}
_OPTIONS = {
    "rtsp_transport": "tcp",
    "analyzeduration": "1",
    "probesize": "32",
    "fpsprobesize": "0",
    "correct_ts_overflow": "0",
    "user_agent": "wangge",
}
"""Nothing is probed: what the SDP or the first key frame says is enough, so a camera is up with its first key frame."""
_LONGEST = 10 * TICKS_PER_S
"""Of a picture or a frame of sound: more would be nonsense, and does not fit into what MP4 has for it."""
_CLOCK_REFERENCE = struct.Struct("<q")
"""AVProducerReferenceTime: epoch microseconds first, in the machine's byte order."""


@dataclass(slots=True)
class SessionStats:
    """Counts over all sessions of a reader."""

    packets: int = 0
    bytes: int = 0
    keys: int = 0
    skipped: int = 0
    """Packets before a first key frame, or sound that had no place in time."""
    unreadable: int = 0
    """Packets without a NAL unit, and parameter sets that could not be read."""
    jumps: int = 0
    last_key_us: int = 0
    lag_s: float = 0.0
    """How much later than the fastest packet of the session the last one came."""


class Session:
    """Opened by the constructor, which blocks for at most `settings.open_s`. Raises what PyAV raises, and DecodeError.

    number: of the session (core.media.Packet.session); it grows inside when the camera's clock jumps.
    """

    def __init__(self, source: Source, settings: CameraSettings, number: int, stats: SessionStats) -> None:
        self.number, self._stats, self._settings = number, stats, settings
        media = "video+audio" if source.audio else "video"
        options = {**_OPTIONS, "allowed_media_types": media, "timeout": str(round(settings.stall_s * 1e6))}
        self._container = av.open(
            source.address(),
            options=options,
            timeout=(settings.open_s, settings.stall_s),
            metadata_errors="replace",
        )
        try:
            self._prepare(source)
        except BaseException:
            self._container.close()
            raise

    def _prepare(self, source: Source) -> None:
        if not self._container.streams.video:
            raise DecodeError("The camera sends no video.")
        self._video: VideoStream = self._container.streams.video[0]
        codec = _CODECS.get(self._video.codec_context.name)
        if codec is None:
            raise DecodeError("The camera's video is neither H.264 nor H.265.")
        self._codec = codec
        extradata = self._video.codec_context.extradata
        self._sets = annexb.from_extradata(bytes(extradata), codec) if extradata else None
        self._shown_sets: annexb.ParameterSets | None = None
        self._formats: TrackFormats | None = None
        self._timeline = Timeline(self._settings.jump_s)
        self._sound = self._listen() if source.audio else None
        self._last_audio = -(1 << 62)

    def _listen(self) -> Sound | None:
        """Sound that cannot be taken is left out: the pictures matter more."""
        try:
            return Sound(self._container.streams.audio[0])
        except (av.error.FFmpegError, ValueError, IndexError):
            return None

    def interrupt(self) -> None:
        """libav cannot be interrupted: it goes on until its own time limit."""

    def close(self) -> None:
        """Says goodbye to the camera (TEARDOWN) and closes the connection."""
        self._container.close()

    def packets(self) -> Iterator[Packet]:
        """Every packet from the first key frame on. Ends by an error: av's, Stalled, or EOFError of av."""
        wall_us, now_s = time.time_ns() // 1000, time.monotonic()
        wanted = [self._video, *self._container.streams.audio[:1]] if self._sound else [self._video]
        self._timeline.progressed_s = now_s
        for found in self._container.demux(wanted):
            if found.stream_index != self._video.index:
                if self._formats and self._sound:
                    yield from self._audio(found)
                continue
            if not found.size:
                break
            packet = self._picture(found, wall_us, now_s)
            wall_us, now_s = time.time_ns() // 1000, time.monotonic()
            if packet is not None:
                yield packet
            if now_s - self._timeline.progressed_s > self._settings.stall_s:
                raise Stalled
        raise av.error.EOFError(0, "the camera ended the stream")

    def _picture(self, found: "av.Packet[Any]", arrived_us: int, arrived_s: float) -> Packet | None:
        unit = annexb.access_unit(bytes(found), self._codec)
        stats, timeline = self._stats, self._timeline
        if not unit.data:
            stats.unreadable += 1
            return None
        if unit.sets:
            self._sets = annexb.merged(self._sets, unit.sets)
        pts, dts, begins = timeline.place(found.pts, found.dts, arrived_s, unit.is_key)
        if unit.is_key:
            self._describe()
            stats.keys += 1
            stats.last_key_us = arrived_us
            stats.jumps += begins
            stats.lag_s = timeline.latency_s
        if begins:
            self.number += 1
            self._last_audio = -(1 << 62)
        formats = self._formats
        if formats is None:
            stats.skipped += 1
            return None
        sender_us = _sender_us(found) if unit.is_key else None
        return Packet(
            VIDEO,
            pts,
            dts,
            told(found.duration),
            unit.is_key,
            unit.data,
            arrived_us,
            arrived_s,
            self.number,
            formats,
            sender_us,
        )

    def _describe(self) -> None:
        """A key frame is here: the parameter sets that came since the last one are in force now."""
        if self._sets is None or self._sets is self._shown_sets:
            return
        try:
            video = annexb.video_format(self._codec, self._sets)
        except DecodeError:
            self._stats.unreadable += 1
            self._sets = self._shown_sets
            return
        self._shown_sets = self._sets
        self._formats = TrackFormats(video, self._sound.format if self._sound else None)

    def _audio(self, found: "av.Packet[Any]") -> list[Packet]:
        """The sound in a packet. Sound that cannot be decoded is left out: the pictures matter more."""
        assert self._sound is not None
        assert self._formats is not None
        try:
            frames = list(self._sound.frames(found))
        except (av.error.FFmpegError, ValueError):
            self._stats.unreadable += 1
            return []
        made: list[Packet] = []
        arrived_us, arrived_s = time.time_ns() // 1000, time.monotonic()
        for pts, duration, data in frames:
            placed = None if pts is None else pts + self._timeline.offset
            if placed is None or placed <= self._last_audio:
                self._stats.skipped += 1
                continue
            self._last_audio = placed
            packet = Packet(
                AUDIO, placed, placed, told(duration), True, data, arrived_us, arrived_s, self.number, self._formats
            )
            made.append(packet)
        return made


def told(duration: int | None) -> int:
    """A duration as libav reckons it, from what the camera says of its rate; 0: not known, or nothing sensible."""
    return duration if duration is not None and 0 < duration <= _LONGEST else 0


def _sender_us(found: "av.Packet[Any]") -> int | None:
    """The camera's own UTC for this packet, which libav reckons from the last RTCP sender report."""
    if not found.has_sidedata("prft"):
        return None
    return int(_CLOCK_REFERENCE.unpack_from(bytes(found.get_sidedata("prft")))[0])
