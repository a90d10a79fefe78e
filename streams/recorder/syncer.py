"""Makes footage safe against a power cut every few seconds, in a thread of its own: a slow disk holds up nobody."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from streams.layout import sync_folder
from streams.recorder.segment import Segment


class Syncer:
    """Knows every open segment. `done` receives each one that is closed and safe (or whose disk failed)."""

    def __init__(self, root: Path, every_s: float, on_error: Callable[[OSError], None]) -> None:
        self._root, self._every_s, self._on_error = root, every_s, on_error
        self._lock = threading.Lock()
        self._open: list[Segment] = []
        self._done: list[Segment] = []
        self._stopping = threading.Event()
        self._safe_folders = {root}
        self._thread = threading.Thread(target=self._work, name="footage sync", daemon=True)
        self.rounds = 0
        self.slowest_s = 0.0

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether its thread lives."""
        return self._thread.is_alive()

    def stop(self, wait_s: float) -> None:
        """Ends the thread, then makes everything safe once more, in the caller's thread."""
        self._stopping.set()
        self._thread.join(wait_s)
        if not self._thread.is_alive():
            self._round()

    def watch(self, segment: Segment) -> None:
        """A new file."""
        with self._lock:
            self._open.append(segment)

    def take_done(self) -> list[Segment]:
        """Those that were closed since the last time; their rows can be finished."""
        if not self._done:
            return []
        with self._lock:
            done, self._done = self._done, []
        return done

    def _work(self) -> None:
        while not self._stopping.wait(self._every_s):
            self._round()

    def _round(self) -> None:
        began_s = time.monotonic()
        with self._lock:
            segments = self._open.copy()
        for segment in segments:
            is_closing = segment.is_closing  # read before: what closes during the sync waits for the next round
            try:
                if segment.durable_pts < segment.end_pts or is_closing:
                    segment.sync()
                self._secure(segment.folder)
            except OSError as error:
                self._on_error(error)
            if is_closing:
                segment.close()
                with self._lock:
                    self._open.remove(segment)
                    self._done.append(segment)
        for folder in {segment.folder for segment in segments if not segment.is_listed}:
            self._list(folder, segments)
        self.rounds += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)

    def _list(self, folder: Path, segments: list[Segment]) -> None:
        """The names of new files in a folder survive, too."""
        try:
            sync_folder(folder)
        except OSError as error:
            self._on_error(error)
            return
        for segment in segments:
            if segment.folder == folder:
                segment.is_listed = True

    def _secure(self, folder: Path) -> None:
        """New folders survive: each one's own parent is synced, from the root down."""
        if folder in self._safe_folders:
            return
        self._secure(folder.parent)
        sync_folder(folder.parent)
        self._safe_folders.add(folder)
