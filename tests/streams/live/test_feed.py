"""One time line whatever the camera's clock does, the GOP kept within bounds, feeds that end with their last viewer."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.live_source import Film
from core.media import TICKS_PER_S, VIDEO, Packet
from streams.hub import Hub
from streams.live.feed import Feed, Feeds, Frame
from streams.live.source import NoPicture
from tests.streams.live.conftest import until

STEP = TICKS_PER_S // 15


class Seen:
    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.changes = 0

    def show(self, frames: Sequence[Frame]) -> None:
        self.frames += frames

    def changed(self) -> None:
        self.changes += 1


def packets(of: Film, *, session: int = 1, start: int = 0, arrived_s: float = 0.0) -> list[Packet]:
    return [
        Packet(VIDEO, start + pts, start + dts, 0, is_key, data, 0, arrived_s + dts / TICKS_PER_S, session, formats)
        for dts, pts, is_key, data, formats in of.packets
    ]


async def shown(hub: Hub, feed: Feed, given: list[Packet]) -> list[Frame]:
    seen = Seen()
    feed.watchers.add(seen)
    for packet in given:
        hub.publish(packet)
        await asyncio.sleep(0)
    await until(lambda: len(seen.frames) >= len(given))
    return seen.frames


async def test_time_goes_on_over_a_new_connection(plain: Film) -> None:
    hub = Hub()
    feed = Feed(hub, "c/main", 1 << 20)
    first = packets(plain, start=5_000_000_000, arrived_s=100.0)
    again = packets(plain, session=2, start=7, arrived_s=110.0)
    frames = await shown(hub, feed, first + again)
    times = [frame.dts_90k for frame in frames]
    assert times[:31] == [n * STEP for n in range(30)] + [10 * TICKS_PER_S], "ten seconds passed while it was away"
    assert times == sorted(set(times))
    assert feed.facts.jumps == 1
    assert [frame.number for frame in frames] == list(range(1, 61))
    feed.close()


@pytest.mark.parametrize("jump", [-20 * TICKS_PER_S, 3600 * TICKS_PER_S], ids=["back", "ahead"])
async def test_jump_of_the_cameras_clock(plain: Film, jump: int) -> None:
    hub = Hub()
    feed = Feed(hub, "c/main", 1 << 20)
    first = packets(plain, start=100 * TICKS_PER_S)
    second = [
        replace(packet, dts_90k=packet.dts_90k + jump, pts_90k=packet.pts_90k + jump)
        for packet in packets(plain, start=102 * TICKS_PER_S, arrived_s=2.0)
    ]
    frames = await shown(hub, feed, first + second)
    assert [frame.dts_90k for frame in frames] == [n * STEP for n in range(60)]
    assert feed.facts.jumps == 1
    assert not feed.is_reordered
    feed.close()


async def test_b_frames_are_noticed(reordered: Film, plain: Film) -> None:
    hub = Hub()
    feed = Feed(hub, "c/main", 1 << 22)
    seen = Seen()
    feed.watchers.add(seen)
    await shown(hub, feed, packets(reordered))
    assert feed.is_reordered
    assert seen.changes == 1
    assert feed.sequence.reorders
    feed.close()


async def test_gop_is_bounded(plain: Film) -> None:
    hub = Hub()
    feed = Feed(hub, "c/main", 20_000)
    frames = await shown(hub, feed, packets(plain))
    assert len(frames) == 30
    assert sum(len(frame.packet.data) for frame in feed.frames) <= 20_000
    feed.close()


async def test_feed_ends_with_its_last_holder(plain: Film) -> None:
    hub, feeds = Hub(), Feeds(1 << 20)
    one, two = feeds.hold("c/main", lambda: hub), feeds.hold("c/main", lambda: hub)
    assert one is two
    assert len(hub.readers) == 1
    feeds.release(one)
    assert len(hub.readers) == 1
    feeds.release(two)
    assert (len(hub.readers), len(feeds)) == (0, 0)


async def test_camera_without_a_picture() -> None:
    feed = Feed(Hub(), "c/main", 1 << 20)
    with pytest.raises(NoPicture, match="no picture"):
        await feed.settled(0.05)
    feed.close()


async def test_another_codec_is_told(plain: Film, h265: Film) -> None:
    hub = Hub()
    feed = Feed(hub, "c/main", 1 << 22)
    seen = Seen()
    feed.watchers.add(seen)
    await shown(hub, feed, packets(plain))
    assert (feed.codec, seen.changes) == ("h264", 0)
    await shown(hub, feed, packets(h265, session=2))
    assert (feed.codec, seen.changes) == ("h265", 1)
    feed.close()
