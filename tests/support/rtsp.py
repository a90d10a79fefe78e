"""Cameras that really speak RTSP, in this process: the simulator's server in a thread of its own.

Fixture (registered in tests/conftest.py): `street`, a running `Street` with cameras `h264`, `b` (B-frames) and `h265`,
each 320 × 180 at 15 pictures a second with a key frame a second.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar

import pytest

from simulators.cameras.camera import Camera, camera
from simulators.cameras.encoder import Form, LoopEncoder, instants
from simulators.cameras.loop import VIDEO_HZ, Loop, prepared
from simulators.cameras.pattern import Pattern
from simulators.cameras.server import Sent, Server

T = TypeVar("T")
FPS = 15


@cache
def loop(codec: str = "h264", width: int = 320, height: int = 180, seconds: int = 4, bframes: bool = False) -> Loop:
    """Footage that the cameras play."""
    form = Form(width, height, FPS, 300, gop_s=1.0, codec=codec, bframes=bframes)  # type: ignore[arg-type]
    duration = seconds * VIDEO_HZ
    pattern, encoder = Pattern(7, size=(width, height)), LoopEncoder(form, duration)
    for at in instants(duration, FPS):
        encoder.add(pattern.frame(at / VIDEO_HZ), at)
    return prepared(encoder.finish())


class Street:
    """The running server. Everything that touches it goes through `call`, into its event loop."""

    def __init__(self, cameras: list[Camera], port: int = 0, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulated cameras", daemon=True)
        self._thread.start()
        self.server = Server(cameras, port=port, **options)
        self._run(self.server.__aenter__())

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def call(self, work: Callable[[], T]) -> T:
        """Runs something in the server's loop."""

        async def inside() -> T:
            return work()

        return self._run(inside())  # type: ignore[no-any-return]

    def camera(self, name: str) -> Camera:
        """One of the cameras; change it inside `call`."""
        return self.server.cameras[name]

    def url(self, name: str, stream: str = "main") -> str:
        """Its address."""
        return self.server.url(name, stream)

    def sent(self, name: str) -> list[Sent]:
        """What each connection got of the camera's video, the oldest first; those that are open too."""
        return self.call(lambda: [one for one in self.server.sent_so_far() if one.camera == name])

    def close(self) -> None:
        """Ends the server and its thread."""
        self._run(self.server.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


def usual_cameras() -> list[Camera]:
    """The cameras of the fixture."""
    return [
        camera("h264", [loop()], [], 1),
        camera("b", [loop(bframes=True)], [], 2),
        camera("h265", [loop("h265")], [], 3),
    ]


@pytest.fixture
def street() -> Iterator[Street]:
    opened = Street(usual_cameras())
    yield opened
    opened.close()


def wait_for(condition: Callable[[], Any], seconds: float = 10.0, what: str = "it") -> Any:
    """The first true value of `condition`; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come within {seconds} s")
