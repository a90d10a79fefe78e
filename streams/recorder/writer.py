"""The recorder: one thread that writes the footage of all cameras of a media root.

In: hubs, added and removed while it runs. Out: files in the root, and rows and facts in an outbox (`take`), which a
ledger brings to the store. About four times a second every ring is emptied; footage waits `fragment_s` in memory and is
then written whole, so that a killed worker loses less than a second. A disk that fails, or whose headroom is reached,
stops the recording of this root only: rings go on filling (and drop), and a probe is written every few seconds.
"""

import errno
import os
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from core.camera import CameraFact, KindCode
from core.errors import DecodeError
from core.media import StreamName
from streams.cleaner_settings import CleanerSettings
from streams.headroom import disk_of, headroom
from streams.hub import Hub
from streams.recorder.outbox import Entry, Outbox
from streams.recorder.recording import Recording
from streams.recorder.stats import RecorderStats
from streams.recorder.syncer import Syncer
from streams.recorder_settings import RecorderSettings

log = structlog.get_logger()

TICK_S = 0.25
_LOOK_S = 1.0
_PROBE_BYTES = 256 << 10
_NONSENSE = (struct.error, ValueError, ArithmeticError, LookupError, TypeError, AssertionError, DecodeError)
FULL = "The disk has reached the headroom that footage leaves free."


class Recorder:
    """`start` and `stop` once. add, remove and take may be called from any thread and never wait for the disk."""

    def __init__(
        self,
        folder: Path,
        root: str,
        settings: RecorderSettings | None = None,
        cleaner: CleanerSettings | None = None,
    ) -> None:
        """folder, root: of the media root (streams.layout.open_root). cleaner: its headroom is respected here."""
        self._folder, self._root = folder, root
        self._settings, self._cleaner = settings or RecorderSettings(), cleaner or CleanerSettings()
        self._outbox = Outbox()
        self._syncer = Syncer(folder, self._settings.sync_s, self._note_failure)
        self.stats = RecorderStats()
        self._lock = threading.Lock()
        self._recordings: dict[tuple[int, StreamName], Recording] = {}
        self._leaving: list[Recording] = []
        self._left: list[Recording] = []
        self._failure: OSError | None = None
        self._failing_since_us = 0
        self._retry_s = self._look_s = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="footage", daemon=True)

    @property
    def failing(self) -> str | None:
        """Why nothing can be written just now; None while all is well."""
        return None if self._failure is None or not self._failing_since_us else _text(self._failure)

    @property
    def sync_stats(self) -> tuple[int, float]:
        """Rounds of making footage safe, and the slowest of them in seconds."""
        return self._syncer.rounds, self._syncer.slowest_s

    def start(self) -> None:
        """Begins to write."""
        self._syncer.start()
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether its threads live; one that died of something unforeseen takes the worker with it."""
        return self._thread.is_alive() and self._syncer.is_alive

    def stop(self, wait_s: float = 20.0) -> None:
        """Writes everything, closes all files and makes them safe; `take` then gives the last rows. Blocking."""
        self._stopping.set()
        self._thread.join(wait_s)
        if self._thread.is_alive():
            log.error("recorder.stuck", root=self._root)

    def add(self, camera: int, camera_id: str, stream: StreamName, hub: Hub) -> None:
        """Records a stream from now on, its GOP in progress included. One that is recorded already goes on as it is.

        camera: registry key; camera_id: its name in paths.
        """
        with self._lock:
            if (camera, stream) not in self._recordings:
                self._recordings[camera, stream] = Recording(
                    camera,
                    camera_id,
                    stream,
                    hub,
                    (self._folder, self._root),
                    self._settings,
                    self._outbox,
                    self._syncer,
                    self.stats,
                )

    def remove(self, camera: int, stream: StreamName) -> None:
        """What the ring holds is still written; then the stream's file is closed. Unknown ones are fine."""
        with self._lock:
            recording = self._recordings.pop((camera, stream), None)
            if recording is not None:
                self._leaving.append(recording)

    def ask(self, camera: int) -> None:
        """Rows of what a camera has sent until now are wanted: `take` has them TICK_S later."""
        with self._lock:
            for (key, _), recording in self._recordings.items():
                if key == camera:
                    recording.is_asked = True

    def gaps(self, camera: int, stream: StreamName) -> int:
        """Gaps of a stream since it is recorded here."""
        with self._lock:
            recording = self._recordings.get((camera, stream))
        return 0 if recording is None else recording.gaps

    @property
    def recorded(self) -> frozenset[tuple[int, StreamName]]:
        """Streams that are recorded now."""
        return frozenset(self._recordings)

    def take(self) -> Entry:
        """Rows and facts since the last time."""
        return self._outbox.take()

    def _work(self) -> None:
        while not self._stopping.is_set():
            began_s = time.monotonic()
            self._tick(began_s)
            took_s = time.monotonic() - began_s
            self.stats.slowest_tick_s = max(self.stats.slowest_tick_s, took_s)
            self._stopping.wait(max(0.01, TICK_S - took_s))
        self._finish()

    def _tick(self, now_s: float) -> None:
        with self._lock:
            recordings = list(self._recordings.values())
            leaving, self._leaving = self._leaving, []
        self._left += leaving
        if self._failure is not None and not self._failing_since_us:
            self._fail(self._failure, now_s)  # found by the thread that makes footage safe
        if not self._failing_since_us or now_s >= self._retry_s:
            try:
                self._look(now_s)
                written = self.stats.fragments
                for recording in recordings:
                    self._spared(recording, lambda one: one.step(now_s))
                for recording in leaving:
                    self._spared(recording, Recording.finish)
                if self._failing_since_us and self.stats.fragments > written:
                    self._recover()
            except OSError as error:
                self._fail(error, now_s)
        self._finish_rows(recordings)

    def _spared(self, recording: Recording, work: Callable[[Recording], None]) -> None:
        """One camera's nonsense (a figure that fits no field of MP4) ends its run, never the footage of the others."""
        try:
            work(recording)
        except _NONSENSE as error:
            self.stats.nonsense += 1
            reason = f"{type(error).__name__}: {error}"
            log.error("recorder.camera_failed", camera=recording.camera_id, stream=recording.stream, reason=reason)
            recording.pause("overload")

    def _finish_rows(self, recordings: list[Recording]) -> None:
        for segment in self._syncer.take_done():
            for recording in (*recordings, *self._left):
                if recording.closed(segment):
                    break
        if self._left:
            self._left = [recording for recording in self._left if recording.closing]

    def _look(self, now_s: float) -> None:
        """Raises OSError when the headroom is reached, or the disk that failed does not take a probe either: what the
        rings hold is worth more than a try."""
        if now_s < self._look_s:
            return
        if self._failing_since_us:
            _probe(self._folder)
        disk = disk_of(self._folder)
        if disk.free < headroom(disk.total, self._cleaner):
            raise OSError(FULL)
        self._look_s = now_s + _LOOK_S

    def _note_failure(self, error: OSError) -> None:
        """Of the thread that makes footage safe; the writer's thread takes it up."""
        if self._failure is None:
            self._failure = error

    def _fail(self, error: OSError, now_s: float) -> None:
        with self._lock:
            recordings = list(self._recordings.values())
        for recording in (*recordings, *self._left):
            recording.pause("disk")
        self._retry_s, self._look_s = now_s + self._settings.retry_s, 0.0
        if self._failing_since_us and _text(error) == self.failing:
            return
        self.stats.failures += 1
        self._failure = error
        self._failing_since_us = self._failing_since_us or time.time_ns() // 1000
        log.error("recorder.failing", root=self._root, reason=_text(error))
        self._say_disk("failing", _text(error))

    def _recover(self) -> None:
        log.info("recorder.writes_again", root=self._root)
        self._failing_since_us = 0
        self._failure = None
        self._say_disk("ok", None)

    def _say_disk(self, state: str, error: str | None) -> None:
        now_us = time.time_ns() // 1000
        since_us = self._failing_since_us or now_us
        figures: dict[str, object] = {"state": state, "error": error, "since_ms": since_us // 1000}
        self._outbox.fact(CameraFact(now_us, KindCode.DISK, root=self._root, figures=figures))

    def _finish(self) -> None:
        with self._lock:
            recordings = [*self._recordings.values(), *self._leaving]
            self._recordings, self._leaving = {}, []
        for recording in recordings:
            try:
                if not self._failing_since_us:
                    recording.finish()
            except OSError as error:
                self._fail(error, time.monotonic())
                recording.pause("disk")
            recording.reader.close()
        self._left += recordings
        self._syncer.stop(10.0)
        self._finish_rows([])


def _probe(folder: Path) -> None:
    """Writes about a fragment to the disk, into a file without a name. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        if file.write(bytes(_PROBE_BYTES)) < _PROBE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file.fileno())


def _text(error: OSError) -> str:
    """Without the path, which says nothing to the reader of an event."""
    return error.strerror or str(error)
