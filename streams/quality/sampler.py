"""The sampler: one thread of a worker process that judges the pictures of all its cameras on a schedule.

In: a reader of each camera's hub (sub-stream where there is one). Out: a QUALITY fact a sample, through `emit`
(called on this thread; must not block), and references to be stored (`take_references`). Decoding and measuring
release the GIL for most of their time. 64 cameras every 10 s take some 2 % of a core.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import structlog

from core.camera import Light
from core.media import Packet
from store.camera_references import ReferenceRow
from streams.quality.pictures import Shelf, ShelfStats
from streams.quality.reference import Reference
from streams.quality.watch import Emit, LearnedReference, QualityStats, SampledCamera, Watch
from streams.quality_settings import QualitySettings

MOST_PACKETS = 1500
"""For the ring of a reader (`Hub.reader`); with `QualitySettings.most_waiting_bytes`."""
TICK_S = 1.0
CLEAN_EVERY_S = 3600.0
log = structlog.get_logger()


class PacketSource(Protocol):
    """A reader of a hub."""

    def take(self) -> list[Packet]:
        """What came since the last time."""

    def close(self) -> None:
        """No more."""


@dataclass(slots=True)
class _Place:
    watch: Watch
    source: PacketSource
    failing: bool = False


class Sampler:
    """`add`, `remove`, `relearn`, `take_references` from any thread; `run` on its own."""

    def __init__(self, settings: QualitySettings, root: Path, emit: Emit, root_id: str | None = None) -> None:
        """root: the media root, for pictures; root_id: its id, noted in facts."""
        self.settings, self.stats, self.shelf_stats = settings, QualityStats(), ShelfStats()
        self._root, self._root_id, self._emit = root, root_id, emit
        self._places: dict[int, _Place] = {}
        self._lock = threading.Lock()
        self._learned: dict[tuple[int, Light], LearnedReference] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._clean_s = 0.0

    def add(self, camera: SampledCamera, source: PacketSource, references: Iterable[LearnedReference] = ()) -> None:
        """Judges a camera from now on. references: its rows in `camera_references`.

        A camera that is there already gets another source (sub-stream come or gone) or other settings and keeps what it
        has learned, unless the registry has a new word that it is to learn anew.
        """
        with self._lock:
            before = self._places.get(camera.key)
            if before is None:
                shelf = Shelf(self._root, camera.id, self.settings, self.shelf_stats)
                watch = Watch(camera, self.settings, shelf, self._emit, self.stats, self._root_id)
                watch.know({row.light: row for row in references})
            else:
                watch = before.watch
                if camera.own.relearned_at_ms != watch.camera.own.relearned_at_ms:
                    watch.relearn()
                watch.camera = camera
            self._places[camera.key] = _Place(watch, source)
        if before is not None and before.source is not source:
            before.source.close()

    def remove(self, key: int) -> None:
        """Lets a camera go; what it learned is still handed out. Unknown: nothing."""
        with self._lock:
            place = self._places.pop(key, None)
            if place is not None:
                self._keep(place.watch.learned())
        if place is not None:
            place.source.close()

    def relearn(self, key: int) -> None:
        """An operator's word that the view is meant to be as it is now. Unknown camera: nothing."""
        with self._lock:
            if key in self._places:
                self._places[key].watch.relearn()

    def take_references(self) -> list[LearnedReference]:
        """References to be stored since the last time, the newest of each camera and light."""
        with self._lock:
            learned, self._learned = self._learned, {}
        return list(learned.values())

    def give_back(self, references: Iterable[LearnedReference]) -> None:
        """References that could not be stored: handed out again unless there are newer ones."""
        with self._lock:
            for row in references:
                self._learned.setdefault((row.camera, row.light), row)

    def start(self) -> None:
        """Runs on a thread of its own until `close`; may be started again then."""
        self._stop.clear()
        self._thread = threading.Thread(target=self.run, name="quality", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether its thread lives."""
        return self._thread is not None and self._thread.is_alive()

    def close(self) -> None:
        """Ends the thread, at most a sample later. Cameras and their readers stay until they are removed."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)
            self._thread = None

    def run(self) -> None:
        """Looks at every camera once a second."""
        cv2.setNumThreads(1)  # our pictures are too small to be divided, and the other core has work to do
        while not self._stop.wait(TICK_S):
            self.turn()

    def turn(self) -> None:
        """Judges what came since the last time."""
        for key in list(self._places):
            with self._lock:
                place = self._places.get(key)
                if place is not None:
                    self._look(place)
        if time.monotonic() >= self._clean_s:
            self._clean_s = time.monotonic() + CLEAN_EVERY_S
            self._clean()

    def _look(self, place: _Place) -> None:
        camera = place.watch.camera.id
        for packet in place.source.take():
            try:
                sampled = place.watch.feed(packet)
            except (cv2.error, ValueError, ArithmeticError) as error:
                # A picture nobody thought of must not take the other cameras' judge away.
                if not place.failing:
                    log.error("quality.sample_failed", camera=camera, reason=str(error))
                place.failing = True
                continue
            if sampled is not None:
                place.failing = False
                self._keep(place.watch.learned())

    def _keep(self, learned: Iterable[LearnedReference]) -> None:
        for row in learned:
            self._learned[row.camera, row.light] = row

    def _clean(self) -> None:
        now_us = time.time_ns() // 1000
        with self._lock:
            shelves = [place.watch.shelf for place in self._places.values() if place.watch.shelf]
        for shelf in shelves:
            shelf.clean(now_us)


def references_of(rows: Iterable[ReferenceRow]) -> Mapping[int, list[LearnedReference]]:
    """Rows of the store by camera; what cannot be read is left out."""
    found: dict[int, list[LearnedReference]] = {}
    for row in rows:
        reference = Reference.from_bytes(row.reference)
        if reference is not None:
            known = LearnedReference(row.camera, Light(row.light), row.version, reference)
            found.setdefault(row.camera, []).append(known)
    return found
