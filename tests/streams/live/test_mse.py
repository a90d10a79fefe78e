"""MSE by WebSocket: what arrives is a film that FFmpeg decodes; slow viewers lose pictures, and nobody else does."""

import asyncio
import io
import json
from collections.abc import MutableMapping
from typing import Any

import av
import pytest
from websockets.asyncio.client import connect

from bench.live_port import live_port
from bench.live_source import Film, Player
from streams.hub import Hub
from streams.live import Live
from tests.streams.live.conftest import live_view, settings, until


def decoded(data: bytes) -> list[tuple[int, int]]:
    """Sizes of the pictures of an MP4; times must not go back."""
    with av.open(io.BytesIO(data)) as film:
        frames = list(film.decode(video=0))
    times = [frame.pts for frame in frames]
    assert times == sorted(set(times))  # type: ignore[type-var]
    return [(frame.width, frame.height) for frame in frames]


class Slow:
    """A WebSocket whose browser takes what it is told to take."""

    def __init__(self) -> None:
        self.texts: list[dict[str, Any]] = []
        self.data: list[bytes] = []
        self.closed: int | None = None
        self.reads = asyncio.Event()
        self.gone = asyncio.Event()

    async def send_text(self, data: str) -> None:
        await self.reads.wait()
        self.texts.append(json.loads(data))

    async def send_bytes(self, data: bytes) -> None:
        await self.reads.wait()
        self.data.append(data)

    async def receive(self) -> MutableMapping[str, Any]:
        await self.gone.wait()
        return {"type": "websocket.disconnect"}

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        self.closed = code


@pytest.mark.parametrize("which", ["plain", "reordered"])
async def test_film_over_a_real_websocket(which: str, request: pytest.FixtureRequest) -> None:
    hub = Hub()
    with Player(hub, request.getfixturevalue(which)):
        await until(lambda: len(hub.gop()) > 5)
        async with live_port({("c", "main"): hub}, settings()) as (live, url):
            async with connect(f"ws{url[4:]}/mse/c/main", proxy=None, max_size=None) as socket:
                told = json.loads(await socket.recv())
                data = [await socket.recv() for _ in range(20)]
            await until(lambda: not live.feeds)
            assert live.stats.closed == {"goodbye": 1}
            assert live.stats.first_pictures.count == 1
    assert told["kind"] == "format"
    assert told["mime"].startswith('video/mp4; codecs="avc1.')
    assert len(decoded(b"".join(data))) >= 24  # type: ignore[arg-type]


async def test_several_viewers_and_a_change_of_parameters(plain: Film, smaller: Film) -> None:
    hub = Hub()
    with Player(hub, plain) as camera:
        async with live_view({("c", "main"): hub}) as live, asyncio.TaskGroup() as tasks:
            sockets = [Slow() for _ in range(3)]
            for socket in sockets:
                socket.reads.set()
                tasks.create_task(live.mse.serve(socket, "c", "main"))
            await until(lambda: all(len(socket.data) > 3 for socket in sockets))
            assert (live.feeds, live.stats.mse) == (1, 3)
            camera.play(smaller)
            await until(lambda: all(len(socket.texts) == 2 for socket in sockets))
            count = len(sockets[0].data)
            await until(lambda: len(sockets[0].data) > count + 4)
            for socket in sockets:
                socket.gone.set()
    assert [each["width"] for each in sockets[0].texts] == [640, 320]
    second = next(n for n, data in enumerate(sockets[0].data) if n and data[4:8] == b"ftyp")
    assert set(decoded(b"".join(sockets[0].data[:second]))) == {(640, 360)}
    assert set(decoded(b"".join(sockets[0].data[second:]))) == {(320, 240)}
    assert live.stats.closed == {"goodbye": 3}


async def test_slow_viewer_goes_on_at_a_key_frame_and_disturbs_nobody(reordered: Film) -> None:
    hub = Hub()
    with Player(hub, reordered, speed=4):
        async with live_view({("c", "main"): hub}, most_mse_bytes=1 << 18) as live, asyncio.TaskGroup() as tasks:
            slow, quick = Slow(), Slow()
            quick.reads.set()
            for socket in (slow, quick):
                tasks.create_task(live.mse.serve(socket, "c", "main"))
            await until(lambda: live.stats.dropped_frames > 20)
            (waiting,) = (session for session in live.mse._sessions if session._has_gap)
            assert waiting._bytes < 1 << 19
            slow.reads.set()
            await until(lambda: {"kind": "gap"} in slow.texts and len(slow.data) > 10)
            slow.gone.set()
            quick.gone.set()
    assert {"kind": "gap"} not in quick.texts
    frames = decoded(b"".join(slow.data))
    assert len(frames) >= 8


async def test_h265_goes_as_it_is_to_those_who_play_it(h265: Film) -> None:
    hub = Hub()
    with Player(hub, h265):
        async with live_view({("c", "main"): hub}) as live, asyncio.TaskGroup() as tasks:
            able, other = Slow(), Slow()
            for socket in (able, other):
                socket.reads.set()
            tasks.create_task(live.mse.serve(able, "c", "main", h265=True))
            tasks.create_task(live.mse.serve(other, "c", "main"))
            await until(lambda: len(able.data) > 5 and len(other.data) > 5)
            able.gone.set()
            other.gone.set()
    assert 'codecs="hvc1.' in able.texts[0]["mime"]
    assert 'codecs="avc1.' in other.texts[0]["mime"]
    assert set(decoded(b"".join(able.data))) == {(1280, 720)}
    assert set(decoded(b"".join(other.data))) == {(640, 360)}


async def test_refusals_say_why(plain: Film) -> None:
    hub = Hub()
    with Player(hub, plain):
        async with live_view({("c", "main"): hub, ("d", "main"): Hub()}, first_key_s=0.1, most_sessions=1) as live:
            await until(lambda: hub.gop())
            assert await refusal(live, "x") == ("not_found", 1008)
            assert await refusal(live, "d") == ("no_picture", 1013)
            async with asyncio.TaskGroup() as tasks:
                watching = Slow()
                watching.reads.set()
                tasks.create_task(live.mse.serve(watching, "c", "main"))
                await until(lambda: watching.data)
                assert await refusal(live, "c") == ("too_many_viewers", 1013)
                watching.gone.set()


async def refusal(live: Live, camera: str) -> tuple[str, int | None]:
    socket = Slow()
    socket.reads.set()
    await live.mse.serve(socket, camera, "main")
    return socket.texts[0]["error"], socket.closed
