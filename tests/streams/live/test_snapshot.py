"""Snapshots: right size, one decode for each key frame whoever asks, plain errors."""

import asyncio
import io

import av
import pytest

from bench.live_source import Film, Player
from core.errors import NotFound
from streams.hub import Hub
from streams.live import NoPicture
from tests.streams.live.conftest import live_view, until


def size_of(jpeg: bytes) -> tuple[int, int]:
    with av.open(io.BytesIO(jpeg)) as picture:
        frame = next(picture.decode(video=0))
    return frame.width, frame.height


@pytest.mark.parametrize(("which", "size"), [("plain", (640, 360)), ("h265", (640, 360)), ("smaller", (320, 240))])
async def test_newest_key_frame(which: str, size: tuple[int, int], request: pytest.FixtureRequest) -> None:
    hub = Hub()
    with Player(hub, request.getfixturevalue(which)):
        async with live_view({("c", "sub"): hub}) as live:
            await until(lambda: hub.gop())
            snapshot = await live.snapshot("c")
            assert size_of(snapshot.jpeg) == size
            assert size_of((await live.snapshot("c", width=300)).jpeg) == (320, 180 if size[1] == 360 else 240)
            assert snapshot.taken_us <= hub.gop()[0].arrived_us
            assert hub.readers == ()


async def test_made_once_for_all_who_ask(plain: Film) -> None:
    hub = Hub()
    with Player(hub, plain):
        async with live_view({("c", "sub"): hub}) as live:
            await until(lambda: hub.gop())
            many = await asyncio.gather(*(live.snapshot("c") for _ in range(20)))
            assert len({id(each) for each in many}) == 1
            assert (live.stats.snapshots, live.stats.snapshots_cached) == (1, 19)
            tag = many[0].tag
            await until(lambda: hub.gop()[0].arrived_us != many[0].taken_us)
            await asyncio.sleep(0)
            async with asyncio.timeout(5):
                while True:
                    newer = await live.snapshot("c")
                    if newer.tag != tag:
                        break
                    await asyncio.sleep(0.05)
            assert live.stats.snapshots == 2


async def test_no_picture_no_snapshot() -> None:
    async with live_view({("c", "sub"): Hub()}) as live:
        with pytest.raises(NoPicture):
            await live.snapshot("c")
        with pytest.raises(NotFound):
            await live.snapshot("c", "main")
