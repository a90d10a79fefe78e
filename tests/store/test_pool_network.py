"""A network that cuts or goes silent: blocks end in time, listening notices, everything heals by itself."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from core.errors import StoreUnavailable
from store import pool
from store.pool import Store
from tests.support.proxy import BreakableProxy


@pytest.fixture
async def proxy(migrated_dsn: str) -> AsyncIterator[BreakableProxy]:
    where = conninfo_to_dict(migrated_dsn)
    async with BreakableProxy(str(where["host"]), int(str(where["port"]))) as running:
        yield running


@pytest.fixture
async def far_store(proxy: BreakableProxy, migrated_dsn: str) -> AsyncIterator[Store]:
    dsn = make_conninfo(migrated_dsn, host="127.0.0.1", port=str(proxy.port))
    async with Store(dsn, acquire_timeout_s=1.0) as store:
        yield store


async def ask(store: Store, timeout_s: float = 1.0) -> int:
    async with store.connection(timeout_s=timeout_s) as connection:
        row = await (await connection.execute("SELECT 1")).fetchone()
        assert row is not None
        return int(row[0])


async def ask_until_answered(store: Store) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                assert await ask(store) == 1
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_silent_network_ends_the_block_and_heals(far_store: Store, proxy: BreakableProxy) -> None:
    assert await ask(far_store) == 1

    async def ask_into_silence() -> None:
        async with far_store.connection(timeout_s=1.0) as connection:
            proxy.go_silent()
            await connection.execute("SELECT 1")

    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="within 1 s"):
        await ask_into_silence()
    with pytest.raises(StoreUnavailable):
        await ask(far_store)
    assert time.monotonic() - began < 6  # the limit of the block, not the ten seconds of a cancel
    proxy.heal()
    await ask_until_answered(far_store)


async def test_a_cut_heals(far_store: Store, proxy: BreakableProxy) -> None:
    assert await ask(far_store) == 1
    proxy.cut()
    await ask_until_answered(far_store)


async def test_listening_notices_silence(
    far_store: Store, proxy: BreakableProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "LISTEN_CHECK_S", 0.2)
    async with asyncio.timeout(30), aclosing(far_store.listen("wangge_facts")) as notices:
        assert (await anext(notices)).fresh
        waiting = asyncio.ensure_future(anext(notices))
        proxy.go_silent()
        await asyncio.sleep(1.0)
        proxy.cut()
        proxy.heal()
        assert (await waiting).fresh
