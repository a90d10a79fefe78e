"""Virtual files kept for a player's next range: their heads, bounded by bytes, the least recently used let go.

A span that reaches now makes another file with every request, but a player that began one wants the rest of that one:
it names its ETag (If-Range, If-Match) or, as Chromium does, only asks for bytes after the first. It gets the kept file
for as long as that is kept; who begins at the beginning gets a new one.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping

from streams.clips.virtual import VirtualFile

FRESH_S = 10.0
"""A file asked for again within this time is not computed anew."""
_RANGE_BYTES = 200
"""What a FileRange takes, roughly."""
_LATER = re.compile(r"bytes=0*[1-9]")
"""A range that does not begin with the first byte."""

Key = tuple[int, int, int, int]
"""Camera, stream, from_us, to_us."""


class KeptFiles:
    """For one event loop."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._files: OrderedDict[Key, tuple[float, VirtualFile]] = OrderedDict()
        self.bytes = 0

    def find(self, key: Key, headers: Mapping[str, str], now_s: float) -> VirtualFile | None:
        """The kept file, where the request names it (headers: lower-case names) or it is fresh. now_s: monotonic."""
        if key not in self._files:
            return None
        made_s, file = self._files[key]
        if now_s - made_s > FRESH_S and not _goes_on(headers, file.etag):
            return None
        self._files.move_to_end(key)
        return file

    def keep(self, key: Key, file: VirtualFile, now_s: float) -> None:
        """In the place of what was kept of that span; not at all when it alone is too large."""
        self.drop(key)
        if _size(file) > self._most_bytes:
            return
        self._files[key] = (now_s, file)
        self.bytes += _size(file)
        while self.bytes > self._most_bytes:
            self.drop(next(iter(self._files)))

    def drop(self, key: Key) -> None:
        """Forgets it."""
        if key in self._files:
            self.bytes -= _size(self._files.pop(key)[1])


def _goes_on(headers: Mapping[str, str], etag: str) -> bool:
    names = [headers[name] for name in ("if-range", "if-match") if name in headers]
    return etag in names if names else _LATER.match(headers.get("range", "")) is not None


def _size(file: VirtualFile) -> int:
    return len(file.head) + _RANGE_BYTES * len(file.ranges)
