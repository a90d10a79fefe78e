"""The cleaner of a media root: footage goes when its days are over, or when the disk has no room for today's.

When room is short, the oldest unprotected footage goes, in this order: main footage older than the 30 days of the law;
then sub-stream footage, which no law asks for; then main footage. So the days that the law wants last longest. Open
segments and protected footage never go. One process a root cleans, under the lease `cleaner:<root>`; it also closes
what dead recorders left open (streams.sweep). How full the disk is becomes a STORAGE fact, so that REC-02 comes days
ahead.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from core.camera import CameraFact, KindCode
from core.clock import Clock
from core.errors import StoreUnavailable
from core.supervise import Part
from store import media_roots
from store.camera_facts import CameraFactWriter
from store.footage_deleting import Doomed, drop_empty_runs, mark, oldest_us, protection_state, unfinished
from store.leases import Lease
from store.pool import Store
from streams.cleaner_settings import LAW_DAYS, CleanerSettings
from streams.deleting import At, finish, nowhere
from streams.headroom import Disk, Outlook, Stock, disk_of, headroom, outlook
from streams.layout import check_root, day_of_us, waiting_journals
from streams.stock import StockTaker
from streams.sweep import Sweep

log = structlog.get_logger()

TTL_S: Final = 15.0
MAIN, SUB = 0, 1
AT_ONCE: Final = 200
"""Segments in one round of the three steps."""
MOST_LOTS: Final = 50
"""Lots in one round of the cleaner, so that it looks at everything again now and then."""
_EVER_US: Final = 1 << 53
_DAY_US: Final = 86_400_000_000
_HOUR_US: Final = 3_600_000_000
_FORGET_RUNS_US: Final = 7 * _DAY_US
_SWEEP_EVERY_S: Final = 60.0
_RELEASE_S: Final = 2.0
_STAND_BY_S: Final = 2.0
_JOURNALS_WITHIN_S: Final = 60.0


@dataclass(slots=True)
class CleanerStats:
    """Figures since the start, and of the last look."""

    deleted_by_age: int = 0
    deleted_for_room: int = 0
    deleted_bytes: int = 0
    failed_files: int = 0
    disk: Disk | None = None
    stock: Stock | None = None
    outlook: Outlook | None = None
    kept_days: float | None = None


class Cleaner:
    """`run` is a part of the supervision tree of every worker; the holder of the root's lease works."""

    def __init__(
        self,
        store: Store,
        holder: str,
        root: str,
        folder: Path,
        settings: CleanerSettings,
        clock: Clock,
        *,
        at: At = nowhere,
    ) -> None:
        """root, folder: id and place of the media root. at: told at each step of deleting (streams.deleting)."""
        self._store, self._root, self._folder, self._settings, self._clock = store, root, folder, settings, clock
        self._at = at
        self.lease = Lease(store, f"cleaner:{root}", holder, TTL_S)
        self.sweep = Sweep(store, self.lease, root, folder, clock)
        self.stats = CleanerStats()
        self._facts = CameraFactWriter(store)
        self._stock = StockTaker(store, root)
        self._after_us = {MAIN: 0, SUB: 0}
        self._protections: tuple[int, int] | None = None
        self._mean_bytes = 1 << 20
        self._dropped_us = 0

    async def run(self, part: Part) -> None:
        """Works until cancelled. Raises StoreUnavailable and LeaseLost (in a group); the supervisor starts it again."""
        while not await self.lease.acquire():
            part.ready()  # another process does the work
            await self._clock.sleep(_STAND_BY_S)
        try:
            part.ready()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._every(TTL_S / 3, self.lease.renew))
                tasks.create_task(self._work(part))
        finally:
            with contextlib.suppress(StoreUnavailable, TimeoutError):  # then it expires by itself
                async with asyncio.timeout(_RELEASE_S):
                    await self.lease.release()

    async def _work(self, part: Part) -> None:
        await self.finish_marked()  # so that the sweep does not meet them
        await self.journals_come_in()
        await self.sweep.everything()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(self._settings.every_s, partial(self._round, part)))
            tasks.create_task(self._every(self._settings.report_s, self.report))
            tasks.create_task(self._every(_SWEEP_EVERY_S, self.sweep.open_segments))

    async def _every(self, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        while True:
            await work()
            await self._clock.sleep(seconds)

    async def _round(self, part: Part) -> None:
        await self.clean()
        if self.stats.failed_files:
            part.degraded(f"{self.stats.failed_files} files of {self._folder} cannot be removed; look at the disk.")
        else:
            part.ready()

    async def clean(self) -> None:
        """One round: what is marked, what is too old, and for room. Raises LeaseLost, StoreUnavailable, OSError."""
        self.stats.failed_files = 0
        await self.finish_marked()
        await self._look_again()
        now_us = self._clock.now_ms() * 1000
        for stream, days in ((MAIN, self._settings.main_days), (SUB, self._settings.sub_days)):
            for _ in range(MOST_LOTS):
                gone = await self._delete(stream, now_us - days * _DAY_US, AT_ONCE)
                self.stats.deleted_by_age += gone
                if gone < AT_ONCE:
                    break
        await self._make_room(now_us)
        if now_us - self._dropped_us > _HOUR_US:
            await self._drop_runs(now_us)
            self._dropped_us = now_us

    async def journals_come_in(self) -> None:
        """Waits for the journals of recorders that died while the store was away: they know their files better than
        the sweep can. Not for ever: of a worker that does not come back, the files tell."""
        until_s = self._clock.monotonic() + _JOURNALS_WITHIN_S
        while self._clock.monotonic() < until_s and await asyncio.to_thread(waiting_journals, self._folder):
            await self._clock.sleep(0.5)

    async def finish_marked(self) -> None:
        """Steps 2 and 3 of what was marked and not finished, whoever did it."""
        while True:
            async with self._store.connection() as connection:
                marked = await unfinished(connection, self._root, AT_ONCE)
            failed = await self._finish(marked)
            if failed or len(marked) < AT_ONCE:
                return

    async def report(self) -> None:
        """Measures, and says it as a STORAGE fact. Raises StoreUnavailable, OSError."""
        now_us = self._clock.now_ms() * 1000
        stats, disk = self.stats, await asyncio.to_thread(disk_of, self._folder)
        stats.disk, stats.stock = disk, await self._stock.take(now_us)
        stats.outlook = outlook(disk, stats.stock, self._settings)
        async with self._store.connection() as connection:
            await media_roots.beat(connection, self._root, None, disk.free, disk.total)
            oldest = await oldest_us(connection, self._root, MAIN, self._after_us[MAIN])
        stats.kept_days = None if oldest is None else (now_us - oldest) / _DAY_US
        figures: dict[str, object] = {
            "free_bytes": disk.free,
            "total_bytes": disk.total,
            "written_bytes_per_s": round(stats.stock.main_rate + stats.stock.sub_rate),
            "kept_days": _rounded(stats.kept_days),
            "days_possible": _rounded(stats.outlook.days_possible),
            "days_wanted": self._settings.main_days,
            "days_left": _rounded(stats.outlook.days_left),
        }
        await self._facts.write([CameraFact(now_us, KindCode.STORAGE, root=self._root, figures=figures)], now_us)

    async def _look_again(self) -> None:
        """What was passed over because it was protected may have become free."""
        async with self._store.connection() as connection:
            state = await protection_state(connection)
        if state != self._protections or self.sweep.adopted_since_last():
            self._after_us = {MAIN: 0, SUB: 0}
        self._protections = state

    async def _make_room(self, now_us: int) -> None:
        """Deletes the oldest until the headroom and what is written in `reserve_s` are free."""
        settings = self._settings
        for _ in range(MOST_LOTS):
            disk = self.stats.disk = await asyncio.to_thread(disk_of, self._folder)
            rate = 0.0 if self.stats.stock is None else self.stats.stock.main_rate + self.stats.stock.sub_rate
            missing = headroom(disk.total, settings) + round(rate * settings.reserve_s) - disk.free
            if missing <= 0:
                return
            most = max(1, min(AT_ONCE, missing // self._mean_bytes))
            for stream, before_us in victims(now_us, settings):
                if gone := await self._delete(stream, before_us, most):
                    self.stats.deleted_for_room += gone
                    break
            else:
                return  # nothing may go: recorders stop at the headroom, and say so

    async def _drop_runs(self, now_us: int) -> None:
        """Runs that are empty and so old that no journal speaks of them any more."""
        kept_us = max(self._settings.main_days, self._settings.sub_days) * _DAY_US
        while True:
            async with self._store.transaction() as connection:
                await self.lease.fence(connection)
                before_us = now_us - kept_us - _FORGET_RUNS_US
                if await drop_empty_runs(connection, self._root, before_us, AT_ONCE) < AT_ONCE:
                    return

    async def _delete(self, stream: int, before_us: int, most: int) -> int:
        """One lot of the three steps; how many segments were marked."""
        async with self._store.transaction() as connection:
            await self.lease.fence(connection)
            doomed = await mark(
                connection, self._root, stream, after_us=self._after_us[stream], before_us=before_us, most=most
            )
        if not doomed:
            return 0
        self._at("marked")
        self._after_us[stream] = max(self._after_us[stream], doomed[-1].start_us)
        await self._finish(doomed)
        return len(doomed)

    async def _finish(self, doomed: list[Doomed]) -> list[Doomed]:
        now_us = self._clock.now_ms() * 1000
        await asyncio.to_thread(check_root, self._folder, self._root)
        failed = await finish(self._store, self.lease, self._folder, doomed, day_of_us(now_us), self._at)
        self._stock.cleaned((each.stream, day_of_us(each.start_us)) for each in doomed)
        self.stats.failed_files += len(failed)
        self.stats.deleted_bytes += sum(each.size for each in doomed)
        if doomed:
            self._mean_bytes = max(1, sum(each.size for each in doomed) // len(doomed))
        return failed


def victims(now_us: int, settings: CleanerSettings) -> list[tuple[int, int]]:
    """(stream, before) in the order in which footage gives way when room is short; pure."""
    law_us = now_us - min(LAW_DAYS, settings.main_days) * _DAY_US
    return [(MAIN, law_us), (SUB, _EVER_US), (MAIN, _EVER_US)]


def _rounded(days: float | None) -> float | None:
    return None if days is None else round(days, 2)
