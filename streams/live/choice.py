"""Which way a viewer gets its picture: the stream as it is, the sub-stream, a transcoded one, or a plain no.

A browser plays H.264 without B-frames by WebRTC; with Media Source Extensions B-frames too, and H.265 where it says so.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from core.errors import NotFound
from core.media import STREAMS, StreamName
from streams.live.feed import Feed, Feeds
from streams.live.source import Cameras, NoPicture, NotPlayable, PacketSource
from streams.live.transcode import Transcoded, Transcodes
from streams.live_settings import LiveSettings

_OTHER_S = 3.0
"""A sub-stream that shows nothing for so long is passed over."""


@dataclass(frozen=True, slots=True)
class Ability:
    """What the viewer's player can do."""

    h265: bool = False
    reordered: bool = False

    def plays(self, feed: Feed) -> bool:
        """Whether it can show this feed as it is."""
        assert feed.formats is not None
        return (self.h265 or feed.formats.video.codec == "h264") and (self.reordered or not feed.is_reordered)


class Chooser:
    """Holds the feeds for viewers. `most_transcodes` bounds what is transcoded at once."""

    def __init__(self, settings: LiveSettings, cameras: Cameras) -> None:
        self._settings, self._cameras = settings, cameras
        self.feeds = Feeds(settings.most_gop_bytes)
        self.transcodes = Transcodes(settings)

    def source(self, camera: str, stream: StreamName) -> PacketSource:
        """Raises NotFound."""
        source = self._cameras(camera, stream)
        if source is None:
            raise NotFound(f"Camera {camera} has no stream {stream} here.")
        return source

    async def hold(self, camera: str, stream: StreamName, ability: Ability) -> Feed:
        """A feed that the viewer can play; to be given back with `release`.

        Raises NotFound, NoPicture, NotPlayable.
        """
        ways = [stream, *(other for other in STREAMS[STREAMS.index(stream) + 1 :] if self._cameras(camera, other))]
        smallest, why = stream, "its pictures cannot be shown by a browser"
        for way in ways:
            try:
                async with self._held(camera, way) as feed:
                    await feed.settled(self._settings.first_key_s if way == stream else _OTHER_S)
                    if ability.plays(feed):
                        return self.feeds.hold(feed.name, partial(self.source, camera, way))
                    smallest, why = way, _reason(feed)
            except NoPicture:
                if way == stream:
                    raise
        return await self._transcoded(camera, smallest, why)

    def release(self, feed: Feed) -> None:
        """One viewer less."""
        self.feeds.release(feed)

    @asynccontextmanager
    async def _held(self, camera: str, stream: StreamName) -> AsyncIterator[Feed]:
        feed = self.feeds.hold(f"{camera}/{stream}", lambda: self.source(camera, stream))
        try:
            yield feed
        finally:
            self.feeds.release(feed)

    async def _transcoded(self, camera: str, stream: StreamName, why: str) -> Feed:
        name = f"{camera}/{stream}/transcoded"
        if self.feeds.find(name) is None and self.transcodes.running >= self._settings.most_transcodes:
            raise NotPlayable(
                f"Camera {camera} cannot be shown here: {why}, it has no other stream that could be, and "
                f"{self.transcodes.running} streams are being transcoded already (streams.live.most_transcodes). "
                "Set the camera's sub-stream to H.264 without B-frames."
            )
        feed = self.feeds.hold(
            name, lambda: Transcoded(self.source(camera, stream), name, self._settings, self.transcodes)
        )
        try:
            await feed.settled(self._settings.first_key_s)
        except BaseException:
            self.feeds.release(feed)
            raise
        return feed


def _reason(feed: Feed) -> str:
    assert feed.formats is not None
    return "it sends H.265" if feed.formats.video.codec == "h265" else "it sends H.264 with B-frames"
