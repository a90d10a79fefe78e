"""The real engine on a fake clock over a real database, with a writer of facts: what rule tests run."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from alerts.engine import Engine
from alerts.settings import AlertsSettings, BudgetSettings
from core.camera import CameraFact
from core.camera import KindCode as CameraKind
from core.clock import FakeClock
from core.fix import Flag, StoredFix
from core.lane import Lane
from core.reading import KindCode, StoredReading
from store.camera_facts import CameraFactWriter
from store.event_queries import Event, EventFilter, list_events
from store.pool import Store
from tests.support.city import ZONE, City
from tests.support.facts import FactWriter, ready_between

START_MS = 1_795_500_000_000
"""2026-11-24T06:00:00Z, 14:00 in China."""
NO_BUDGET = AlertsSettings(budget=BudgetSettings(enabled=False))


class Room:
    """One engine under test. Time is `at(seconds)` from START_MS."""

    def __init__(self, store: Store, city: City, engine: Engine, clock: FakeClock, writer: FactWriter) -> None:
        self.store, self.city, self.engine, self.clock, self.writer = store, city, engine, clock, writer
        self.digest = 0

    def fix(
        self,
        at_s: float,
        handset: int = 0,
        *,
        received_s: float | None = None,
        place: tuple[float, float] | None = None,
        **fields: object,
    ) -> StoredFix:
        """A fix of handset i at START + at_s, in the middle of its grid unless `place` says (lat, lon)."""
        self.digest += 1
        lat, lon = place or self.city.middle(handset)
        at_ms = START_MS + round(at_s * 1000)
        received_ms = at_ms + 300 if received_s is None else START_MS + round(received_s * 1000)
        values: dict[str, object] = {"accuracy_m": 5.0, "battery": 0.8, "flags": Flag(0), "lane": 1} | fields
        return StoredFix(
            device=self.city.handset(handset),
            fixed_at_ms=at_ms,
            received_at_ms=received_ms,
            digest=self.digest,
            lat=lat,
            lon=lon,
            **values,  # type: ignore[arg-type]
        )

    def record(
        self, at_s: float, seq: int, terminal: int = 0, *, received_s: float | None = None, **fields: object
    ) -> StoredReading:
        """A POS record (heartbeat unless said otherwise) of terminal i."""
        self.digest += 1
        at_ms = START_MS + round(at_s * 1000)
        received_ms = at_ms + 300 if received_s is None else START_MS + round(received_s * 1000)
        values: dict[str, object] = {"boot": "b1", "kind": int(KindCode.HEARTBEAT), "flags": 0, "lane": 1} | fields
        return StoredReading(
            device=self.city.terminal(terminal),
            at_ms=at_ms,
            received_at_ms=received_ms,
            digest=self.digest,
            seq=seq,
            **values,  # type: ignore[arg-type]
        )

    async def feed(self, facts: Sequence[StoredFix | StoredReading], lane: Lane = Lane.LIVE) -> None:
        """Commits facts as one batch and lets the engine handle them; the clock goes to the last one received."""
        fixes = [fact for fact in facts if isinstance(fact, StoredFix)]
        readings = [fact for fact in facts if isinstance(fact, StoredReading)]
        if fixes:
            self.writer.fixes(fixes, lane)
        if readings:
            self.writer.readings(readings, lane)
        await self.until((max(fact.received_at_ms for fact in facts) - START_MS) / 1000)

    def camera_fact(self, at_s: float, kind: CameraKind, camera: int | None = 0, **fields: object) -> CameraFact:
        """A fact about camera i, or (None, with `root`) about a media root; `figures` as the contract has them."""
        device = None if camera is None else self.city.camera(camera)
        return CameraFact(at_us=(START_MS + round(at_s * 1000)) * 1000, kind=kind, device=device, **fields)  # type: ignore[arg-type]

    async def camera(self, *facts: CameraFact, received_s: float | None = None) -> None:
        """Commits facts about cameras, received just after the newest of them unless said otherwise."""
        newest_s = max(fact.at_us for fact in facts) / 1e6 - START_MS / 1000
        at_s = newest_s + 0.1 if received_s is None else received_s
        await CameraFactWriter(self.store).write(facts, (START_MS + round(at_s * 1000)) * 1000)
        await self.until(at_s)

    async def until(self, at_s: float, *, ready: bool = True) -> None:
        """Moves the clock (never back) and lets the engine work. ready: collectors were, since an hour before."""
        ahead = START_MS + round(at_s * 1000) - self.clock.now_ms()
        self.clock.advance_ms(max(0, ahead))
        if ready:
            ready_between(self.store.dsn, START_MS - 3_600_000, self.clock.now_ms())
        await self.engine.catch_up()

    async def events(self, code: str | None = None) -> list[Event]:
        """All events, oldest first."""
        async with self.store.connection() as connection:
            return (await list_events(connection, EventFilter(code=code)))[::-1]


@asynccontextmanager
async def room(
    store: Store, city: City, settings: AlertsSettings = NO_BUDGET, start_ms: int = START_MS
) -> AsyncIterator[Room]:
    """A started engine; its lease is long, since the fake clock does not renew it."""
    clock = FakeClock(start_ms)
    engine = Engine(store, lambda: city.registry, settings, zone=ZONE, clock=clock)
    engine_settings = settings.engine.model_copy(update={"lease_ttl_s": 600.0})
    engine._settings = settings.model_copy(update={"engine": engine_settings})
    assert await engine.start()
    with FactWriter(store.dsn) as writer:
        yield Room(store, city, engine, clock, writer)


def every(seconds: float, since: float, until: float, make: Callable[[float], StoredFix]) -> list[StoredFix]:
    """Facts at a steady interval in [since, until)."""
    count = round((until - since) / seconds)
    return [make(since + n * seconds) for n in range(count)]
