"""The RTSP server of simulated cameras: one port, any number of cameras, one clock for all."""

import asyncio
import time
from collections.abc import Iterable
from types import TracebackType

import msgspec

from simulators.cameras.camera import Camera
from simulators.cameras.connection import SESSION_S, Connection
from simulators.cameras.feed import Player
from simulators.cameras.wheel import Wheel

SWEEP_S = 5.0
LINGER_S = 2.0
"""At the end clients get so long to read what was sent to them."""


class Sent(msgspec.Struct, frozen=True):
    """What one connection got of one track. Time stamps: RTP, of the first and last unit; None: nothing was sent."""

    camera: str
    stream: str
    track: str
    client: str
    began_at_ms: int
    ended_at_ms: int | None
    frames: int
    first_timestamp: int | None
    last_timestamp: int | None
    packets: int
    octets: int
    dropped: int


class Server:
    """`async with Server(cameras) as server`: then `server.port` is open.

    user, password: asked for by digest when given; qop: with qop=auth. session_s: time-out of a session.
    """

    def __init__(
        self,
        cameras: Iterable[Camera],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        user: str | None = None,
        password: str | None = None,
        qop: bool = False,
        session_s: float = SESSION_S,
    ) -> None:
        self.cameras = {camera.id: camera for camera in cameras}
        self.host, self.port = host, port
        self.user, self.password, self.qop = user, password, qop
        self.connections: set[Connection] = set()
        self.sent: list[Sent] = []
        self.refused = 0
        self.wheel = Wheel()
        self._session_s = session_s
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        for camera in self.cameras.values():
            for feed in camera.feeds:
                feed.wake = self.wheel.add

    async def __aenter__(self) -> "Server":
        await self.listen()
        self._sweep()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wheel.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.deafen()
        for connection in tuple(self.connections):
            connection.close()
        deadline = time.monotonic() + LINGER_S
        while self.connections:
            if time.monotonic() > deadline:
                for connection in tuple(self.connections):
                    connection.abort()
            await asyncio.sleep(0.01)

    async def listen(self) -> None:
        """Opens the port (again)."""
        if self._listener is None:
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(lambda: Connection(self), self.host, self.port, backlog=512)
            self.port = self._listener.sockets[0].getsockname()[1]

    def deafen(self) -> None:
        """Closes the port: connections are refused. Those that are open stay."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def url(self, camera: str, stream: str = "main") -> str:
        """Address of a stream, without credentials."""
        return f"rtsp://{self.host}:{self.port}/{camera}" + ("" if stream == "main" else f"/{stream}")

    def ended(self, camera: str, stream: str, client: str, player: Player) -> None:
        """Notes what a player got, when its session ends."""
        self.sent.append(sent(camera, stream, client, player, round(time.time() * 1000)))

    def sent_so_far(self) -> list[Sent]:
        """Of ended sessions and of those that go on."""
        playing = [
            sent(one.camera.id, one.stream, one.client, player, None)
            for one in self.connections
            if one.camera is not None
            for player in one.players.values()
        ]
        return self.sent + playing

    def _sweep(self) -> None:
        """Ends sessions of which nothing was heard."""
        oldest = time.monotonic() - self._session_s
        for connection in tuple(self.connections):
            if connection.heard_s < oldest:
                connection.abort()
        wait = min(SWEEP_S, self._session_s / 4)
        self._sweeper = asyncio.get_running_loop().call_later(wait, self._sweep)


def sent(camera: str, stream: str, client: str, player: Player, ended_at_ms: int | None) -> Sent:
    """The figures of a player."""
    return Sent(
        camera,
        stream,
        player.feed.loop.codec,
        client,
        player.began_ms,
        ended_at_ms,
        player.frames,
        player.first_timestamp,
        player.last_timestamp,
        player.packets,
        player.octets,
        player.dropped,
    )
