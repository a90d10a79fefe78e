"""Films as cameras send them, made once; live view over hubs that play them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bench.live_source import Film, film
from streams.hub import Hub
from streams.live import Live, LiveSettings

LOCAL = {"ice_addresses": ["127.0.0.1"]}


@pytest.fixture(scope="session")
def plain() -> Film:
    """H.264 without B-frames, a key frame a second."""
    return film(seconds=2)


@pytest.fixture(scope="session")
def smaller() -> Film:
    """The same in another size."""
    return film(size=(320, 240), seconds=2)


@pytest.fixture(scope="session")
def reordered() -> Film:
    """H.264 with B-frames."""
    return film(size=(1280, 720), seconds=2, b_frames=2)


@pytest.fixture(scope="session")
def h265() -> Film:
    """H.265."""
    return film("h265", (1280, 720), seconds=1)


def settings(**given: object) -> LiveSettings:
    """Loopback only, and short times."""
    return LiveSettings.model_validate({**LOCAL, "first_key_s": 3.0, **given})


@asynccontextmanager
async def live_view(hubs: dict[tuple[str, str], Hub], **given: object) -> AsyncIterator[Live]:
    """Live view that runs inside the block."""
    live = Live(settings(**given), lambda camera, stream: hubs.get((camera, stream)))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(live.run())
        await live.started.wait()
        try:
            yield live
        finally:
            running.cancel()


async def until(true: Callable[[], object], most_s: float = 10.0) -> None:
    """Waits for a condition, polling; fails after `most_s`."""
    async with asyncio.timeout(most_s):
        while True:
            if true():
                return
            await asyncio.sleep(0.01)
