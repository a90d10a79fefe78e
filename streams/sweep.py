"""The sweep of a media root: files and rows brought together again, both ways, after whatever happened.

A row without its file goes, and its span is reported as a GAP fact. A file without its row is adopted by what it holds
and by its name, else put into `lost+found`: nothing is deleted here. An open row whose recorder is dead is closed with
what is really on disk, its torn end cut off. What a living recorder writes is left alone: it holds a lock on its file
and its camera's lease. Runs under the cleaner's lease, a day folder at a time, so memory is bounded. The cleaner
lets journals of recorders come in before.
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import structlog

from core.camera import CameraFact, KindCode
from core.clock import Clock
from core.errors import DecodeError
from core.ids import ulid_ms
from core.media import STREAMS
from store import footage_sweeping as rows
from store.camera_facts import CameraFactWriter
from store.footage import CLOSED, DELETING, OPEN, Changes, ClockRow, RunRow, SegmentRow, record
from store.footage_deleting import forget
from store.footage_reading import clock_points, runs
from store.footage_sweeping import Expected
from store.leases import Lease
from store.pool import Store
from streams.adopting import BeingWritten, Content, init_row, put_aside, salvage
from streams.layout import SegmentName, check_root, day_folders, names_in, parse
from streams.mp4.index import decode

log = structlog.get_logger()

_YOUNG_S = 10.0
_TOGETHER_US = 5_000_000
"""Missing footage that is no further apart is one gap."""


@dataclass(slots=True)
class SweepReport:
    """What a sweep found and did. foreign: files that are not named as segments, left where they are."""

    files: int = 0
    adopted: int = 0
    closed: int = 0
    cut_bytes: int = 0
    rows_removed: int = 0
    put_aside: int = 0
    foreign: int = 0

    @property
    def changed(self) -> bool:
        """Whether anything was not as it should be."""
        return bool(self.adopted or self.closed or self.rows_removed or self.put_aside)


class Sweep:
    """Works for the holder of `lease` (`cleaner:<root>`). For one task at a time."""

    def __init__(self, store: Store, lease: Lease, root: str, folder: Path, clock: Clock) -> None:
        self._store, self._lease, self._root, self._folder, self._clock = store, lease, root, folder, clock
        self._facts = CameraFactWriter(store)
        self._missing: list[Expected] = []
        self._has_adopted = False
        self.report = SweepReport()
        """Of the last `everything`, with what `open_segments` did since."""

    def adopted_since_last(self) -> bool:
        """Whether footage appeared since this was asked last, which may be older than what the cleaner has passed."""
        has, self._has_adopted = self._has_adopted, False
        return has

    async def everything(self) -> SweepReport:
        """The whole root. Raises MediaRootGone, LeaseLost, StoreUnavailable, OSError (a folder cannot be read)."""
        self.report = SweepReport()
        await self.open_segments()
        async with self._store.connection() as connection:
            keys = await rows.cameras(connection)
        for camera_id, camera in keys.items():
            for stream in range(len(STREAMS)):
                await self._stream(camera_id, camera, stream)
        await self._say_gaps()
        if self.report.changed:
            log.warning("footage.swept", root=self._root, **{f: getattr(self.report, f) for f in _FIELDS})
        return self.report

    async def open_segments(self) -> None:
        """Closes what dead recorders left open; quick."""
        await asyncio.to_thread(check_root, self._folder, self._root)
        async with self._store.connection() as connection:
            found = await rows.open_segments(connection, self._root)
        for row in found:
            if not row.is_live:
                await self._settle(row)
        await self._say_gaps()

    async def _stream(self, camera_id: str, camera: int, stream: int) -> None:
        place = f"{camera_id}/{STREAMS[stream]}"
        await asyncio.to_thread(check_root, self._folder, self._root)
        listed = await asyncio.to_thread(day_folders, self._folder / place)
        async with self._store.connection() as connection:
            days = await rows.days(connection, self._root, camera, stream)
        for day in sorted(days | listed):
            await self._day(camera_id, camera, stream, day, f"{place}/{day}")

    async def _day(self, camera_id: str, camera: int, stream: int, day: date, place: str) -> None:
        """One folder. Rows are read before the files: a file is always there before its row."""
        async with self._store.connection() as connection:
            expected = await rows.segments_of_day(connection, self._root, camera, stream, day)
        names = await asyncio.to_thread(names_in, self._folder / place)
        found: dict[tuple[str, int], SegmentName] = {}
        for name in names:
            segment = parse(f"{place}/{name}")
            if segment is None:
                self.report.foreign += 1
            else:
                found[segment.run, segment.n] = segment
        self.report.files += len(found)
        missing = [row for key, row in expected.items() if key not in found and row.state != DELETING]
        await self._remove([row for row in missing if row.state == CLOSED or not row.is_live])
        for key, row in expected.items():
            if key in found and row.state == CLOSED and row.durable_until_us < row.end_us:
                await self._settle(row)  # a power cut may have taken its end
        for key in sorted(found.keys() - expected.keys()):
            await self._adopt(found[key], camera)

    async def _settle(self, row: Expected) -> None:
        """Closes a row with what its file holds."""
        path = _name(row).path
        try:
            content = await asyncio.to_thread(salvage, self._folder / path)
        except BeingWritten:
            return
        except FileNotFoundError:
            await self._remove([row])
            return
        if content is None:
            await self._put_aside(path)
            await self._remove([row])
            return
        end_pts = row.start_pts + content.ticks
        end_us = row.end_us + round((end_pts - row.end_pts) * 100 / 9)
        async with self._store.transaction() as connection:
            await self._lease.fence(connection)
            await rows.settle(
                connection,
                row.run,
                row.n,
                end_pts=end_pts,
                end_us=end_us,
                size=content.index.bytes,
                samples=content.index.samples,
                sample_index=content.index.encode(),
            )
        self.report.closed += row.state == OPEN
        self.report.cut_bytes += content.cut_bytes
        if end_us < row.end_us:
            self._missing.append(_part(row, end_us))

    async def _remove(self, missing: list[Expected]) -> None:
        """Rows whose file is gone."""
        if not missing:
            return
        async with self._store.transaction() as connection:
            await self._lease.fence(connection)
            await forget(connection, [(row.run, row.n) for row in missing])
        self.report.rows_removed += len(missing)
        self._missing += missing

    async def _adopt(self, name: SegmentName, camera: int) -> None:
        """A file without a row."""
        try:
            content = await asyncio.to_thread(salvage, self._folder / name.path)
        except (BeingWritten, FileNotFoundError):
            return
        if await self._has_row(name, camera):
            return  # it came meanwhile
        if content is None and await asyncio.to_thread(_is_young, self._folder / name.path):
            return  # a recorder may just be making it
        changes = None if content is None else await self._changes(name, camera, content)
        if changes is not None:
            async with self._store.transaction() as connection:
                await self._lease.fence(connection)
                recorded = await record(connection, changes, holder=self._lease.holder, epochs={})
            if not recorded.refused:
                self.report.adopted += 1
                self.report.cut_bytes += 0 if content is None else content.cut_bytes
                self._has_adopted = True
                return
        await self._put_aside(name.path)

    async def _has_row(self, name: SegmentName, camera: int) -> bool:
        async with self._store.connection() as connection:
            found = await rows.segments_of_day(connection, self._root, camera, name.stream, name.day)
        return (name.run, name.n) in found

    async def _changes(self, name: SegmentName, camera: int, content: Content) -> Changes | None:
        """The rows of an adopted file; None when it does not fit what is known of its run.

        Its media time: as in another segment of its run; else by the run's clock map, whose first point is the run's
        first picture; else the run began when its name says.
        """
        try:
            init = init_row(content.init)
            began_us = ulid_ms(name.run) * 1000
        except (DecodeError, ValueError):
            return None
        async with self._store.connection() as connection:
            run = (await runs(connection, [name.run])).get(name.run)
            points = (await clock_points(connection, [name.run]))[name.run]
            sibling = await rows.run_offset(connection, name.run)
        if run is not None and (run.camera, run.stream, run.root) != (camera, name.stream, self._root):
            return None
        new_runs = [] if run is not None else [RunRow(name.run, camera, name.stream, self._root, 0, began_us, "start")]
        clocks: list[ClockRow] = []
        if sibling is not None:
            video = decode(sibling[2]).video
            base_pts = sibling[0] - int(video.dts[0] + video.composition_offsets[0])
            anchor = (sibling[0], sibling[1])
        elif points:
            base_pts, anchor = points[0].pts_90k, (points[0].pts_90k, points[0].utc_us)
        else:
            base_pts, anchor = 0, (0, run.began_us if run is not None else began_us)
            clocks = [ClockRow(name.run, "map", *anchor)]
        start_pts = base_pts + content.first_pts
        start_us = anchor[1] + round((start_pts - anchor[0]) * 100 / 9)
        segment = SegmentRow(
            run=name.run,
            n=name.n,
            camera=camera,
            stream=name.stream,
            root=self._root,
            day=name.day,
            state=CLOSED,
            init_digest=init.digest,
            start_pts=start_pts,
            end_pts=start_pts + content.ticks,
            start_us=start_us,
            end_us=start_us + round(content.ticks * 100 / 9),
            durable_until_us=start_us + round(content.ticks * 100 / 9),
            size=content.index.bytes,
            samples=content.index.samples,
            sample_index=content.index.encode(),
        )
        return Changes(new_runs, clocks, [init], [segment])

    async def _put_aside(self, path: str) -> None:
        with suppress(FileNotFoundError):
            place = await asyncio.to_thread(put_aside, self._folder, path)
            self.report.put_aside += 1
            log.warning("footage.put_aside", file=path, place=place)

    async def _say_gaps(self) -> None:
        missing, self._missing = self._missing, []
        if missing:
            now_us = self._clock.now_ms() * 1000
            await self._facts.write(gaps(missing, now_us), now_us)


def gaps(missing: Iterable[Expected], now_us: int) -> list[CameraFact]:
    """GAP facts of lost segments, one for each stretch of a stream; pure."""
    stretches: list[tuple[int, int, int, int]] = []
    for row in sorted(missing, key=lambda row: (row.camera, row.stream, row.start_us)):
        if (
            stretches
            and stretches[-1][:2] == (row.camera, row.stream)
            and row.start_us - stretches[-1][3] < _TOGETHER_US
        ):
            stretches[-1] = (*stretches[-1][:3], max(stretches[-1][3], row.end_us))
        else:
            stretches.append((row.camera, row.stream, row.start_us, row.end_us))
    return [
        CameraFact(
            now_us,
            KindCode.GAP,
            camera,
            figures={
                "stream": STREAMS[stream],
                "from_ms": from_us // 1000,
                "to_ms": to_us // 1000,
                "reason": "disk",
            },
        )
        for camera, stream, from_us, to_us in stretches
    ]


_FIELDS = ("files", "adopted", "closed", "cut_bytes", "rows_removed", "put_aside", "foreign")


def _name(row: Expected) -> SegmentName:
    return SegmentName(row.camera_id, row.stream, row.day, row.run, row.n)


def _part(row: Expected, from_us: int) -> Expected:
    """The end of a segment, from an instant on."""
    return replace(row, start_us=from_us)


def _is_young(path: Path) -> bool:
    """Whether a file was written to a moment ago, or is gone."""
    try:
        return time.time() - path.stat().st_mtime < _YOUNG_S
    except FileNotFoundError:
        return True
