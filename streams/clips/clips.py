"""Clips, playlists, pictures and the time line of the footage that this process serves: what the media port asks.

In: a camera's registry key, a stream, instants (UTC epoch microseconds). Out: responses ready to send. Rows come from
the store, bytes from the folders of the media roots; computing and reading happen in a few threads of its own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from core.errors import InvalidInput, NotFound
from core.media import STREAMS, StreamName
from store.footage_spans import StoredSegment, segment, stretches
from store.pool import Store
from streams.clips import hls, snapshot
from streams.clips.kept import KeptFiles
from streams.clips.places import FolderOf, FootageGone, TooBusy, segment_path
from streams.clips.recordings import Coverage, coverage
from streams.clips.response import FileReader, MediaResponse
from streams.clips.rows import ROW_LAG_US, choose, rows_before, rows_between
from streams.clips.virtual import FileRange, VirtualFile, virtual_file
from streams.clips_settings import ClipsSettings

_US = 1_000_000
MOST_GAPS_TOLD = 50
"""In a header; a header must stay short."""
Value = TypeVar("Value")


@dataclass
class ClipsStats:
    """Figures since the start. gone: answers that failed because a file vanished meanwhile."""

    clips: int = 0
    clips_kept: int = 0
    """Answered without computing the clip again."""
    playlists: int = 0
    pictures: int = 0
    pictures_refused: int = 0
    gone: int = 0
    lost: int = 0
    """Stretches of footage left out of an answer since their files are missing or too short."""


class Clips:
    """One a process. For one event loop; close it when it is over."""

    def __init__(
        self,
        store: Store,
        folder_of: FolderOf,
        settings: ClipsSettings | None = None,
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """folder_of: folder of a media root by its id, None when it is not served here. now_us: UTC, for tests."""
        self.stats = ClipsStats()
        self._store, self._folder_of, self._now_us = store, folder_of, now_us
        self._settings = settings or ClipsSettings()
        self._threads = ThreadPoolExecutor(self._settings.read_threads, thread_name_prefix="clips")
        self._reader = FileReader(self._threads, self._settings.read_bytes)
        self._kept = KeptFiles(self._settings.cached_bytes)
        self._decoding = asyncio.Semaphore(self._settings.pictures_at_once)
        self._waiting = 0

    def close(self) -> None:
        """Lets the threads end; what is being read is read to its end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def respond_clip(
        self, camera: int, stream: StreamName, from_us: int, to_us: int, method: str, headers: Mapping[str, str]
    ) -> MediaResponse:
        """GET or HEAD of the clip of [from_us, to_us): 200, 206, 304, 412 or 416. headers: lower-case names.

        The headers `footage-from`, `footage-to` (epoch milliseconds) and `footage-gaps` (`from-to:reason`, epoch
        milliseconds, comma-separated, the first 50) say what it shows and lacks. Raises InvalidInput, NotFound (also
        when nothing was recorded then), FootageGone, DecodeError, StoreUnavailable.
        """
        key = (camera, STREAMS.index(stream), from_us, to_us)
        kept = self._kept.find(key, headers, time.monotonic())
        if kept is not None:
            try:
                sent = await self._send(kept, method, headers)
            except FootageGone:
                self._kept.drop(key)
            else:
                self.stats.clips_kept += 1
                return sent
        made = await self.clip(camera, stream, from_us, to_us)
        self._kept.keep(key, made, time.monotonic())
        return await self._counted(self._send(made, method, headers))

    async def clip(self, camera: int, stream: StreamName, from_us: int, to_us: int) -> VirtualFile:
        """The clip as a virtual file. Raises as respond_clip does."""
        self._check(from_us, to_us)
        rows = await rows_between(self._store, camera, STREAMS.index(stream), from_us, to_us)
        self.stats.clips += 1
        now_us, folder_of = self._now_us(), self._folder_of

        def make() -> VirtualFile:
            found = choose(rows, from_us, to_us, now_us, folder_of, one_codec=True)
            return virtual_file(found, rows.inits, folder_of)

        made = await self._in_thread(make)
        self.stats.lost += sum(gap.reason == "lost" for gap in made.gaps)
        return made

    async def playlist(
        self, camera: int, stream: StreamName, from_us: int, to_us: int, url_of: Callable[[StoredSegment], str]
    ) -> str:
        """The HLS playlist of [from_us, to_us) (media type: hls.MEDIA_TYPE).

        url_of: of a segment's file, as `respond_segment` answers it, relative to the playlist. Raises InvalidInput,
        NotFound, DecodeError, StoreUnavailable.
        """
        self._check(from_us, to_us)
        rows = await rows_between(self._store, camera, STREAMS.index(stream), from_us, to_us)
        now_us, folder_of, entry_s = self._now_us(), self._folder_of, self._settings.playlist_entry_s
        self.stats.playlists += 1

        def make() -> str:
            found = choose(rows, from_us, to_us, now_us, folder_of, one_codec=False)
            if not found.pieces:
                raise NotFound("There is no footage of this camera in that time.")
            return hls.playlist(found, rows.inits, url_of, entry_s, may_grow=to_us > now_us - ROW_LAG_US)

        return await self._in_thread(make)

    async def respond_segment(
        self, camera: int, run: str, n: int, method: str, headers: Mapping[str, str]
    ) -> MediaResponse:
        """GET or HEAD of a segment's file, as far as its row goes. Raises NotFound, FootageGone, StoreUnavailable."""
        async with self._store.connection() as connection:
            found = await segment(connection, camera, run, n)
        folder = None if found is None else self._folder_of(found.root)
        if found is None or folder is None:
            raise NotFound("There is no such segment of this camera here.")
        file = FileRange(segment_path(folder, found), 0, found.length)
        etag = f'"{run}-{n}-{found.length}"'
        return await self._counted(self._reader.respond(method, headers, b"", [file], etag))

    async def snapshot(
        self, camera: int, stream: StreamName, at_us: int, width: int | None = None
    ) -> snapshot.Snapshot:
        """A JPEG of the newest picture at or before the instant.

        width: pixels, None: as recorded. Raises NotFound when there is none in the `picture_reach_s` before it,
        TooBusy, InvalidInput (width), FootageGone, DecodeError, StoreUnavailable.
        """
        least, most = snapshot.WIDTHS
        if width is not None and not least <= width <= most:
            raise InvalidInput(f"The width must be {least} to {most} pixels.")
        if self._waiting >= self._settings.pictures_waiting:
            self.stats.pictures_refused += 1
            raise TooBusy("Too many pictures are asked for at once; try again in a moment.")
        reach_us = round(self._settings.picture_reach_s * _US)
        self._waiting += 1
        try:
            async with self._decoding:
                rows = await rows_before(self._store, camera, STREAMS.index(stream), at_us, reach_us)
                self.stats.pictures += 1
                folder_of = self._folder_of
                return await self._counted(
                    self._in_thread(lambda: snapshot.picture(rows, folder_of, at_us, reach_us, width))
                )
        finally:
            self._waiting -= 1

    async def recordings(self, camera: int, from_us: int, to_us: int) -> list[Coverage]:
        """What is recorded in [from_us, to_us), main then sub. Raises InvalidInput, StoreUnavailable."""
        if to_us <= from_us:
            raise InvalidInput("The end of the span must lie after its beginning.")
        to_us = min(to_us, max(from_us + 1, self._now_us()))
        async with self._store.connection() as connection:
            found = await stretches(connection, camera, from_us, to_us)
        return [coverage(found, stream, from_us, to_us) for stream in range(len(STREAMS))]

    def _check(self, from_us: int, to_us: int) -> None:
        if to_us <= from_us:
            raise InvalidInput("The end of the span must lie after its beginning.")
        if to_us - from_us > self._settings.longest_h * 3600 * _US:
            raise InvalidInput(f"A span may be at most {self._settings.longest_h:g} hours long; ask for less.")

    async def _send(self, file: VirtualFile, method: str, headers: Mapping[str, str]) -> MediaResponse:
        gaps = [f"{gap.from_us // 1000}-{gap.to_us // 1000}:{gap.reason}" for gap in file.gaps[:MOST_GAPS_TOLD]]
        more = {"footage-from": str(file.start_us // 1000), "footage-to": str(file.end_us // 1000)}
        if gaps:
            more["footage-gaps"] = ",".join(gaps)
        return await self._reader.respond(method, headers, file.head, file.ranges, file.etag, more=more)

    async def _in_thread(self, work: Callable[[], Value]) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _counted(self, work: Awaitable[Value]) -> Value:
        try:
            return await work
        except FootageGone:
            self.stats.gone += 1
            raise
