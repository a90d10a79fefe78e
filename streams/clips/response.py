"""Bodies of clips and of segments: bytes of files, read in bounded pieces by threads.

Every file of the asked range is looked at before the headers go out, so that what is missing is an error and not a
body that breaks off. What vanishes after that ends the body with FootageGone, and the server breaks the connection:
no client takes half for whole, since the length was announced.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from streams.clips.places import FootageGone
from streams.clips.ranges import answer
from streams.clips.virtual import FileRange

MP4 = "video/mp4"


@dataclass(frozen=True, slots=True)
class MediaResponse:
    """What to send: status, headers (lower-case names, content-length among them) and the body's pieces.

    The body must be read to its end or closed (`aclose`). It raises FootageGone when a file vanishes meanwhile.
    """

    status: int
    headers: dict[str, str]
    body: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class FileReader:
    """Reads ranges of files with the threads of an executor, at most `piece_bytes` at once."""

    executor: Executor
    piece_bytes: int

    async def respond(
        self,
        method: str,
        headers: Mapping[str, str],
        head: bytes,
        ranges: Sequence[FileRange],
        etag: str,
        *,
        more: Mapping[str, str] | None = None,
    ) -> MediaResponse:
        """The answer to a GET or HEAD of `head` followed by the ranges. headers: of the request, lower-case names.

        Raises FootageGone when a file that the body needs is missing or too short.
        """
        length = len(head) + sum(part.length for part in ranges)
        found = answer(method, headers, length, etag, MP4)
        wanted = list(_cut(len(head), ranges, found.start, found.end))
        await asyncio.get_running_loop().run_in_executor(self.executor, _check, wanted)
        return MediaResponse(
            found.status, found.headers | dict(more or {}), self._body(head[found.start : found.end], wanted)
        )

    async def _body(self, head: bytes, wanted: Sequence[FileRange]) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        if head:
            yield head
        for part in wanted:
            for at in range(part.offset, part.offset + part.length, self.piece_bytes):
                size = min(self.piece_bytes, part.offset + part.length - at)
                yield await loop.run_in_executor(self.executor, _read, FileRange(part.path, at, size))


def _cut(head_bytes: int, ranges: Sequence[FileRange], start: int, end: int) -> Iterator[FileRange]:
    """What of the ranges lies in bytes [start, end) of the whole."""
    at = head_bytes
    for part in ranges:
        first, last = max(start, at), min(end, at + part.length)
        if first < last:
            yield FileRange(part.path, part.offset + first - at, last - first)
        at += part.length


def _check(wanted: Sequence[FileRange]) -> None:
    for part in wanted:
        try:
            size = part.path.stat().st_size
        except OSError as error:
            raise FootageGone(f"{part.path.name} cannot be read: {error.strerror}.") from error
        if size < part.offset + part.length:
            raise FootageGone(f"{part.path.name} is shorter than its row says.")


def _read(part: FileRange) -> bytes:
    """Opens and closes each time, so that a reader who goes away in the middle leaves nothing behind."""
    try:
        with open(part.path, "rb", buffering=0) as file:
            data = os.pread(file.fileno(), part.length, part.offset)
    except OSError as error:
        raise FootageGone(f"{part.path.name} cannot be read: {error.strerror}.") from error
    if len(data) != part.length:
        raise FootageGone(f"{part.path.name} became shorter while it was read.")
    return data
