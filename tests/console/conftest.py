"""A real application on a real PostgreSQL: `city` seeds places, people, devices, operators and events."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import httpx
import pytest

from console import accounts
from console.app import create_app
from console.context import Console
from console.passwords import hashed_now
from console.rights import ROLES, Operator
from console.settings import ConsoleSettings, HttpSettings
from core.event import CATALOGUE
from core.health import Board
from core.ids import token_sha256, ulid
from devices import area, equipment, people
from devices.keeper import RegistryKeeper
from devices.records import Division
from devices.settings import DevicesSettings
from store.events import NewEvent, insert_event, lock_changes
from store.partitions import make_ahead
from store.pool import Store
from store.session import connect

LOCAL_TOKEN = "local-token-of-this-test"
PASSWORD = "correct horse battery"
GRID = "431102001001001"
OTHER_GRID = "431103001001001"
NOW_MS = 1_795_000_000_000
LOCAL = Operator("local", "administrator")


@dataclass
class City:
    """The application, its store, and a bearer token of every role (division 431102) plus `other` (431103)."""

    console: Console
    store: Store
    client: httpx.AsyncClient
    tokens: dict[str, str]
    events: list[str]
    keeper: RegistryKeeper

    def headers(self, role: str) -> dict[str, str]:
        """Headers of a caller: a role, `other`, or `local` (the local administrator)."""
        return {"Authorization": f"Bearer {self.tokens[role]}"}


@pytest.fixture
async def city(store: Store) -> AsyncIterator[City]:
    async with built(store) as made:
        yield made


@asynccontextmanager
async def built(store: Store) -> AsyncIterator[City]:
    """A city in an empty, migrated store."""
    with connect(store.dsn) as connection:
        make_ahead(connection, time.time_ns() // 1_000_000, 1)
    await _registry(store)
    events = await _events(store)
    tokens = {"local": LOCAL_TOKEN} | await _operators(store)
    keeper = RegistryKeeper(store, DevicesSettings(), ZoneInfo("Asia/Shanghai"))
    await keeper.load()
    board = Board()
    board.set("store", "ok")
    console = Console(
        store=store,
        settings=ConsoleSettings(sign_in_attempts=3, stream_ping_s=0.2),
        http=HttpSettings(),
        zone=ZoneInfo("Asia/Shanghai"),
        registry=lambda: keeper.registry,
        board=board,
        is_ready=lambda: not board.unready(),
        local_token=token_sha256(LOCAL_TOKEN),
    )
    transport = httpx.ASGITransport(create_app(console))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield City(console, store, client, tokens, events, keeper)


async def _registry(store: Store) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    async with store.transaction() as connection:
        await area.put_divisions(
            connection,
            [
                Division("4311", "永州市", "city"),
                Division("431102", "零陵区", "district"),
                Division("431103", "冷水滩区", "district"),
            ],
        )
        await area.put_grids(
            connection,
            [area.GridRow(code, f"<b>{code}</b>", "urban", square(n)) for n, code in enumerate((GRID, OTHER_GRID))],
        )
        await people.put_workers(connection, [("w1", "张三", None, "t1"), ("w2", "李四", None, None)])
        await people.give_grid(connection, "w1", GRID, since)
        await people.give_grid(connection, "w2", OTHER_GRID, since)
        for device, worker in (("h1", "w1"), ("h2", "w2")):
            await equipment.add_device(connection, equipment.DeviceRow(device, "handset"))
            await equipment.hand_out(connection, device, worker, since)
        await equipment.add_device(connection, equipment.DeviceRow("t1", "terminal"))
        await equipment.stand_at(connection, "t1", GRID, since, (26.42, 111.61))


def square(n: int) -> dict[str, object]:
    """A polygon of about 500 m."""
    lat, lon = 26.42, 111.61 + n / 50
    ring = [[lon, lat], [lon + 0.005, lat], [lon + 0.005, lat + 0.005], [lon, lat + 0.005], [lon, lat]]
    return {"type": "Polygon", "coordinates": [ring]}


async def _events(store: Store) -> list[str]:
    """Three events of w1 in GRID, one of w2 in OTHER_GRID; newest last."""
    ids = []
    async with store.transaction() as connection:
        await lock_changes(connection)
        for n, (code, subject, grid, worker) in enumerate(
            [
                ("TRK-01", "h1", GRID, "w1"),
                ("TRK-05", "h1", GRID, "w1"),
                ("POS-02", "t1", GRID, None),
                ("TRK-01", "h2", OTHER_GRID, "w2"),
            ]
        ):
            known = CATALOGUE[code]
            at_ms = NOW_MS + n * 1000
            ids.append(ulid(at_ms, str(n)))
            kind = "terminal" if subject == "t1" else "handset"
            event = NewEvent(
                ids[-1],
                str(n),
                code,
                known.severity,
                known.level,
                grid,
                grid,
                subject,
                kind,
                worker,
                26.42,
                111.61,
                at_ms,
                at_ms,
                False,
                at_ms + 300_000,
            )
            await insert_event(connection, event, f"rule:{code}@1")
    return ids


async def _operators(store: Store) -> dict[str, str]:
    kept, tokens = hashed_now(PASSWORD), {}
    async with store.transaction() as connection:
        for role in (*ROLES, "other"):
            real = "supervisor" if role == "other" else role
            division = "431103" if role == "other" else "431102"
            worker = "w1" if role == "worker" else None
            await accounts.add(connection, LOCAL, role, real, division=division, worker=worker, password_hash=kept)
            tokens[role] = await accounts.new_bearer(connection, LOCAL, role)
    return tokens
