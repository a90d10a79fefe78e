"""A collector on a real PostgreSQL with two handsets and a terminal, its parts running under a real supervisor."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

import psycopg
import pytest

from core.clock import SystemClock
from core.health import Board
from core.supervise import Supervisor
from devices.credentials import digest, new_token
from devices.records import DeviceRecord
from devices.registry import Registry, Tables
from ingest.collector import Collector
from ingest.settings import IngestSettings
from store.pool import Store
from store.settings import RetentionSettings


class Rig(NamedTuple):
    """What a test works with. tokens: device id → token."""

    collector: Collector
    registry: Registry
    tokens: dict[str, str]
    dsn: str
    board: Board

    def rows(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        """Rows of a query on a session of its own."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(query, parameters).fetchall()  # type: ignore[arg-type]

    def record(self, device_id: str) -> DeviceRecord:
        found = self.registry.device(device_id)
        assert found is not None
        return found


def registry_of(dsn: str) -> tuple[Registry, dict[str, str]]:
    """Devices in the database and in memory, with tokens."""
    tokens = {name: new_token() for name in ("hs-1", "hs-2", "pos-1")}
    devices: dict[int, DeviceRecord] = {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, token in tokens.items():
            kind = "terminal" if name.startswith("pos") else "handset"
            row = connection.execute(
                "INSERT INTO devices (id, kind) VALUES (%s, %s) RETURNING key", (name, kind)
            ).fetchone()
            assert row is not None
            devices[row[0]] = DeviceRecord(row[0], name, kind, token_sha256=digest(token))  # type: ignore[arg-type]
    return Registry(Tables(devices=devices)), tokens


@asynccontextmanager
async def running(dsn: str, settings: IngestSettings) -> AsyncIterator[Rig]:
    registry, tokens = registry_of(dsn)
    board = Board()
    async with Store(dsn) as store:
        collector = await Collector.open(
            settings, RetentionSettings(), store, lambda: registry, board, SystemClock(), presence_flush_s=0.05
        )
        async with Supervisor(board) as tree:
            for name, run in collector.parts().items():
                tree.start(name, run)
            async with asyncio.timeout(10):
                await tree.ready()
            yield Rig(collector, registry, tokens, dsn, board)


RigMaker = Callable[..., AbstractAsyncContextManager[Rig]]


@pytest.fixture
async def rig(migrated_dsn: str) -> AsyncIterator[Rig]:
    async with running(migrated_dsn, IngestSettings()) as made:
        yield made


@pytest.fixture
def make_rig(migrated_dsn: str) -> RigMaker:
    """Makes a rig with other settings of `ingest`."""
    return lambda **settings: running(migrated_dsn, IngestSettings.model_validate(settings))


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Polls with a deadline."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - conditions of another process
            await asyncio.sleep(0.02)
