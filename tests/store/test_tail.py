"""The tail: commit order without holes, whatever transactions of others are open; parts of large batches."""

import asyncio

import psycopg
import pytest

from core.errors import Conflict
from core.fix import StoredFix
from core.lane import FIX, Lane
from store.pool import Store
from store.tail import Position, Tail
from store.wake import Wake
from tests.support.facts import FactWriter

AT_MS = 1_795_500_000_000


def fix(n: int, device: int = 1) -> StoredFix:
    return StoredFix(device, AT_MS + n * 1000, AT_MS + n * 1000 + 80, n, 26.4, 111.6, 0, 1, accuracy_m=5.0, battery=0.5)


async def read_all(store: Store, tail: Tail, rows: int = 100) -> list[int]:
    found: list[int] = []
    while part := await tail.slice(rows):
        found += [f.digest for f in part.facts]
        async with store.transaction() as connection:
            await tail.advance(connection, *part.end)
        tail.moved(part.end)
    return found


async def test_facts_come_back_as_written(store: Store) -> None:
    with FactWriter(store.dsn) as writer:
        writer.fixes([fix(1), fix(2)])
    tail = Tail(store, "t", FIX, Lane.LIVE)
    part = await tail.slice(10)
    assert part is not None
    assert list(part.facts) == [fix(1), fix(2)]
    assert not part.rows_left


async def test_two_interleaved_writers_leave_no_hole(store: Store) -> None:
    """The batch id drawn first commits last: a plain sequence would skip it, the tail must not."""
    tail = Tail(store, "t", FIX, Lane.LIVE)
    with FactWriter(store.dsn) as slow, FactWriter(store.dsn) as fast:
        fast.fixes([fix(0)])  # makes the partition
        slow.connection.execute("BEGIN")
        slow.connection.execute("SELECT nextval('batch_ids')")
        fast.fixes([fix(1)])
        assert await read_all(store, tail) == [0, 1]
        slow.connection.execute("COMMIT")
        slow.fixes([fix(2)])
        fast.fixes([fix(3)])
        assert await read_all(store, tail) == [2, 3]


async def test_a_writer_in_its_last_statement_holds_up_its_own_family_only(store: Store) -> None:
    with FactWriter(store.dsn) as first, FactWriter(store.dsn) as second:
        first.fixes([fix(0)])
        loop = asyncio.get_running_loop()
        first.connection.execute("BEGIN")
        first.put_fixes([fix(1)], Lane.LIVE)  # has drawn its seq, not committed
        other = loop.run_in_executor(None, second.fixes, [fix(2)])
        tail = Tail(store, "t", FIX, Lane.LIVE)
        assert await read_all(store, tail) == [0]
        await asyncio.wait([other], timeout=0.2)
        assert not other.done()
        second_security = FactWriter(store.dsn)
        second_security.security([{"at_ms": AT_MS, "kind": "refused_credential"}])
        second_security.close()
        first.connection.execute("COMMIT")
        await other
        assert await read_all(store, tail) == [1, 2]


async def hold_foreign_transaction(store: Store, seconds: float, dsn_of_other: str) -> None:
    """Facts go on flowing while a foreign transaction with a transaction id and a snapshot stays open."""
    tail = Tail(store, "t", FIX, Lane.LIVE)
    loop = asyncio.get_running_loop()
    with psycopg.connect(dsn_of_other) as foreign, FactWriter(store.dsn) as writer:
        foreign.execute("CREATE TABLE foreign_work (n int)")
        foreign.execute("INSERT INTO foreign_work SELECT generate_series(1, 1000)")
        end = loop.time() + seconds
        n = 0
        while loop.time() < end:
            writer.fixes([fix(n)])
            assert await read_all(store, tail) == [n]
            n += 1
        foreign.rollback()
    assert n > 10


async def test_a_foreign_write_transaction_does_not_stop_the_tail(store: Store, pg_server: object) -> None:
    await hold_foreign_transaction(store, 1.0, store.dsn)


@pytest.mark.soak
async def test_a_foreign_write_transaction_for_a_minute(store: Store) -> None:
    await hold_foreign_transaction(store, 60.0, store.dsn)


async def test_large_batches_come_in_parts_and_parts_survive_a_restart(store: Store) -> None:
    with FactWriter(store.dsn) as writer:
        writer.fixes([fix(n) for n in range(25)], Lane.BACKFILL)
        writer.fixes([fix(n) for n in range(25, 30)], Lane.BACKFILL)
    tail = Tail(store, "t", FIX, Lane.BACKFILL)
    part = await tail.slice(10)
    assert part is not None
    assert [f.digest for f in part.facts] == list(range(10))
    assert part.rows_left
    async with store.transaction() as connection:
        await tail.advance(connection, *part.end)
    again = Tail(store, "t", FIX, Lane.BACKFILL)
    async with store.connection() as connection:
        assert await again.load(connection) == Position(0, 10)
    assert await read_all(store, again, 10) == list(range(10, 30))


async def test_a_second_reader_of_the_same_name_is_found_out(store: Store) -> None:
    with FactWriter(store.dsn) as writer:
        writer.fixes([fix(1)])
    one, two = Tail(store, "t", FIX, Lane.LIVE), Tail(store, "t", FIX, Lane.LIVE)
    assert await read_all(store, one) == [1]
    part = await two.slice(10)
    assert part is not None
    with pytest.raises(Conflict):
        async with store.transaction() as connection:
            await two.advance(connection, *part.end)


async def test_a_commit_wakes(store: Store) -> None:
    wake = Wake()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        listener = group.create_task(wake.listen(store))
        await wake.wait(10)
        wake.spread([])
        with FactWriter(store.dsn) as writer:
            await asyncio.to_thread(writer.fixes, [fix(1)], Lane.URGENT)
        await wake.wait(10)
        assert wake.take(FIX, Lane.URGENT)
        assert not wake.take(FIX, Lane.LIVE)
        listener.cancel()
