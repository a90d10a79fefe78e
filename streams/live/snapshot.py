"""Snapshots for walls of cameras: the newest key frame as a JPEG, made at most once for each key frame and width.

Decoding runs in one thread of its own, so that a wall of many cameras costs at most one core for moments and never the
event loop.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from time import monotonic

import av
from av.video.codeccontext import VideoCodecContext

from core.media import VIDEO, Packet, StreamName
from streams.live.choice import Chooser
from streams.live.source import NoPicture, TooManyViewers
from streams.live.stats import LiveStats
from streams.live_settings import LiveSettings

_KEPT = 256
_WIDTHS = (160, 320, 480, 640, 960, 1280, 1920, 2560, 3840)
"""Widths that are made; one in between gets the next larger one, so that few are kept."""
_DECODERS = {"h264": "h264", "h265": "hevc"}
_MOST_PACKETS, _MOST_BYTES = 2000, 64 << 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """jpeg: the picture. taken_us: when it arrived, UTC epoch microseconds. tag: changes with the picture (ETag)."""

    jpeg: bytes
    taken_us: int
    tag: str


class Snapshots:
    """Makes and keeps the newest snapshot of each camera, stream and width; made and run by `Live`."""

    def __init__(self, settings: LiveSettings, chooser: Chooser, stats: LiveStats) -> None:
        self._settings, self._chooser, self._stats = settings, chooser, stats
        self._kept: OrderedDict[tuple[str, StreamName, int], tuple[Snapshot, float]] = OrderedDict()
        self._making: dict[tuple[str, StreamName, int], tuple[asyncio.Lock, int]] = {}
        self._thread: ThreadPoolExecutor | None = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """The thread exists inside the block."""
        self._thread = ThreadPoolExecutor(1, "snapshots")
        try:
            yield
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = None
            self._kept.clear()

    async def newest(self, camera: str, stream: StreamName, width: int) -> Snapshot:
        """The newest key frame, at most `width` pixels wide (and `snapshot_width`), never larger than it is.

        Raises NotFound, NoPicture when the camera sends nothing, TooManyViewers when too many wait already.
        """
        width = min(width, self._settings.snapshot_width)
        key = (camera, stream, next((w for w in _WIDTHS if w >= width), _WIDTHS[-1]))
        if key not in self._making and len(self._making) >= self._settings.most_snapshots_waiting:
            raise TooManyViewers("Too many snapshots are being made; ask again in a second.")
        lock, waiting = self._making.get(key) or (asyncio.Lock(), 0)
        self._making[key] = (lock, waiting + 1)
        try:
            async with lock:
                return await self._fresh(key)
        finally:
            _, waiting = self._making[key]
            if waiting > 1:
                self._making[key] = (lock, waiting - 1)
            else:
                del self._making[key]

    async def _fresh(self, key: tuple[str, StreamName, int]) -> Snapshot:
        kept = self._kept.get(key)
        packet = self._newest_key(*key[:2])
        if kept is not None:
            snapshot, made_s = kept
            is_recent = monotonic() - made_s < self._settings.snapshot_every_s
            if packet is not None and (is_recent or snapshot.tag == _tag(packet)):
                self._kept.move_to_end(key)
                self._stats.snapshots_cached += 1
                return snapshot
        if packet is None or self._thread is None:
            raise NoPicture(f"Camera {key[0]} sends no picture just now: is it reachable?")
        jpeg = await asyncio.get_running_loop().run_in_executor(self._thread, _jpeg, packet, key[2])
        snapshot = Snapshot(jpeg, packet.arrived_us, _tag(packet))
        self._stats.snapshots += 1
        self._kept[key] = (snapshot, monotonic())
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return snapshot

    def _newest_key(self, camera: str, stream: StreamName) -> Packet | None:
        """From the hub's GOP cache."""
        reader = self._chooser.source(camera, stream).reader(
            "snapshot", most_packets=_MOST_PACKETS, most_bytes=_MOST_BYTES, wake=None, from_gop=True
        )
        try:
            return next((packet for packet in reader.take() if packet.is_key and packet.track == VIDEO), None)
        finally:
            reader.close()


def _tag(packet: Packet) -> str:
    return f"{packet.session:x}-{packet.arrived_us:x}"


def _jpeg(packet: Packet, width: int) -> bytes:
    """Decodes one key frame and encodes it. Raises NoPicture when it cannot be decoded."""
    try:
        decoder = VideoCodecContext.create(_DECODERS[packet.formats.video.codec], "r")
        assert isinstance(decoder, VideoCodecContext)
        decoder.extradata = packet.formats.video.config
        decoder.thread_count = 1
        frames = decoder.decode(av.Packet(packet.data)) + decoder.decode(None)
        if not frames:
            raise NoPicture("The camera's newest key frame holds no picture.")
        frame = frames[0]
        scale = min(1.0, width / frame.width)
        wide, high = (max(2, int(side * scale) // 2 * 2) for side in (frame.width, frame.height))
        small = frame.reformat(wide, high, "yuvj420p")
        small.pts = 0
        encoder = VideoCodecContext.create("mjpeg", "w")
        assert isinstance(encoder, VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = small.width, small.height, "yuvj420p"
        encoder.time_base = Fraction(1, 25)
        encoder.options = {"qmin": "3", "qmax": "5"}
        return b"".join(bytes(made) for made in [*encoder.encode(small), *encoder.encode(None)])
    except av.FFmpegError as error:
        raise NoPicture(f"The camera's newest key frame cannot be decoded: {error}") from None
