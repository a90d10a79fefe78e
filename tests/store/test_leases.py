"""Leases: one holder, fenced by its epoch in the writing transaction; a stopped holder never becomes a second actor."""

import asyncio
import os
import signal
import subprocess
import sys

import psycopg
import pytest

from core.errors import LeaseLost
from store.leases import Lease
from store.pool import Store
from store.ready import ReadyHeart, ready_spans

HOLDER = """
import asyncio, sys
from store.leases import Lease
from store.pool import Store

async def main(dsn):
    async with Store(dsn) as store:
        lease = Lease(store, "engine", "first", ttl_s=1.0)
        assert await lease.acquire()
        n = 0
        while True:
            async with store.transaction() as connection:
                await lease.fence(connection)
                await connection.execute("INSERT INTO acted (who, epoch) VALUES ('first', %s)", (lease.epoch,))
                if n % 2:
                    await asyncio.sleep(0.02)
            await lease.renew()
            n += 1
            print(n, flush=True)

asyncio.run(main(sys.argv[1]))
"""


async def test_one_holder_and_the_next_after_release(store: Store) -> None:
    one, two = Lease(store, "engine", "one"), Lease(store, "engine", "two")
    assert await one.acquire()
    assert not await two.acquire()
    await one.renew()
    await one.release()
    assert await two.acquire()
    assert two.epoch == 2
    with pytest.raises(LeaseLost):
        await one.renew()


async def test_an_expired_lease_is_fenced_off(store: Store) -> None:
    one, two = Lease(store, "engine", "one", ttl_s=0.2), Lease(store, "engine", "two")
    assert await one.acquire()
    epoch = one.epoch
    await asyncio.sleep(0.3)
    assert await two.acquire()
    one.epoch = epoch
    with pytest.raises(LeaseLost):
        async with store.transaction() as connection:
            await one.fence(connection)


async def test_a_takeover_waits_for_a_fenced_transaction(store: Store) -> None:
    """The old holder's transaction that passed the fence commits before the new holder can act at all."""
    one, two = Lease(store, "engine", "one", ttl_s=0.3), Lease(store, "engine", "two")
    assert await one.acquire()
    async with store.transaction() as connection:
        await one.fence(connection)
        await asyncio.sleep(0.4)
        async with asyncio.TaskGroup() as group:
            takeover = group.create_task(two.acquire())
            await asyncio.sleep(0.3)
            assert not takeover.done()
            await connection.execute("SELECT 1")
            await connection.execute("COMMIT")
            await connection.execute("BEGIN")
    assert takeover.result()


async def test_a_stopped_holder_is_replaced_and_never_acts_again(store: Store) -> None:
    with psycopg.connect(store.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE acted (id serial, who text, epoch bigint)")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, store.dsn, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            for _ in range(5):
                await process.stdout.readline()
            os.kill(process.pid, signal.SIGSTOP)
            second = Lease(store, "engine", "second", ttl_s=30.0)
            while not await second.acquire():  # noqa: ASYNC110 - polls with a deadline
                await asyncio.sleep(0.1)
            os.kill(process.pid, signal.SIGCONT)
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    async with store.transaction() as connection:
        await second.fence(connection)
        cursor = await connection.execute("SELECT max(epoch), count(*) FROM acted")
        row = await cursor.fetchone()
    assert b"LeaseLost" in errors or b"StoreUnavailable" in errors
    assert row is not None
    assert row[0] == 1
    assert second.epoch == 2


async def test_ready_heart_extends_one_span(store: Store) -> None:
    heart = ReadyHeart(store, "ingest", "a")
    for _ in range(3):
        await heart.beat()
    async with store.connection() as connection:
        spans = await ready_spans(connection, "ingest", 0)
        assert len(spans) == 1
        assert spans[0][0] <= spans[0][1]
        await connection.execute(
            "UPDATE ready_spans SET since = since - interval '1 h', until = until - interval '1 h'"
        )
        await heart.beat()
        assert len(await ready_spans(connection, "ingest", 0)) == 2
        assert len(await ready_spans(connection, "ingest", spans[0][1] - 1)) == 1
