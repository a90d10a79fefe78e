"""The rule engine: one at a time in a city, under a lease. Reads slices of committed facts and commits what they mean.

Urgent facts go first, live ones are gathered for half a second, back-fill comes in chunks when nothing else waits. Each
slice is one transaction under the fence: rule states, cursor, events. After any failure the memory is thrown away and
the engine starts again from what is committed, so that no event is missing and none is doubled.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from zoneinfo import ZoneInfo

import structlog

from alerts import absence, cursors, metrics
from alerts.budget import Budget
from alerts.evaluate import Outcome, evaluate, forget_quiet_senders
from alerts.merge import Merger
from alerts.ready_time import ReadyTime
from alerts.settings import AlertsSettings
from alerts.state import Memory
from alerts.subjects import World
from core.clock import Clock, SystemClock
from core.errors import StoreUnavailable
from core.lane import CAMERA, FIX, POS, REFUSAL, SECURITY, Lane
from core.supervise import Part
from devices.registry import Registry
from store.cursors import make_cursors
from store.leases import Lease
from store.pool import Store
from store.ready import INGEST, ready_spans
from store.tail import Position, Tail
from store.wake import Wake

log = structlog.get_logger()

NAME = "alerts"
"""Reader of the cursors, engine of the rule states, name of the lease."""

_FAMILIES = (FIX, POS, CAMERA, SECURITY, REFUSAL)
_PRESENT = {(family, lane) for family in (FIX, POS, CAMERA) for lane in (Lane.URGENT, Lane.LIVE)}
_SLOW_S = 5.0
_CURSORS_S = 60.0
_READY_BACK_MS = 36 * 3_600_000


class Engine:
    """`run` is the part that the supervisor keeps; `start`, `catch_up` and `tick` drive it by hand in tests."""

    def __init__(
        self,
        store: Store,
        registry: Callable[[], Registry],
        settings: AlertsSettings,
        *,
        zone: ZoneInfo,
        city: str = "4311",
        clock: Clock | None = None,
    ) -> None:
        """registry: the newest snapshot (`lambda: keeper.registry`). zone, city: of the site."""
        self._store, self._registry, self._settings = store, registry, settings
        self._clock = clock or SystemClock()
        self._city = city
        self._merger = Merger(Budget(settings.budget, zone), settings.calendar, zone, city)
        self.wake = Wake()
        self._lease = self._new_lease()
        self._tails: dict[tuple[str, int], Tail] = {}
        self._read_ms: dict[tuple[str, int], int] = {}
        self._stuck: set[str] = set()
        """Keys of stuck cursors that have been said; a new engine says them once more, which changes nothing."""
        self.memory = Memory(World(registry(), city), settings.rules)
        self._live_at = self._tick_at = self._poll_at = self._slow_at = self._cursors_at = float("-inf")

    def _new_lease(self) -> Lease:
        holder = f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}"
        return Lease(self._store, NAME, holder, self._settings.engine.lease_ttl_s)

    # The part

    async def run(self, part: Part) -> None:
        """Waits for the lease, then works until cancelled. After StoreUnavailable, LeaseLost or Conflict: run again."""
        while not await self.start():
            part.degraded("another process is the rule engine; this one waits to take over")
            await self._clock.sleep(self._settings.engine.lease_ttl_s / 6)
        part.ready()
        log.info("alerts.engine_started", epoch=self._lease.epoch, subjects=len(self.memory.devices))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.wake.listen(self._store), name="alerts wake")
                group.create_task(self._renew(), name="alerts lease")
                group.create_task(self._work(), name="alerts work")
        finally:
            await self._give_back()

    async def start(self) -> bool:
        """Takes the lease and loads what is committed. False: another engine holds it."""
        self._lease = self._new_lease()
        if not await self._lease.acquire():
            return False
        self.memory = Memory(World(self._registry(), self._city), self._settings.rules)
        self._look_at_the_world()
        self._tails = {(f, int(lane)): Tail(self._store, NAME, f, lane) for lane in Lane for f in _FAMILIES}
        self._read_ms = dict.fromkeys(self._tails, 0)
        async with self._store.transaction() as connection:
            await self._lease.fence(connection)
            await make_cursors(connection, NAME, _FAMILIES)
            await self.memory.load(connection, NAME)
            for tail in self._tails.values():
                await tail.load(connection)
        self.wake.ring()
        self._slow_at = self._tick_at = float("-inf")
        return True

    async def _give_back(self) -> None:
        try:
            async with asyncio.timeout(2):
                await self._lease.release()
        except (StoreUnavailable, TimeoutError):
            log.warning("alerts.lease_not_released", remedy="the next engine starts when it expires")

    async def _renew(self) -> None:
        while True:
            await self._clock.sleep(self._settings.engine.lease_ttl_s / 3)
            await self._lease.renew()

    async def _work(self) -> None:
        engine = self._settings.engine
        while True:
            await self.turn()
            now = self._clock.monotonic()
            if any(self.wake.waiting(*key) for key in self._tails if key[1] != Lane.LIVE):
                continue
            live_waits = any(self.wake.waiting(*key) for key in self._tails if key[1] == Lane.LIVE)
            until = min(self._tick_at + engine.tick_s, self._poll_at + engine.poll_s)
            if live_waits:
                until = min(until, self._live_at + engine.live_gather_s)
            if until > now:
                await self.wake.wait(until - now)

    async def turn(self) -> None:
        """Handles what waits: urgent, then live if it is due, then one chunk of back-fill, then what the clock asks."""
        engine, now = self._settings.engine, self._clock.monotonic()
        if now - self._poll_at >= engine.poll_s:
            self._poll_at = now
            self.wake.ring()
        self.wake.spread(self._tails)
        self._look_at_the_world()
        await self._lane(Lane.URGENT, engine.urgent_rows)
        if now - self._live_at >= engine.live_gather_s:
            self._live_at = now
            await self._lane(Lane.LIVE, engine.live_rows)
        if not any(self.wake.waiting(family, Lane.URGENT) for family in _FAMILIES):
            await self._lane(Lane.BACKFILL, engine.backfill_rows)
        if now - self._tick_at >= engine.tick_s:
            self._tick_at = now
            await self.tick()

    def _look_at_the_world(self) -> None:
        self.memory.world.registry = self._registry()
        self.memory.world.wall_ms = self._clock.now_ms()

    async def _lane(self, lane: Lane, rows: int) -> None:
        for family in _FAMILIES:
            if self.wake.take(family, lane):
                await self._slice(self._tails[family, lane], rows)

    async def _slice(self, tail: Tail, rows: int) -> bool:
        """Reads, evaluates and commits one slice. False: nothing waited."""
        now_ms, began = self._clock.now_ms(), time.perf_counter()
        key = (tail.family, tail.lane)
        part = await tail.slice(rows)
        if part is None:
            self._read_ms[key] = now_ms
            return False
        read = time.perf_counter()
        outcome = Outcome()
        await evaluate(self.memory, tail.family, Lane(tail.lane), part.facts, outcome)
        evaluated = time.perf_counter()
        await self._commit(outcome, tail, part.end)
        tail.moved(part.end)
        if part.rows_left:
            self.wake.mark(*key)
            if tail.lane == Lane.LIVE:
                self._live_at = float("-inf")  # a backlog is not gathered, it is worked off
        self._read_ms[key] = min(now_ms, part.stored_at_ms) if part.rows_left else now_ms
        metrics.FACTS.labels(tail.family, Lane(tail.lane).name.lower()).inc(len(part.facts))
        metrics.STEP_SECONDS.labels("read").observe(read - began)
        metrics.STEP_SECONDS.labels("evaluate").observe(evaluated - read)
        metrics.STEP_SECONDS.labels("commit").observe(time.perf_counter() - evaluated)
        return True

    async def _commit(self, outcome: Outcome, tail: Tail | None = None, end: Position | None = None) -> None:
        """One transaction under the fence: states, cursor, events."""
        async with self._store.transaction() as connection:
            await self._lease.fence(connection)
            await self.memory.save(connection, NAME, outcome.changed.values(), outcome.gone)
            if tail is not None and end is not None:
                await tail.advance(connection, *end)
            registry = self.memory.world.registry
            await self._merger.write(connection, registry, outcome.findings, self._clock.now_ms())

    # The clock

    def known_until_ms(self) -> int:
        """The instant up to which every urgent and live measurement has been read."""
        now_ms = self._clock.now_ms()
        return min(self._read_ms[key] if self.wake.waiting(*key) else now_ms for key in _PRESENT)

    async def tick(self) -> None:
        """What is due by the clock: silences, deadlines, mass silences; slowly also health of cursors and metrics."""
        world = self.memory.world
        now = self._clock.monotonic()
        slow = now - self._slow_at >= _SLOW_S
        if slow:
            self._slow_at = now
            await self._look_around()
        world.now_ms = max(world.now_ms, self.known_until_ms())
        while True:
            outcome = Outcome()
            ticked = absence.tick(self.memory, self._settings.engine.tick_subjects, outcome)
            if slow:
                absence.end_mass_silences(self.memory, outcome)
                forget_quiet_senders(self.memory, world.now_ms, outcome)
                slow = False
            if not outcome.empty:
                await self._commit(outcome)
            if ticked < self._settings.engine.tick_subjects:
                break
            if any(self.wake.waiting(family, Lane.URGENT) for family in _FAMILIES):
                self._tick_at = float("-inf")
                break
        if now - self._cursors_at >= _CURSORS_S:
            self._cursors_at = now
            await self._judge_cursors()

    async def _look_around(self) -> None:
        """Heartbeats of the collectors; how many subjects there are, for the metrics."""
        async with self._store.connection() as connection:
            spans = await ready_spans(connection, INGEST, self._clock.now_ms() - _READY_BACK_MS)
        self.memory.world.ready = ReadyTime(spans)
        for kind in self.memory.sets:
            metrics.SUBJECTS.labels(kind).set(len(self.memory.of_kind(kind)))

    async def _judge_cursors(self) -> None:
        """DQ-01 for cursors that do not move, of any reader."""
        place = self.memory.other("division", self._city)
        outcome = Outcome()
        async with self._store.connection() as connection:
            stuck = await cursors.stuck_cursors(connection, self._settings.rules.dq_01.stuck_s)
            freed = await cursors.freed_cursors(connection, stuck, self._clock.now_ms())
        outcome.take(place, [*(finding for finding in stuck if finding.key not in self._stuck), *freed])
        if outcome.findings:
            await self._commit(outcome)
        self._stuck = {finding.key for finding in stuck}

    # By hand

    async def catch_up(self) -> None:
        """Handles everything that is committed now, whatever its lane, then ticks once."""
        self._look_at_the_world()
        for tail in self._tails.values():
            while await self._slice(tail, self._settings.engine.live_rows):
                pass
            self.wake.take(tail.family, tail.lane)
        self.wake.spread([])
        self._slow_at = float("-inf")
        await self.tick()
