"""A camera worker: the cameras whose leases it holds, and everything that is done with their pictures on this machine.

`roster` says which cameras those are; `recorder` and `ledger`, `sampler`, `live`, `clips`, `cleaner` do the rest. Each
is a part of the worker's supervision tree, so that one that fails starts again by itself.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from core.clock import Clock
from core.errors import Conflict, NotFound, StoreUnavailable, WanggeError
from core.supervise import Part, Run
from devices.camera_secrets import LogIns
from devices.registry import Registry
from store import media_roots
from store.camera_leases import CameraLeases
from store.camera_leases import Worker as LeaseHolder
from store.camera_references import keep_references
from store.footage import lost_leases
from store.pool import Store
from streams.cleaner import Cleaner
from streams.clips import Clips
from streams.fact_book import FactBook
from streams.headroom import disk_of
from streams.layout import JOURNAL, open_root
from streams.live import Live
from streams.quality import Sampler
from streams.recorder import Recorder
from streams.recorder.before import Place as Readable
from streams.recorder.journal import Journal
from streams.recorder.ledger import Ledger
from streams.recorder.writer import TICK_S
from streams.roster import Roster, Uses
from streams.settings import StreamsSettings

log = structlog.get_logger()

ROOT_BEAT_S = 10.0
REFERENCES_S = 30.0
CLOSE_WITHIN_S = 2.0
RECORDER_WITHIN_S = 4.0
LOOK_S = 1.0
RECENT_MS = 8_000
CAUGHT_UP_S = 1.0
"""Rows of open segments are up to `recorder.row_s` old; a camera is asked for newer ones once a second at most."""
PLACE_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where and who a worker is. holder: unique to this process life. number: of this machine, from 1; url: of its
    media port; folder: of the media root; secrets_file: the cameras' log-ins."""

    holder: str
    number: int
    host: str
    url: str
    folder: Path
    secrets_file: Path


class WorkerBroken(WanggeError):
    """What is broken can only be mended by a new process."""

    kind = "worker_broken"


class Worker:
    """Made by `open`; its `parts` run in a supervision tree; `stop` ends cleanly. All on one event loop."""

    def __init__(
        self,
        settings: StreamsSettings,
        place: Place,
        root: str,
        store: Store,
        registry: Callable[[], Registry],
        clock: Clock,
        media_key: str,
        lock: int,
    ) -> None:
        """root: id of the media root. lock: descriptor that holds this worker's place; see `open`."""
        self.settings, self.place, self.root, self.folder = settings, place, root, place.folder
        self.media_key = media_key
        self._store, self._registry, self._clock, self._lock = store, registry, clock, lock
        holder = LeaseHolder(place.holder, f"{place.host}/{place.number}", place.host, place.url, root)
        self.leases = CameraLeases(store, holder, settings.lease_ttl_s)
        self._is_recording = False
        self._caught_up: dict[int, float] = {}
        self.facts = FactBook(store)
        self.recorder = Recorder(place.folder, root, settings.recorder, settings.cleaner)
        journal = Journal(place.folder / f"{JOURNAL}{place.number}")
        here = Readable(root, place.folder)
        self.ledger = Ledger(store, self.recorder, self.leases, place.holder, journal, settings.recorder, here)
        self.sampler = Sampler(settings.quality, place.folder, self.facts.add, root)
        self.live = Live(settings.live, lambda camera, stream: self.roster.hub(camera, stream))
        uses = Uses(self.facts, self.recorder, self.sampler, self.live)
        log_ins = LogIns(place.secrets_file)
        self.roster = Roster(settings, store, registry, log_ins, self.leases, clock, uses)
        self.clips = Clips(store, lambda wanted_root: place.folder if wanted_root == root else None, settings.clips)
        self.cleaner = Cleaner(store, place.holder, root, place.folder, settings.cleaner, clock)

    @classmethod
    async def open(
        cls,
        settings: StreamsSettings,
        place: Place,
        store: Store,
        registry: Callable[[], Registry],
        clock: Clock,
    ) -> "Worker":
        """Takes its place and makes its media root known. Raises ConfigurationError, Conflict, StoreUnavailable."""
        place.folder.mkdir(parents=True, exist_ok=True)
        root = await asyncio.to_thread(open_root, place.folder, clock.now_ms())
        lock = await _take_place(place.folder / f".worker-{place.number}.lock")
        async with store.transaction() as connection:
            await media_roots.register(connection, root, place.host, str(place.folder))
            key = await media_roots.media_key(connection)
        return cls(settings, place, root, store, registry, clock, key, lock)

    def parts(self) -> dict[str, Run]:
        """What runs, by name."""
        found: dict[str, Run] = {
            "cameras": self.roster.run,
            "facts": self.facts.run,
            "recorder": self._run_recorder,
            "live": self._run_live,
            "cleaner": self.cleaner.run,
            "media root": self._run_root,
        }
        if self.settings.quality.on:
            found["quality"] = self._run_quality
        return found

    async def stop(self) -> None:
        """After the parts have ended: ends cameras, closes files durably, says the last rows, gives leases back."""
        self.roster.ask_to_stop()
        await asyncio.to_thread(self.recorder.stop, RECORDER_WITHIN_S)
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self.ledger.finish()
                await self.facts.flush()
                await self.leases.release()
        except (StoreUnavailable, TimeoutError):
            log.warning("streams.leases_not_released", remedy="they expire by themselves")
        self.clips.close()
        os.close(self._lock)

    # For the media port

    def key_of(self, camera: str) -> int:
        """Registry key of a camera. Raises NotFound."""
        record = self._registry().device(camera)
        if record is None or record.kind != "camera":
            raise NotFound(f"There is no camera {camera}.")
        return record.key

    async def catch_up(self, camera: int, to_us: int) -> None:
        """Before a clip that reaches to about now: rows of what the camera has sent until now. Some 0.4 s."""
        now_s = self._clock.monotonic()
        if to_us // 1000 < self._clock.now_ms() - RECENT_MS or now_s < self._caught_up.get(camera, 0.0) + CAUGHT_UP_S:
            return
        self._caught_up[camera] = now_s
        self.recorder.ask(camera)
        await self._clock.sleep(TICK_S + 0.1)
        await self.ledger.bring()

    def shown(self) -> dict[str, dict[str, Any]]:
        """Camera → stream → state, for the console."""
        return {
            room.wanted.id: {name: stream.shown() for name, stream in room.streams.items()}
            for room in self.roster.rooms.values()
        }

    # Other parts

    async def _run_recorder(self, part: Part) -> None:
        """Files by the recorder's thread, rows by the ledger."""
        if not self._is_recording:
            self._is_recording = True
            self.recorder.start()
        part.ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.ledger.run())
            while True:
                await self._clock.sleep(LOOK_S)
                if not self.recorder.is_alive:
                    raise WorkerBroken("The thread that writes footage has died; the worker starts again.")
                if self.recorder.failing is not None:
                    part.degraded(f"nothing is recorded: {self.recorder.failing}")
                elif self.ledger.stats.away:
                    part.degraded("the store is away: rows of footage wait in the journal")
                else:
                    part.ready()

    async def _run_live(self, part: Part) -> None:
        part.ready()
        await self.live.run()

    async def _run_root(self, part: Part) -> None:
        """Says that the media root is there and how full it is."""
        while True:
            disk = await asyncio.to_thread(disk_of, self.folder)
            try:
                async with self._store.connection() as connection:
                    await media_roots.beat(connection, self.root, self.place.url, disk.free, disk.total)
                part.ready()
            except StoreUnavailable:
                part.degraded("the store is away")
            await self._clock.sleep(ROOT_BEAT_S)

    async def _run_quality(self, part: Part) -> None:
        """The sampler's thread, and its references into the store under the cameras' leases."""
        self.sampler.start()
        part.ready()
        try:
            while True:
                await self._clock.sleep(REFERENCES_S)
                if not self.sampler.is_alive:
                    raise WorkerBroken("The thread that judges pictures has died; the worker starts again.")
                await self._keep_references()
        finally:
            await asyncio.to_thread(self.sampler.close)

    async def _keep_references(self) -> None:
        learned = self.sampler.take_references()
        ours = [one for one in learned if one.camera in self.leases.epochs]
        if not ours:
            return
        try:
            async with self._store.transaction() as connection:
                cameras = {one.camera for one in ours}
                lost = await lost_leases(connection, cameras, self.place.holder, self.leases.epochs)
                await keep_references(connection, [one.row() for one in ours if one.camera not in lost])
        except StoreUnavailable:
            self.sampler.give_back(ours)


async def _take_place(file: Path) -> int:
    """Locks the place of this worker; a predecessor that is ending is waited for. Raises Conflict."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + PLACE_WITHIN_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise Conflict(f"Another camera worker holds {file}; end it first.") from None
            await asyncio.sleep(0.1)
        else:
            return descriptor
