"""A run of simulated cameras from first to last: build, serve, do what is planned, write down what was sent."""

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from simulators.cameras import fleet as fleets
from simulators.cameras.options import Options
from simulators.cameras.server import Sent, Server
from simulators.errors import SimulatorError


class Outcome(msgspec.Struct):
    """Figures of a run. frames, dropped: video and audio units over all connections."""

    cameras: int
    connections: int
    frames: int
    dropped: int


def _nothing(*_: object) -> None:
    """Of a caller who does not want to know."""


async def run_cameras(
    options: Options,
    say: Callable[[str], None] = _nothing,
    *,
    stop: asyncio.Event | None = None,
    ready: Callable[[Server], None] = _nothing,
) -> Outcome:
    """Serves until options.seconds are over or `stop` is set. Raises SimulatorError.

    say: lines for people. ready: called once the port is open.
    """
    fleet = await fleets.build(options, say)
    stop = stop or asyncio.Event()
    server = Server(
        fleet.cameras,
        host=options.host,
        port=options.port,
        user=options.user,
        password=options.password,
        qop=options.qop,
    )
    try:
        async with server:
            for one in fleet.cameras:
                say(server.url(one.id) + ("  " + server.url(one.id, "sub") if "sub" in one.streams else ""))
            ready(server)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(options.seconds):
                    await stop.wait()
    except OSError as error:
        raise SimulatorError(f"port {options.port} cannot be opened: {error.strerror}") from error
    return outcome(len(fleet.cameras), server.sent)


def outcome(cameras: int, sent: list[Sent]) -> Outcome:
    """The figures of everything that was sent."""
    return Outcome(cameras, len(sent), sum(one.frames for one in sent), sum(one.dropped for one in sent))
