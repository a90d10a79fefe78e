"""One segment file: an init section, then whole fragments, each written at once.

Used by the writer's thread; `sync` and `close` by the thread that makes footage safe. A write that fails half-way is
taken back, so that a file always ends with a whole fragment, as its row says. An open file is locked, which tells the
sweep that its recorder lives.
"""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from core.media import TrackFormats
from streams.layout import SegmentName
from streams.mp4 import Fragment, SegmentIndex


class Segment:
    """An open file. The constructor makes it with its first fragment, so that it never exists without one.

    Raises OSError; then there is no file.
    """

    def __init__(
        self, root: Path, name: SegmentName, formats: TrackFormats, init: bytes, first: Fragment, span: tuple[int, int]
    ) -> None:
        """span: first and last media time of the first fragment, ticks of 1/90 000 s."""
        self.name, self.formats = name, formats
        self.folder = (root / name.path).parent
        self.init_bytes = init
        self.start_pts, self.end_pts = span
        self.durable_pts = self.start_pts
        self.index = SegmentIndex(len(init))
        self.is_closing = False
        self.is_listed = False
        """Whether its name survives a power cut."""
        self.row_due_s = 0.0
        """Monotonic; when its row is to be brought up to date."""
        self._path = root / name.path
        try:
            self._descriptor = self._create()
        except FileNotFoundError:
            self._descriptor = self._create()  # the cleaner took the empty folder away in between
        try:
            self._write(init + first.data, 0)
        except OSError:
            self.close()
            with suppress(OSError):
                self._path.unlink()
            raise
        self.index.add(first)

    def append(self, made: Fragment, end_pts: int) -> None:
        """The next fragment. Raises OSError; the file then ends as before."""
        self._write(made.data, self.index.bytes)
        self.index.add(made)
        self.end_pts = end_pts

    def sync(self) -> None:
        """What was written before this call survives a power cut afterwards. Blocking. Raises OSError."""
        end_pts = self.end_pts
        os.fdatasync(self._descriptor)
        self.durable_pts = end_pts

    def close(self) -> None:
        """Gives the descriptor back. Twice is harmless."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)

    def _create(self) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        with suppress(OSError):  # some network file systems have no locks; there the camera's lease must do
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor

    def _write(self, data: bytes, length: int) -> None:
        """Appends to a file of `length` bytes, whole or not at all."""
        written = 0
        try:
            while written < len(data):
                count = os.write(self._descriptor, data[written:] if written else data)
                if not count:
                    raise OSError(errno.EIO, "nothing was written")
                written += count
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, length)
            raise
