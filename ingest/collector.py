"""The room put together: lanes, their writers and the intake; what `wangge serve` opens and whose parts it supervises.

collector = await Collector.open(settings.ingest, settings.store.retention, store, lambda: keeper.registry,
                                 board, clock, metrics, operators)
for name, run in collector.parts().items():
    tree.start(name, run)
Listener(settings.ingest.mqtt, collector.intake, …)     # MQTT
app.include_router(device_routes(collector.intake, …))  # HTTP
"""

import asyncio
from collections.abc import Awaitable, Callable

from core.clock import Clock
from core.errors import StoreError
from core.health import Board
from core.supervise import Part
from devices.registry import Registry
from ingest.intake import Intake, Operators
from ingest.judgement import Judge
from ingest.lanes import Lanes
from ingest.metrics import IngestMetrics
from ingest.security import FLUSH_S, SecurityLog
from ingest.settings import IngestSettings
from ingest.sights import Sights
from ingest.sorter import Sorter
from ingest.writer import LaneWriter
from store.fixes import read_sos
from store.outage import outage_errors
from store.pool import Store
from store.session import connect
from store.settings import RetentionSettings

Run = Callable[[Part], Awaitable[None]]
SOS_LOOK_BACK_MS = 86_400_000
"""Fixes that arrive late may lie within the time after an SOS of yesterday."""


class Collector:
    """Everything of ingestion but its sockets. Made by `open`."""

    def __init__(
        self,
        settings: IngestSettings,
        judge: Judge,
        store: Store,
        registry: Callable[[], Registry],
        board: Board,
        clock: Clock,
        metrics: IngestMetrics,
        sos_times: dict[int, list[int]],
        operators: Operators | None,
        presence_flush_s: float,
    ) -> None:
        self._store = store
        self._presence_flush_s = presence_flush_s
        self.lanes = Lanes(settings.lanes)
        self.sights = Sights()
        self.security = SecurityLog(self.lanes, metrics, clock, settings.limits.security_facts_per_s)
        self.sorter = Sorter(judge, registry, self.security, self.sights, metrics, settings.limits, sos_times)
        self.intake = Intake(
            settings, self.lanes, self.sorter, registry, self.security, metrics, clock, operators=operators
        )
        self.writers = {
            channel.name: LaneWriter(store.dsn, channel, settings.lanes, self.intake.settle, board, clock, metrics)
            for channel in self.lanes.channels.values()
        }
        self.intake.is_store_away = self.is_store_away

    @classmethod
    async def open(
        cls,
        settings: IngestSettings,
        retention: RetentionSettings,
        store: Store,
        registry: Callable[[], Registry],
        board: Board,
        clock: Clock,
        metrics: IngestMetrics | None = None,
        operators: Operators | None = None,
        presence_flush_s: float = 3.0,
    ) -> "Collector":
        """Reads what the store has to say first (digest key, latest SOS). Raises StoreUnavailable, StoreError."""
        since_ms = clock.now_ms() - SOS_LOOK_BACK_MS
        digest_key, sos_times = await asyncio.to_thread(_read_beginning, store.dsn, since_ms)
        judge = Judge.of(settings.admission, retention, digest_key)
        return cls(
            settings,
            judge,
            store,
            registry,
            board,
            clock,
            metrics or IngestMetrics(),
            sos_times,
            operators,
            presence_flush_s,
        )

    def parts(self) -> dict[str, Run]:
        """What has to run, by name. Stop the sockets first: a lane that is stopped writes what waits and closes."""
        lanes: dict[str, Run] = {f"ingest.lane.{name}": _ready_and(w.run) for name, w in self.writers.items()}
        return {**lanes, "ingest.presence": self._keep_presence, "ingest.security": self._flush_security}

    def is_store_away(self) -> bool:
        """Whether batches of a lane fail just now."""
        return any(writer.away_since is not None for writer in self.writers.values())

    async def _keep_presence(self, part: Part) -> None:
        part.ready()
        await self.sights.run(self._store, self._presence_flush_s)

    async def _flush_security(self, part: Part) -> None:
        part.ready()
        try:
            while True:
                await asyncio.sleep(FLUSH_S)
                self.security.flush()
        finally:
            self.security.flush()


def _ready_and(run: Callable[[], Awaitable[None]]) -> Run:
    async def started(part: Part) -> None:
        part.ready()
        await run()

    return started


def _read_beginning(dsn: str, since_ms: int) -> tuple[bytes, dict[int, list[int]]]:
    with connect(dsn, application_name="wangge ingest") as connection, outage_errors():
        row = connection.execute("SELECT value FROM meta WHERE name = 'digest_key'").fetchone()
        if row is None:
            raise StoreError("The table meta has no digest_key: run the migrations.")
        return bytes.fromhex(row[0]), read_sos(connection, since_ms)
