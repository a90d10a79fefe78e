"""Live view of one worker: WHEP, MSE and snapshots over the same feeds, limits and sockets."""

import asyncio
from time import monotonic

from core.errors import WanggeError
from core.media import StreamName
from streams.live.choice import Chooser
from streams.live.ice import Ports
from streams.live.mse import Mse
from streams.live.places import Places
from streams.live.snapshot import Snapshot, Snapshots
from streams.live.source import Cameras
from streams.live.stats import LiveStats
from streams.live.whep import Answer, Whep
from streams.live_settings import LiveSettings

_TEND_S = 1.0


class Live:
    """`run` it in a task group; `whep`, `mse` and `snapshot` are for the media port, on the same loop.

    cameras: finds the fan-out of a camera's stream.
    """

    def __init__(self, settings: LiveSettings, cameras: Cameras) -> None:
        self.settings, self.stats = settings, LiveStats()
        self._ports = Ports(settings.ice_addresses, settings.ice_announced, settings.ice_ports)
        self._places = Places(settings.most_sessions, settings.most_sessions_per_camera)
        self._chooser = Chooser(settings, cameras)
        self.whep = Whep(settings, self._chooser, self._ports, self._places, self.stats)
        self.mse = Mse(settings, self._chooser, self._places, self.stats)
        self._snapshots = Snapshots(settings, self._chooser, self.stats)
        self.started = asyncio.Event()

    async def run(self) -> None:
        """Listens and looks after viewers until cancelled; then every session is ended and what it held given back.

        Raises ConfigurationError when the UDP ports of the settings are taken.
        """
        with self._ports.opened(), self._snapshots.opened():
            try:
                async with asyncio.TaskGroup() as sessions:
                    self.whep.run_in(sessions)
                    self.started.set()
                    try:
                        while True:
                            await asyncio.sleep(_TEND_S)
                            self.whep.tend(monotonic())
                            self.stats.transcodes = self._chooser.transcodes.running
                    finally:
                        self.whep.run_in(None)
            finally:
                self.started.clear()
                self.mse.end_all()
                await asyncio.to_thread(self._chooser.transcodes.join)

    async def offer(self, camera: str, stream: StreamName, sdp: str) -> Answer:
        """`whep.offer`, with refusals counted."""
        try:
            return await self.whep.offer(camera, stream, sdp)
        except WanggeError as error:
            self.stats.refused[error.kind] += 1
            raise

    async def snapshot(self, camera: str, stream: StreamName = "sub", width: int = 640) -> Snapshot:
        """See Snapshots.newest."""
        return await self._snapshots.newest(camera, stream, width)

    def forget(self, camera: str) -> None:
        """The camera is read elsewhere now, or not at all: its viewers are told to ask again."""
        self.whep.forget(camera)
        self.mse.forget(camera)

    @property
    def feeds(self) -> int:
        """Streams that are being watched now."""
        return len(self._chooser.feeds)

    @property
    def dropped(self) -> int:
        """Packets that live view did not take from the hub in time."""
        return self._chooser.feeds.dropped
