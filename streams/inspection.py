"""Rows of footage held against files, both ways, without changing anything: `wangge doctor --deep`.

Recorders and the cleaner go on meanwhile, so whatever does not fit is looked at again before it is said.
"""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from core.errors import DecodeError
from core.media import STREAMS
from store import footage_sweeping as rows
from store.footage import CLOSED, DELETING
from store.footage_sweeping import Expected
from store.pool import Store
from streams.adopting import BeingWritten, locked
from streams.layout import LOST_AND_FOUND, SegmentName, check_root, day_folders, names_in, parse
from streams.mp4.reading import read_segment

_AT_ONCE = 100
_EXAMPLES = 3


@dataclass(slots=True)
class Faults:
    """How many of one kind, with some examples (relative paths)."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, path: str) -> None:
        """One more."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(path)


@dataclass(slots=True)
class Inspection:
    """What was found. no_file: rows without a file; no_row: files without a row; size: files of another size than
    their row says; index: files whose samples are not those of their row; marked: rows whose deletion is not finished;
    aside: files in `lost+found`; foreign: files that are no segments."""

    files: int = 0
    total_bytes: int = 0
    parsed: int = 0
    no_file: Faults = field(default_factory=Faults)
    no_row: Faults = field(default_factory=Faults)
    size: Faults = field(default_factory=Faults)
    index: Faults = field(default_factory=Faults)
    marked: int = 0
    aside: int = 0
    foreign: int = 0


class Inspector:
    """Inspects one media root. parse_at_most: so many files, chosen at random, are read whole; None: all."""

    def __init__(self, store: Store, root: str, folder: Path, parse_at_most: int | None = 200) -> None:
        self._store, self._root, self._folder, self._most = store, root, folder, parse_at_most
        self._seen = 0
        self._sample: list[Expected] = []
        self._dice = random.Random()  # noqa: S311 - which files are read is no secret
        self.found = Inspection()

    async def run(self) -> Inspection:
        """Raises MediaRootGone, StoreUnavailable, OSError."""
        async with self._store.connection() as connection:
            keys = await rows.cameras(connection)
        for camera_id, camera in keys.items():
            await asyncio.to_thread(check_root, self._folder, self._root)
            for stream in range(len(STREAMS)):
                await self._stream(camera_id, camera, stream)
        await self._parse(self._sample)
        self.found.aside = len(await asyncio.to_thread(names_in, self._folder / LOST_AND_FOUND))
        return self.found

    async def _stream(self, camera_id: str, camera: int, stream: int) -> None:
        place = f"{camera_id}/{STREAMS[stream]}"
        listed = await asyncio.to_thread(day_folders, self._folder / place)
        async with self._store.connection() as connection:
            days = await rows.days(connection, self._root, camera, stream)
        for day in sorted(days | listed):
            expected = await self._rows(camera, stream, day)
            names = await asyncio.to_thread(_named, self._folder / place / str(day), f"{place}/{day}")
            self.found.foreign += sum(name is None for name in names.values())
            files = {(name.run, name.n): name for name in names.values() if name is not None}
            await self._compare(expected, files, camera)
            if self._most is None:
                sample, self._sample = self._sample, []
                await self._parse(sample)

    async def _rows(self, camera: int, stream: int, day: date) -> dict[tuple[str, int], Expected]:
        async with self._store.connection() as connection:
            return await rows.segments_of_day(connection, self._root, camera, stream, day)

    async def _compare(
        self, expected: dict[tuple[str, int], Expected], files: dict[tuple[str, int], SegmentName], camera: int
    ) -> None:
        found = self.found
        odd = [key for key in files.keys() - expected.keys() if not await self._is_written(files[key])]
        for key, row in expected.items():
            found.marked += row.state == DELETING
            if row.state == DELETING:
                continue
            size = await asyncio.to_thread(_size, self._folder / _path(row))
            if size is None or (size != row.size and (row.state == CLOSED or size < row.size)):
                odd.append(key)
                continue
            found.files += 1
            found.total_bytes += size
            if row.state == CLOSED:
                self._draw(row)
        if odd:
            await self._look_again(odd, expected, files, camera)

    async def _look_again(
        self,
        odd: list[tuple[str, int]],
        expected: dict[tuple[str, int], Expected],
        files: dict[tuple[str, int], SegmentName],
        camera: int,
    ) -> None:
        """What did not fit may just have been recorded, closed or deleted."""
        for key in odd:
            name = files.get(key)
            day, stream = (name.day, name.stream) if name else (expected[key].day, expected[key].stream)
            row = (await self._rows(camera, stream, day)).get(key)
            if row is None:
                if name is not None and (self._folder / name.path).exists():
                    self.found.no_row.add(name.path)
            elif row.state != DELETING:
                size = await asyncio.to_thread(_size, self._folder / _path(row))
                if size is None:
                    self.found.no_file.add(_path(row))
                elif size < row.size or (size > row.size and row.state == CLOSED):
                    self.found.size.add(_path(row))

    async def _is_written(self, name: SegmentName) -> bool:
        """Whether a recorder has the file open; its row comes within seconds."""
        try:
            await asyncio.to_thread(_try_lock, self._folder / name.path)
        except (BeingWritten, FileNotFoundError):
            return True
        return False

    def _draw(self, row: Expected) -> None:
        """Keeps a fair sample of bounded size (reservoir sampling)."""
        self._seen += 1
        if self._most is None or len(self._sample) < self._most:
            self._sample.append(row)
        elif (place := self._dice.randrange(self._seen)) < self._most:
            self._sample[place] = row

    async def _parse(self, sample: list[Expected]) -> None:
        for start in range(0, len(sample), _AT_ONCE):
            part = sample[start : start + _AT_ONCE]
            async with self._store.connection() as connection:
                indexes = await rows.indexes(connection, [(row.run, row.n) for row in part])
            for row in part:
                index = indexes.get((row.run, row.n))
                if index is None:
                    continue  # deleted meanwhile
                fits = await asyncio.to_thread(_fits, self._folder / _path(row), index)
                self.found.parsed += fits is not None
                if fits is False:
                    self.found.index.add(_path(row))


def _path(row: Expected) -> str:
    return SegmentName(row.camera_id, row.stream, row.day, row.run, row.n).path


def _try_lock(path: Path) -> None:
    with locked(path):
        pass


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _named(folder: Path, place: str) -> dict[str, SegmentName | None]:
    """Names in a folder → what they say; None: no segment's."""
    return {name: parse(f"{place}/{name}") for name in names_in(folder)}


def _fits(path: Path, index: bytes) -> bool | None:
    """Whether a file holds the samples of its row and nothing more; None when it is gone."""
    try:
        found = read_segment(path)
    except FileNotFoundError:
        return None
    except DecodeError:
        return False
    return not found.torn_bytes and found.index.encode() == index
