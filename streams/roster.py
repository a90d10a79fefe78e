"""The roster of a worker: which cameras it holds by lease, and a room for each of them.

Once a second it looks at registry and log-ins; leases are renewed, taken and given back at once when the cameras that
are asked for have changed, else every few seconds. While the store is away nothing changes hands: cameras go on being
read and recorded. One bad camera is a thread that tries again; it disturbs no other.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from core.clock import Clock
from core.errors import InvalidInput, StoreUnavailable
from core.media import StreamName
from core.supervise import Part
from devices.camera_secrets import LogIns
from devices.registry import Registry
from store.camera_leases import CameraLeases
from store.camera_references import references_for
from store.pool import Store
from streams.fact_book import FactBook
from streams.hub import Hub, Reader
from streams.live import Live
from streams.quality import MOST_PACKETS, Sampler, references_of
from streams.recorder import Recorder
from streams.room import Room, Stream, Wanted, wanted
from streams.settings import StreamsSettings

log = structlog.get_logger()

LOOK_S = 1.0
READ_AGAIN_S = 5.0
"""Log-ins and what the registry says of cameras are compared so often when no change was heard of."""


@dataclass(slots=True)
class Uses:
    """What is done with pictures: facts about them, recording, diagnosis, live view."""

    facts: FactBook
    recorder: Recorder
    sampler: Sampler
    live: Live


class Roster:
    """`run` is a part of the worker; `rooms` may be read by anybody on its loop."""

    def __init__(
        self,
        settings: StreamsSettings,
        store: Store,
        registry: Callable[[], Registry],
        log_ins: LogIns,
        leases: CameraLeases,
        clock: Clock,
        uses: Uses,
    ) -> None:
        """uses: what is done with the pictures of every room."""
        self._settings, self._store, self._registry, self._log_ins = settings, store, registry, log_ins
        self._leases, self._clock, self._uses = leases, clock, uses
        self.rooms: dict[int, Room] = {}
        self._asked: Mapping[int, Wanted] = {}
        self._unusable: list[str] = []
        self._seen: Registry | None = None
        self._read_s = self._beat_s = float("-inf")

    def hub(self, camera: str, stream: StreamName) -> Hub | None:
        """Fan-out of a camera's stream; None when it is not held here or has none of that name."""
        record = self._registry().device(camera)
        room = None if record is None else self.rooms.get(record.key)
        found = None if room is None else room.streams.get(stream)
        return None if found is None else found.hub

    async def run(self, part: Part) -> None:
        """Looks and beats until cancelled."""
        is_away = False
        while True:
            began = self._clock.monotonic()
            try:
                await self.look()
            except StoreUnavailable:
                if not is_away:
                    part.degraded("the store is away: cameras stay with this worker and are recorded, rows follow")
                is_away = True
            else:
                is_away = False
                self._say(part)
            await self._clock.sleep(max(0.05, LOOK_S - (self._clock.monotonic() - began)))

    def _say(self, part: Part) -> None:
        if not self._unusable:
            part.ready()
            return
        shown = ", ".join(self._unusable[:5]) + (" …" if len(self._unusable) > 5 else "")
        part.degraded(f"{len(self._unusable)} cameras have no usable address: {shown}")

    async def look(self) -> None:
        """One round. Raises StoreUnavailable; rooms that are open have followed the registry even then."""
        now, before = self._clock.monotonic(), self._asked.keys()
        if self._registry() is not self._seen or now - self._read_s >= READ_AGAIN_S:
            self._read(now)
        for key in [key for key, room in self.rooms.items() if any(s.reader.is_dead for s in room.streams.values())]:
            log.error("streams.camera_thread_died", camera=self.rooms[key].wanted.id, remedy="it is read anew")
            await self._close(key)
        for key in self.rooms.keys() & self._asked.keys():
            await self._follow(self._asked[key])
        if self._asked.keys() != before or now - self._beat_s >= self._leases.beat_s:
            await self._leases.beat(self._asked.keys())
            self._beat_s = now
        for key in self.rooms.keys() - self._leases.epochs.keys():
            await self._close(key)
        new = [key for key in self._leases.epochs if key not in self.rooms and key in self._asked]
        if new:
            await self._open([self._asked[key] for key in new])

    def _read(self, now: float) -> None:
        """Every camera in service that can be read."""
        registry = self._registry()
        found: dict[int, Wanted] = {}
        unusable = []
        judged, audio = self._settings.quality.on, self._settings.camera.audio
        for device in registry.devices("camera"):
            try:
                found[device.key] = wanted(device, registry, self._log_ins, audio=audio, judged=judged)
            except InvalidInput:
                unusable.append(device.id)
        self._asked, self._unusable, self._seen, self._read_s = found, sorted(unusable), registry, now

    async def _open(self, cameras: list[Wanted]) -> None:
        async with self._store.connection() as connection:
            rows = await references_for(connection, [camera.key for camera in cameras])
        known = references_of(rows)
        for camera in cameras:
            room = self.rooms[camera.key] = Room(camera, self._settings.camera, self._uses.facts.add)
            begun, _ = room.follow(camera)
            self._record(camera, begun)
            if camera.quality is not None:
                self._uses.sampler.add(camera.quality, self._sampled(room), known.get(camera.key, ()))
            for stream in begun:
                stream.reader.start()
        log.info("streams.cameras_taken", cameras=len(cameras), all=len(self.rooms))

    async def _follow(self, camera: Wanted) -> None:
        room = self.rooms[camera.key]
        if camera == room.wanted:
            return
        quality, judged = room.wanted.quality, room.judged
        begun, gone = room.follow(camera)
        self._record(camera, begun)
        for stream in begun:
            stream.reader.start()
        for stream in gone:
            await self._end(camera.key, stream)
        if gone:
            self._uses.live.forget(camera.id)
        if camera.quality is None:
            self._uses.sampler.remove(camera.key)
        elif quality != camera.quality or judged is not room.judged:
            self._uses.sampler.add(camera.quality, self._sampled(room))

    def _record(self, camera: Wanted, streams: list[Stream]) -> None:
        for stream in streams:
            self._uses.recorder.add(camera.key, camera.id, stream.name, stream.hub)

    def _sampled(self, room: Room) -> Reader:
        most_bytes = self._settings.quality.most_waiting_bytes
        return room.judged.hub.reader("quality", MOST_PACKETS, most_bytes, from_gop=False)

    async def _close(self, key: int) -> None:
        room = self.rooms.pop(key)
        self._uses.live.forget(room.wanted.id)
        self._uses.sampler.remove(key)
        self.ask_to_stop([room])
        for stream in room.streams.values():
            await self._end(key, stream)

    def ask_to_stop(self, rooms: list[Room] | None = None) -> None:
        """Every reader (of these rooms) begins to end; returns at once."""
        for room in list(self.rooms.values()) if rooms is None else rooms:
            for stream in room.streams.values():
                stream.reader.ask_to_stop()

    async def _end(self, key: int, stream: Stream) -> None:
        await asyncio.to_thread(stream.reader.stop)
        self._uses.recorder.remove(key, stream.name)
