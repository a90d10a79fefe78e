"""The service: the one place that wires the rooms together, starts them as a tree, drains and ends them.

Order of the start: store (started and migrated) → pool → registry → lanes and writers → MQTT listener, HTTP → engine →
the rest. Order of the end: sockets stop taking, lanes write what waits, everything else is cancelled, the store stops.
"""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from fastapi import APIRouter
from prometheus_client import REGISTRY

from alerts.engine import Engine
from console.api import stream
from console.app import create_app
from console.context import Console
from core.clock import SystemClock
from core.health import Board
from core.supervise import Part, Run, Supervisor
from devices.keeper import RegistryKeeper
from ingest.collector import Collector
from ingest.http import device_routes
from ingest.metrics import IngestMetrics
from store.audit_seal import Sealer
from store.metrics import StoreMetrics
from store.pool import Store
from store.ready import BEAT_S, INGEST, ReadyHeart
from store.upkeep import Upkeep
from wangge import ports
from wangge.broker_part import BrokerPart
from wangge.first_start import forget_password
from wangge.http_server import HttpServer
from wangge.mqtt_metrics import MqttCollector
from wangge.mqtt_operators import MqttOperators
from wangge.mqtt_part import MqttPart
from wangge.rates import Rates
from wangge.settings import Settings
from wangge.storehouse import StoreHouse
from wangge.streams_part import AGAIN, worker_parts

log = structlog.get_logger()

ROLES = ("ingest", "alerts", "console", "streams")
"""Roles of this version; `patrol` comes later."""
STARTS_WITHIN_S = 60.0
SOCKETS_DRAIN_S = 4.0


@dataclass(slots=True)
class Plan:
    """What to run. data None: without a data folder. http: a listening socket, already ours."""

    settings: Settings
    roles: frozenset[str]
    data: Path | None
    ports: ports.Ports
    http: Any
    local_token: bytes | None = None


@dataclass(slots=True)
class Service:
    """The parts of a running service; made by `open_service`, run by `run`."""

    plan: Plan
    house: StoreHouse
    store: Store
    board: Board = field(default_factory=Board)
    clock: SystemClock = field(default_factory=SystemClock)
    started: bool = False
    console: Console = field(init=False)
    keeper: RegistryKeeper = field(init=False)
    collector: Collector | None = None
    mqtt: MqttPart | None = None
    broker: BrokerPart | None = None
    http: HttpServer = field(init=False)
    holder: str = field(default_factory=lambda: f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}")

    @property
    def is_ready(self) -> bool:
        """Started, and no needed part is down."""
        return self.started and not self.board.unready()

    def addresses(self) -> dict[str, str]:
        """Where devices and people connect, with the ports really chosen."""
        http = self.plan.settings.http
        scheme = "https" if http.tls_certificate else "http"
        found = {"http": f"{scheme}://{_shown(http.host)}:{ports.port_of(self.plan.http)}"}
        if self.mqtt is not None:
            found["mqtt"] = f"{_shown(self.plan.settings.ingest.mqtt.host)}:{self.mqtt.port}"
        return found

    async def run(
        self, stop: asyncio.Event, on_started: Callable[["Service"], Awaitable[None]], beside: Mapping[str, Run]
    ) -> None:
        """Works until `stop`; then drains. `on_started` is awaited once every part has been ready; then `beside`
        (parts that nobody needs) is started.

        Raises what keeps the service from starting, and GaveUp (in a group) when a vital part failed for good.
        """
        await self._prepare()
        async with Supervisor(self.board, self.clock) as tree:
            lanes = self._start_parts(tree)
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(_started_or_stopped(tree, stop))
            if waiting.result():
                self.started = True
                await on_started(self)
                for name, run in beside.items():
                    tree.start(name, run, needed=False)
                await stop.wait()
            log.info("service.draining")
            await self._drain(tree, lanes)

    async def _prepare(self) -> None:
        settings = self.plan.settings
        self.keeper = RegistryKeeper(self.store, settings.devices, settings.site.zone)
        await self.keeper.load()
        self.console = Console(
            store=self.store,
            settings=settings.console,
            http=settings.http,
            zone=settings.site.zone,
            registry=lambda: self.keeper.registry,
            board=self.board,
            is_ready=lambda: self.is_ready,
            local_token=self.plan.local_token,
            log_ins=settings.streams.log_ins(self.plan.data) if "streams" in self.plan.roles else None,
            addresses=self.addresses,
        )
        routers = [await self._prepare_ingestion()] if "ingest" in self.plan.roles else []
        app = create_app(self.console, routers, api="console" in self.plan.roles)
        self.http = HttpServer(app, settings.http, self.plan.http)

    async def _prepare_ingestion(self) -> APIRouter:
        """Collector, MQTT and the consumer of a broker, none started yet; returns the routes for devices."""
        settings, operators = self.plan.settings, MqttOperators(self.store)
        self.collector = await self._open_collector(operators)
        if settings.ingest.mqtt.enabled:
            self.mqtt = MqttPart(
                settings.ingest.mqtt,
                self.plan.ports.mqtt,
                self.store,
                self.collector,
                self.keeper,
                operators,
                self.clock,
            )
        if settings.ingest.mqtt.broker_url:
            self.broker = BrokerPart(settings.ingest.mqtt, self.collector, self.store, self.clock)
        REGISTRY.register(
            MqttCollector(
                lambda: self.mqtt.stats if self.mqtt else None, lambda: self.broker.stats if self.broker else None
            )
        )
        folder = attachments_folder(settings, self.plan.data)
        if folder is None:
            log.warning("service.takes_no_attachments", remedy="set ingest.http.attachments_folder")
        return device_routes(self.collector.intake, settings.ingest.http, self.clock, folder)

    async def _open_collector(self, operators: MqttOperators) -> Collector:
        settings = self.plan.settings
        return await Collector.open(
            settings.ingest,
            settings.store.retention,
            self.store,
            lambda: self.keeper.registry,
            self.board,
            self.clock,
            IngestMetrics(REGISTRY),
            operators,
            settings.devices.presence_flush_s,
        )

    def _start_parts(self, tree: Supervisor) -> list[str]:
        """Starts every part of the roles; returns the names of those that hold facts not written yet."""
        settings, lanes = self.plan.settings, []
        tree.start("store", lambda part: self.house.keep(part, self.store))
        tree.start("store.metrics", StoreMetrics(self.store, self.clock).run, needed=False)
        tree.start("registry", self._follow_registry)
        if self.collector is not None:
            for name, run in self.collector.parts().items():
                tree.start(name, run)
                lanes.append(name)
            if self.mqtt is not None:
                tree.start("ingest.mqtt", self.mqtt.run)
            if self.broker is not None:
                tree.start("ingest.broker", self.broker.run, needed=False)
            tree.start("ingest.heartbeat", self._beat, needed=False)
        tree.start("http", self.http.run)
        if "alerts" in self.plan.roles:
            engine = Engine(
                self.store,
                lambda: self.keeper.registry,
                settings.alerts,
                zone=settings.site.zone,
                city=settings.site.city,
                clock=self.clock,
            )
            tree.start("alerts.engine", engine.run)
            upkeep = Upkeep(self.store, self.holder, settings.store.retention, self.clock)
            tree.start("store.upkeep", upkeep.run, needed=False)
        if "console" in self.plan.roles:
            tree.start("console.live", self._follow_events, needed=False)
            tree.start("console.audit", self._seal, needed=False)
        if "streams" in self.plan.roles:
            for name, run in worker_parts(settings.streams.workers, self._worker_plan()).items():
                tree.start(name, run, AGAIN, needed=False)
        rates = Rates(REGISTRY)
        self.console.rates = lambda: rates.now
        tree.start("rates", rates.run, needed=False)
        return lanes

    def _worker_plan(self) -> dict[str, object]:
        """What a camera worker is told; no secret but the DSN."""
        settings, data = self.plan.settings, self.plan.data
        told = settings.model_dump(mode="json", include={"site", "log", "devices", "streams"}, exclude_defaults=True)
        if _is_local(settings.http.host) and not settings.streams.live.ice_addresses:
            live = told.setdefault("streams", {}).setdefault("live", {})
            live["ice_addresses"] = [settings.http.host]  # who cannot reach the page needs no live video
        return {
            "dsn": self.store.dsn,
            "settings": told,
            "data": None if data is None else str(data.resolve()),
            "log_format": settings.log.format,
            "log_level": settings.log.level,
        }

    async def _follow_registry(self, part: Part) -> None:
        part.ready()
        await self.keeper.run()

    async def _follow_events(self, part: Part) -> None:
        part.ready()
        await stream.follow(self.console)

    async def _seal(self, part: Part) -> None:
        settings = self.plan.settings.console
        folder = settings.seal_folder or (self.plan.data / "audit" if self.plan.data else None)
        if folder is None:
            part.degraded("no head of the audit log is signed outside the database; set console.seal_folder")
        else:
            part.ready()
        await Sealer(self.store, folder, settings.seal_head_s).run()

    async def _beat(self, part: Part) -> None:
        """Says in the store that devices could be heard, while that is so; and tidies the first password away."""
        heart = ReadyHeart(self.store, INGEST, self.holder)
        part.ready()
        while True:
            collector = self.collector
            if self.is_ready and collector is not None and not collector.is_store_away():
                await heart.beat()
                if self.plan.data is not None:
                    await forget_password(self.store, self.plan.data)
            await asyncio.sleep(BEAT_S)

    async def _drain(self, tree: Supervisor, lanes: list[str]) -> None:
        """Sockets stop taking and finish; then lanes write what waits. The tree's end cancels the rest."""
        self.started = False
        self.console.changed.close()
        self.http.stop()
        async with asyncio.TaskGroup() as group:
            for sockets in (self.mqtt, self.broker):
                if sockets is not None:
                    group.create_task(sockets.drain(SOCKETS_DRAIN_S))
        async with asyncio.TaskGroup() as group:
            for name in lanes:
                group.create_task(tree.stop(name), name=f"stop {name}")


def attachments_folder(settings: Settings, data: Path | None) -> Path | None:
    """Where attachments go; None: nowhere, they are refused."""
    return settings.ingest.http.attachments_folder or (data / "attachments" if data is not None else None)


async def _started_or_stopped(tree: Supervisor, stop: asyncio.Event) -> bool:
    """True once every part was ready; False when the service is told to stop before."""
    async with asyncio.TaskGroup() as group:
        ready = group.create_task(tree.ready())
        told = group.create_task(stop.wait())
        await asyncio.wait({ready, told}, return_when=asyncio.FIRST_COMPLETED)
        is_ready = ready.done()
        ready.cancel()
        told.cancel()
    return is_ready


def _is_local(host: str) -> bool:
    return host in ("127.0.0.1", "::1")


def _shown(host: str) -> str:
    """An address that a program on this machine can connect to."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - compared, not bound
