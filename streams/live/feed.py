"""Feed: one stream of one camera while somebody watches it; read once, made ready once, handed to every viewer.

In: a reader of the hub, emptied on the event loop. Out: frames on one unbroken time line, from the last key frame on
for those who come later. RTP payloads and MP4 fragments of a frame are made when the first viewer wants them, and
shared. A feed ends with its last viewer.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from core.errors import DecodeError
from core.media import TICKS_PER_S, VIDEO, Packet, TrackFormats
from streams.live.h264 import SPS, SequenceFacts, parameter_sets, sequence_facts
from streams.live.rtp import payloads
from streams.live.source import NoPicture, PacketSource
from streams.mp4.fragment import fragment

_MOST_PACKETS = 2000
_LARGEST_STEP = 10 * TICKS_PER_S
"""A step of the camera's time beyond this, or backwards, is a jump and not a pause."""
_USUAL_STEP = TICKS_PER_S // 15
_FRESH_S = 2.0
_UNKNOWN = SequenceFacts(66, 0, 31, None)


class Frame:
    """One picture. dts_90k, pts_90k: ticks on the feed's time line; number: counts from 1 without a hole.
    duration_90k: as long as the one before, since the next is not known yet."""

    __slots__ = ("_fragment", "_payloads", "_sets", "dts_90k", "duration_90k", "number", "packet", "pts_90k")

    def __init__(self, packet: Packet, number: int, dts_90k: int, duration_90k: int, sets: list[bytes]) -> None:
        self.packet, self.number, self.dts_90k, self.duration_90k = packet, number, dts_90k, duration_90k
        self.pts_90k = dts_90k + packet.pts_90k - packet.dts_90k
        self._sets = sets
        self._payloads: list[bytes] | None = None
        self._fragment: bytes | None = None

    @property
    def payloads(self) -> list[bytes]:
        """RTP payloads (H.264 only)."""
        if self._payloads is None:
            self._payloads = payloads(self.packet, self._sets)
        return self._payloads

    @property
    def fragment(self) -> bytes:
        """`moof` + `mdat` with this picture alone."""
        if self._fragment is None:
            made = fragment(self.number & 0xFFFFFFFF, self.dts_90k, 0, (self.packet,), (self.duration_90k,))
            self._fragment = made.data
        return self._fragment


class Watcher(Protocol):
    """Who is handed frames, on the event loop; must not block."""

    def show(self, frames: Sequence[Frame]) -> None:
        """New frames, in order; not those of `Feed.frames` from before."""

    def changed(self) -> None:
        """What is sent is not what it was when the viewer's way was chosen: B-frames appeared, or another codec."""


@dataclass(slots=True)
class FeedFacts:
    """What is known of a feed. dropped: packets lost in the hub's ring. jumps: breaks of the camera's time."""

    dropped: int = 0
    frames: int = 0
    jumps: int = 0


class Feed:
    """See module. All of it belongs to the event loop, but for the wake-up."""

    def __init__(self, source: PacketSource, name: str, most_gop_bytes: int) -> None:
        self.name = name
        self.facts = FeedFacts()
        self.frames: list[Frame] = []
        """Since the last key frame, which is the first; empty before it and when a GOP is too large."""
        self.formats: TrackFormats | None = None
        self.sequence = _UNKNOWN
        self.is_reordered = False
        self.watchers: set[Watcher] = set()
        self._sets: list[bytes] = []
        self._gop_bytes, self._most_gop_bytes = 0, most_gop_bytes
        self._last: Packet | None = None
        self._dts, self._step, self._latest_pts = 0, _USUAL_STEP, -1
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        self._reader = source.reader(
            f"live {name}", most_packets=_MOST_PACKETS, most_bytes=2 * most_gop_bytes, wake=self._wake, from_gop=True
        )
        self._drain()

    @property
    def codec(self) -> str | None:
        """Of the newest pictures; None before the first."""
        return self.formats.video.codec if self.formats else None

    @property
    def is_fresh(self) -> bool:
        """False while the camera is silent: its last pictures are not to be shown again and again as if it went on."""
        return self._last is not None and monotonic() - self._last.arrived_s < _FRESH_S

    def close(self) -> None:
        """Ends reading; twice is harmless."""
        self._is_open = False
        self._reader.close()
        self.frames = []

    async def settled(self, most_s: float) -> None:
        """Until there is a key frame, and enough pictures to tell whether they are reordered (at most a second more).

        Raises NoPicture after `most_s` without a key frame.
        """
        try:
            async with asyncio.timeout(most_s):
                while self.formats is None:
                    await self._next()
        except TimeoutError:
            raise NoPicture(f"The camera has sent no picture for {most_s:g} seconds: is it reachable?") from None
        allowed = self.sequence.reorders
        enough = 0 if allowed is False or self.formats.video.codec != "h264" else 9 if allowed else 4
        try:
            async with asyncio.timeout(1.0):
                while self.facts.frames < enough and not self.is_reordered:
                    await self._next()
        except TimeoutError:
            return

    async def _next(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _wake(self) -> None:
        """From the camera's thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        if not self._is_open:
            return
        before = (self.is_reordered, self.codec)
        shown = [self._placed(packet) for packet in self._reader.take() if packet.track == VIDEO]
        if not shown:
            return
        self.facts.dropped = self._reader.dropped
        self._changed.set()
        watchers = list(self.watchers)
        if before[1] is not None and before != (self.is_reordered, self.codec):
            for watcher in watchers:
                watcher.changed()
        for watcher in watchers:
            watcher.show(shown)

    def _placed(self, packet: Packet) -> Frame:
        """Puts a packet on the feed's time line and into the GOP."""
        last = self._last
        if last is not None:
            step = packet.dts_90k - last.dts_90k
            if packet.session != last.session or not 0 <= step <= _LARGEST_STEP:
                self.facts.jumps += 1
                waited = round((packet.arrived_s - last.arrived_s) * TICKS_PER_S)
                step = min(max(waited, 1), _LARGEST_STEP)
                self._latest_pts = -1
            else:
                self._step = step or self._step
            self._dts += step
        self._last = packet
        if packet.formats is not self.formats and packet.is_key:
            self._take_formats(packet.formats)
        self._is_out_of_order(packet)
        self.facts.frames += 1
        frame = Frame(packet, self.facts.frames, self._dts, min(self._step, TICKS_PER_S), self._sets)
        self._keep(frame)
        return frame

    def _keep(self, frame: Frame) -> None:
        if frame.packet.is_key:
            self.frames, self._gop_bytes = [frame], 0
        elif self.frames:
            self.frames.append(frame)
        self._gop_bytes += len(frame.packet.data)
        if self._gop_bytes > self._most_gop_bytes or len(self.frames) > _MOST_PACKETS:
            self.frames = []

    def _is_out_of_order(self, packet: Packet) -> None:
        if packet.pts_90k < self._latest_pts:
            self.is_reordered = True
        self._latest_pts = max(self._latest_pts, packet.pts_90k)

    def _take_formats(self, formats: TrackFormats) -> None:
        self.formats = formats
        self._sets, self.sequence = [], _UNKNOWN
        if formats.video.codec != "h264":
            return
        try:
            self._sets = parameter_sets(formats.video.config)
            self.sequence = sequence_facts(next(unit for unit in self._sets if unit[0] & 31 == SPS))
        except (DecodeError, StopIteration):
            return


class Feeds:
    """The feeds that are watched now, shared by name and let go with their last holder."""

    def __init__(self, most_gop_bytes: int) -> None:
        self._most_gop_bytes = most_gop_bytes
        self._held: dict[str, tuple[Feed, int]] = {}
        self._ended_dropped = 0

    def hold(self, name: str, source: Callable[[], PacketSource]) -> Feed:
        """The feed of that name, begun when it is the first time; every hold needs a `release`."""
        feed, holders = self._held.get(name, (None, 0))
        if feed is None:
            feed = Feed(source(), name, self._most_gop_bytes)
        self._held[name] = (feed, holders + 1)
        return feed

    def release(self, feed: Feed) -> None:
        """One holder less; the last one ends the feed."""
        _, holders = self._held[feed.name]
        if holders > 1:
            self._held[feed.name] = (feed, holders - 1)
            return
        del self._held[feed.name]
        feed.close()
        self._ended_dropped += feed.facts.dropped

    @property
    def dropped(self) -> int:
        """Packets lost in the hub's rings, since the start."""
        return self._ended_dropped + sum(feed.facts.dropped for feed, _ in self._held.values())

    def find(self, name: str) -> Feed | None:
        """The feed of that name, if it is watched."""
        held = self._held.get(name)
        return held[0] if held else None

    def __len__(self) -> int:
        return len(self._held)
