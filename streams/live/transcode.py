"""Transcoding for browsers that cannot play what a camera sends: small H.264 without B-frames, made while watched.

One thread a transcoded stream, shared by its viewers: decode everything, encode only the newest picture when several
wait, so that a late start or a slow machine costs pictures and not delay. FFmpeg's decoders and x264, by PyAV.
"""

import threading
from collections.abc import Callable, Sequence
from fractions import Fraction

import av
import structlog
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from core.errors import DecodeError
from core.media import TICKS_PER_S, VIDEO, Packet, TrackFormats
from streams.annexb import ParameterSets, access_unit, merged, video_format
from streams.live.source import PacketReader, PacketSource
from streams.live_settings import LiveSettings

log = structlog.get_logger()

_TIME_BASE = Fraction(1, TICKS_PER_S)
_MOST_PACKETS, _MOST_BYTES = 600, 16 << 20
_MOST_MADE = 300
_KEY_EVERY_S = 2
_BITS_PER_S = 600_000
_DECODERS = {"h264": "h264", "h265": "hevc"}
_STOP_S = 5.0


class Transcodes:
    """Those that run now; the limit is checked by who starts one."""

    def __init__(self, settings: LiveSettings) -> None:
        self.settings = settings
        self._running: set[_Work] = set()

    @property
    def running(self) -> int:
        """Transcoding threads."""
        return len(self._running)

    def add(self, work: "_Work") -> None:
        """One more."""
        self._running.add(work)

    def remove(self, work: "_Work") -> None:
        """One less."""
        self._running.discard(work)

    def join(self) -> None:
        """Tells all threads to stop and waits for them; blocks, at most a few seconds."""
        works = list(self._running)
        for work in works:
            work.close()
        for work in works:
            work.thread.join(_STOP_S)


class Transcoded:
    """A PacketSource whose packets are transcoded ones; for one reader (a Feed, which has many viewers)."""

    def __init__(self, source: PacketSource, name: str, settings: LiveSettings, running: Transcodes) -> None:
        self._source, self._name, self._settings, self._running = source, name, settings, running

    def reader(
        self, name: str, *, most_packets: int, most_bytes: int, wake: Callable[[], None] | None, from_gop: bool
    ) -> PacketReader:
        """Starts the thread; closing the reader ends it."""
        return _Work(self._source, self._name, self._settings, self._running, wake)


class _Work:
    """The reader of transcoded packets and the thread that makes them."""

    def __init__(
        self,
        source: PacketSource,
        name: str,
        settings: LiveSettings,
        running: Transcodes,
        wake: Callable[[], None] | None,
    ) -> None:
        self.dropped = 0
        self._name, self._settings, self._running, self._wake = name, settings, running, wake
        self._came, self._lock = threading.Event(), threading.Lock()
        self._made: list[Packet] = []
        self._ends = False
        self._encoder: VideoCodecContext | None = None
        self._sets: ParameterSets | None = None
        self._formats: TrackFormats | None = None
        self._last_90k: int | None = None
        self._reader = source.reader(
            name, most_packets=_MOST_PACKETS, most_bytes=_MOST_BYTES, wake=self._came.set, from_gop=True
        )
        running.add(self)
        self.thread = threading.Thread(target=self._run, name=f"transcode {name}", daemon=True)
        self.thread.start()

    def take(self) -> Sequence[Packet]:
        """See PacketReader."""
        with self._lock:
            made, self._made = self._made, []
        return made

    def close(self) -> None:
        """See PacketReader; the thread ends by itself after the picture at hand."""
        self._ends = True
        self._came.set()

    def _run(self) -> None:
        decoder: VideoCodecContext | None = None
        formats: TrackFormats | None = None
        try:
            while not self._ends:
                self._came.wait(1.0)
                self._came.clear()
                pictures: list[tuple[Packet, VideoFrame]] = []
                for packet in self._reader.take():
                    if packet.track != VIDEO or self._ends:
                        continue
                    if packet.formats is not formats and packet.is_key:
                        decoder, formats = _decoder(packet.formats), packet.formats
                    if decoder is not None:
                        pictures[:] = self._decoded(decoder, packet) or pictures
                if pictures:
                    self._encode(*pictures[-1])
        except av.FFmpegError as error:
            log.warning("live_transcode_failed", stream=self._name, error=str(error))
        finally:
            self._reader.close()
            self._running.remove(self)

    def _decoded(self, decoder: VideoCodecContext, packet: Packet) -> list[tuple[Packet, VideoFrame]]:
        """The newest picture that this packet lets out, if any; a broken packet gives none."""
        unit = av.Packet(packet.data)
        unit.pts, unit.dts, unit.time_base = packet.pts_90k, packet.dts_90k, _TIME_BASE
        try:
            frames = decoder.decode(unit)
        except av.FFmpegError:
            return []
        return [(packet, frame) for frame in frames[-1:]]

    def _encode(self, packet: Packet, picture: VideoFrame) -> None:
        at_90k = picture.pts if picture.pts is not None else packet.pts_90k
        last = self._last_90k
        if last is not None and 0 <= at_90k - last < 0.9 * TICKS_PER_S / self._settings.transcode_fps:
            return
        small = _fitted(picture, self._settings.transcode_width, self._settings.transcode_height)
        encoder = self._encoder
        if encoder is None or (encoder.width, encoder.height) != (small.width, small.height) or at_90k <= (last or 0):
            encoder = self._encoder = _encoder(small.width, small.height, self._settings.transcode_fps)
        self._last_90k = small.pts = at_90k
        small.time_base = _TIME_BASE
        for made in encoder.encode(small):
            self._give(bytes(made), at_90k, packet)

    def _give(self, data: bytes, at_90k: int, source: Packet) -> None:
        unit = access_unit(data, "h264")
        sets = merged(self._sets, unit.sets) if unit.sets else self._sets
        try:
            if sets is not None and sets is not self._sets:
                self._sets, self._formats = sets, TrackFormats(video_format("h264", sets))
        except DecodeError as error:  # x264 would have to be broken
            log.warning("live_transcode_failed", stream=self._name, error=str(error))
            return
        if self._formats is None:
            return
        packet = Packet(
            VIDEO,
            at_90k,
            at_90k,
            0,
            unit.is_key,
            unit.data,
            source.arrived_us,
            source.arrived_s,
            source.session,
            self._formats,
            source.sender_utc_us,
        )
        with self._lock:
            if len(self._made) >= _MOST_MADE:
                self.dropped += len(self._made)
                self._made.clear()
            self._made.append(packet)
        if self._wake is not None:
            self._wake()


def _decoder(formats: TrackFormats) -> VideoCodecContext:
    decoder = VideoCodecContext.create(_DECODERS[formats.video.codec], "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata = formats.video.config
    decoder.thread_count = 1
    decoder.options = {"flags": "+low_delay"}
    return decoder


def _encoder(width: int, height: int, fps: float) -> VideoCodecContext:
    encoder = VideoCodecContext.create("libx264", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = _TIME_BASE, Fraction(fps).limit_denominator(1000)
    encoder.bit_rate = _BITS_PER_S
    encoder.gop_size = max(1, round(fps * _KEY_EVERY_S))
    encoder.max_b_frames = 0
    encoder.thread_count = 1
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "forced-idr": "1"}
    return encoder


def _fitted(picture: VideoFrame, most_width: int, most_height: int) -> VideoFrame:
    """The picture scaled into the bounds, sides even; never larger than it was."""
    scale = min(1.0, most_width / picture.width, most_height / picture.height)
    width, height = (max(2, int(side * scale) // 2 * 2) for side in (picture.width, picture.height))
    small = picture.reformat(width, height, "yuv420p")
    small.pict_type = av.video.frame.PictureType.NONE
    return small
