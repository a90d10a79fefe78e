"""The store's upkeep as one supervised part: partitions ahead, roll-ups, retention, in one process at a time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

from core.clock import Clock
from core.errors import StoreUnavailable
from core.supervise import Part
from store import session, timescale
from store.leases import DEFAULT_TTL_S, Lease
from store.partitions import make_ahead
from store.pool import Store
from store.retention import Retention, RetentionReport
from store.rollup import RollUp
from store.settings import RetentionSettings

LEASE = "upkeep"
ROLLUP_EVERY_S = 10.0
RETENTION_EVERY_S = 3600.0
TTL_S = DEFAULT_TTL_S * 5
"""Generous: nothing waits for upkeep, and a long statement must not lose the lease."""

Report = Callable[[RetentionReport], Awaitable[None]]


class Upkeep:
    """`run` is a part of the supervision tree in every process that has the role; the holder of the lease works.

    on_report: told after each retention run, e.g. to raise DQ-01 for stuck cursors.
    """

    def __init__(
        self,
        store: Store,
        holder: str,
        settings: RetentionSettings,
        clock: Clock,
        on_report: Report | None = None,
    ) -> None:
        self._store, self._holder, self._settings, self._clock = store, holder, settings, clock
        self._on_report = on_report

    async def run(self, part: Part) -> None:
        """Works until cancelled. Raises StoreUnavailable and LeaseLost (in a group); the supervisor starts it again."""
        lease = Lease(self._store, LEASE, self._holder, TTL_S)
        while not await lease.acquire():
            part.ready()  # another process does the work: standing by is all there is to do
            await self._clock.sleep(TTL_S / 3)
        try:
            await self._prepare(lease)
            part.ready()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._every(TTL_S / 3, lease.renew))
                tasks.create_task(self._every(RETENTION_EVERY_S, partial(self._retain, lease, part)))
                rollup = RollUp(self._store, lease)
                if await rollup.start():
                    tasks.create_task(self._every(ROLLUP_EVERY_S, rollup.catch_up))
        finally:
            with contextlib.suppress(StoreUnavailable):  # then it expires by itself
                await lease.release()

    async def _prepare(self, lease: Lease) -> None:
        await self._make_ahead()
        async with self._store.transaction() as connection:
            await lease.fence(connection)
            if await timescale.flavour(connection) == "timescale":
                await timescale.keep_refresh_inside(connection, self._settings)

    async def _make_ahead(self) -> None:
        def make() -> None:
            with session.connect(self._store.dsn, application_name="wangge-upkeep") as connection:
                make_ahead(connection, self._clock.now_ms())

        await asyncio.to_thread(make)

    async def _retain(self, lease: Lease, part: Part) -> None:
        await self._make_ahead()
        report = await Retention(self._store, lease, self._settings).run(self._clock.now_ms())
        if self._on_report is not None:
            await self._on_report(report)
        if report.stuck:
            readers = ", ".join(sorted({f"{c.reader} ({c.family})" for c in report.stuck}))
            part.degraded(f"stuck cursor: {readers}; rows are kept until it moves")
        else:
            part.ready()

    async def _every(self, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        while True:
            await work()
            await self._clock.sleep(seconds)
