"""Journal: rows and facts on disk while the store is away, brought back in order, whatever happens in between.

One file, appended to. A record is its length and CRC-32 (both 4 bytes, big-endian), then an `Entry` as msgpack. A torn
end (SIGKILL, power cut) is cut off when the file is opened. Entries may be brought to the store twice: rows are
idempotent. Blocking; one thread at a time.
"""

import os
import zlib
from pathlib import Path

import msgspec
import structlog

from store.footage import CLOSED
from streams.layout import sync_folder
from streams.recorder.outbox import Entry

log = structlog.get_logger()

_HEAD = 8
_LARGEST = 64 << 20
_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Entry)


class Journal:
    """`append` while the store is away; later `read`, store the entries, `clear`."""

    def __init__(self, path: Path, most_bytes: int = 1 << 30) -> None:
        """Raises OSError. most_bytes: a longer journal takes no more (the start-up sweep finds the files)."""
        self.path, self._most_bytes = path, most_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        sync_folder(path.parent)
        self._length, self.entries = self._whole()
        os.ftruncate(self._descriptor, self._length)
        self._opened: set[tuple[str, int]] = set()
        self.refused = 0
        """Entries that found no room."""

    def __bool__(self) -> bool:
        return self._length > 0

    def append(self, entry: Entry) -> None:
        """Keeps an entry; it survives a SIGKILL at once, and a power cut. Raises OSError; nothing is kept then.

        Of an open file only the first row is kept: its last one, or the sweep, says the rest.
        """
        slim = self._slimmed(entry)
        if not slim:
            return
        body = _encoder.encode(slim)
        data = len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body
        if self._length + len(data) > self._most_bytes:
            self.refused += 1
            return
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._length)
            raise
        self._length += len(data)
        self.entries += 1

    def read(self) -> list[Entry]:
        """All entries, the oldest first. Raises OSError."""
        found: list[Entry] = []
        self._walk(found)
        return found

    def clear(self) -> None:
        """Everything that was read is in the store now. Raises OSError."""
        os.ftruncate(self._descriptor, 0)
        os.fdatasync(self._descriptor)
        self._length = self.entries = 0
        self._opened.clear()

    def close(self) -> None:
        """Gives the descriptor back."""
        os.close(self._descriptor)

    def _slimmed(self, entry: Entry) -> Entry:
        segments = []
        for row in entry.changes.segments:
            if row.state == CLOSED or (row.run, row.n) not in self._opened:
                segments.append(row)
                self._opened.add((row.run, row.n))
        return Entry(msgspec.structs.replace(entry.changes, segments=tuple(segments)), entry.starts, entry.facts)

    def _whole(self) -> tuple[int, int]:
        """Length of what is whole, and how many entries that is."""
        found: list[Entry] = []
        length = self._walk(found)
        torn = os.fstat(self._descriptor).st_size - length
        if torn:
            log.warning("journal.torn", bytes=torn, entries=len(found))
        return length, len(found)

    def _walk(self, found: list[Entry]) -> int:
        size, at = os.fstat(self._descriptor).st_size, 0
        while at + _HEAD <= size:
            head = os.pread(self._descriptor, _HEAD, at)
            length = int.from_bytes(head[:4], "big")
            if length > _LARGEST or at + _HEAD + length > size:
                break
            body = os.pread(self._descriptor, length, at + _HEAD)
            if zlib.crc32(body) != int.from_bytes(head[4:], "big"):
                break
            try:
                found.append(_decoder.decode(body))
            except msgspec.MsgspecError:
                break
            at += _HEAD + length
        return at
