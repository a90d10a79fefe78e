"""Ten viewers leave without a word, through the console: their sessions end within seconds, nothing stays behind."""

import asyncio
import contextlib
import re
import time
from pathlib import Path

import httpx
import pytest
import websockets

from bench.live_viewer import viewer
from tests.faults.filmed import Film, filming
from tests.faults.harness import until

EACH = 5
"""By WebRTC, and as many by WebSocket."""
GONE_WITHIN_S = 25.0
MOST_MORE_DESCRIPTORS = 3
"""A connection or two that a pool keeps."""
ROUNDS = 10


async def viewers(client: httpx.AsyncClient) -> int:
    """Live sessions that the worker counts."""
    found = re.search(r"^wangge_live_viewers(?:\{[^}]*\})? (\S+)$", (await client.get("/metrics")).text, re.MULTILINE)
    assert found
    return int(float(found[1]))


async def by_webrtc(client: httpx.AsyncClient, stack: contextlib.AsyncExitStack) -> None:
    """Sees a picture; will be gone without goodbye."""

    async def exchange(offer: str) -> str:
        headers = {"Content-Type": "application/sdp"}
        answer = await client.post("/api/cameras/b/whep", content=offer, headers=headers)
        assert answer.status_code == 201, answer.text
        return answer.text

    made = await stack.enter_async_context(viewer(exchange, says_goodbye=False))
    await until(lambda: made.seen.pictures, 10, "a picture by WebRTC")


async def by_websocket(film: Film) -> websockets.ClientConnection:
    """Sees a picture; the caller breaks the connection off."""
    url = f"ws{film.up.http.removeprefix('http')}/api/cameras/b/mse"
    socket = await websockets.connect(url, additional_headers=film.bearer, proxy=None)
    while not isinstance(await asyncio.wait_for(socket.recv(), 10), bytes):
        continue
    return socket


async def come_and_go(film: Film, client: httpx.AsyncClient) -> float:
    """Ten of them; seconds until the worker has noticed that all are gone."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(EACH):
            await by_webrtc(client, stack)
        sockets = [await by_websocket(film) for _ in range(EACH)]
        assert await viewers(client) == 2 * EACH
        for socket in sockets:
            socket.transport.abort()
    left_s = time.monotonic()

    async def nobody() -> bool:
        return await viewers(client) == 0

    await until(nobody, GONE_WITHIN_S, "the end of all sessions")
    return time.monotonic() - left_s


@pytest.mark.soak  # the short form: one round beside changes (test_camera_changes)
@pytest.mark.timeout(900)
async def test_viewers_that_leave_without_a_word(service_folder: Path) -> None:
    async with filming(service_folder / "data") as film, film.client() as client:
        await viewers(client)
        before = film.worker.num_fds()
        took_s = [await come_and_go(film, client) for _ in range(ROUNDS)]
        print(f"all noticed after {[round(took, 1) for took in took_s]} s")
        print(f"descriptors of the worker: {before} before, {film.worker.num_fds()} after")
        await until(lambda: film.worker.num_fds() <= before + MOST_MORE_DESCRIPTORS, 15, "closed descriptors")
        reel = await film.stop()
    reel.undisturbed("a", "b", "c")
