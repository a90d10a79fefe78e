"""The pool: outages become StoreUnavailable and heal, undurable servers are refused, listening survives a cut."""

import asyncio
from contextlib import aclosing

import psycopg
import pytest

from core.errors import ConfigurationError, StoreError, StoreUnavailable
from store.embedded import EmbeddedPostgres
from store.pool import Store
from store.session import connect


def cut_all(pg_server: EmbeddedPostgres, dsn: str) -> None:
    """Ends every session on the database of `dsn`, as a restart of the server does."""
    with psycopg.connect(pg_server.admin_dsn, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (dsn.rpartition("/")[2],)
        )


async def count(store: Store) -> int:
    async with store.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM workers")).fetchone()
        assert row is not None
        return int(row[0])


async def add_worker(store: Store, name: str) -> None:
    async with store.transaction() as connection:
        await connection.execute("INSERT INTO workers (id, name) VALUES (%s, %s)", (name, name))


async def test_sessions_are_utc_with_limits(store: Store) -> None:
    async with store.connection() as connection:
        row = await (
            await connection.execute("SELECT current_setting('TimeZone'), current_setting('statement_timeout')")
        ).fetchone()
    assert row == ("UTC", "30s")
    assert store.durability is not None
    assert store.durability.refusal() is None


async def test_transaction_commits_or_rolls_back(store: Store) -> None:
    async def break_off() -> None:
        async with store.transaction() as connection:
            await connection.execute("INSERT INTO workers (id, name) VALUES ('lost', 'lost')")
            raise ZeroDivisionError

    await add_worker(store, "kept")
    with pytest.raises(ZeroDivisionError):
        await break_off()
    assert await count(store) == 1


async def test_a_cut_connection_is_unavailable_and_the_next_one_works(
    store: Store, pg_server: EmbeddedPostgres
) -> None:
    async def lose_it() -> None:
        async with store.transaction() as connection:
            await connection.execute("INSERT INTO workers (id, name) VALUES ('lost', 'lost')")
            await asyncio.to_thread(cut_all, pg_server, store.dsn)
            await connection.execute("SELECT 1")

    with pytest.raises(StoreUnavailable):
        await lose_it()
    assert await count(store) == 0


async def test_idle_connections_that_were_cut_are_not_handed_out(store: Store, pg_server: EmbeddedPostgres) -> None:
    assert await count(store) == 0
    await asyncio.to_thread(cut_all, pg_server, store.dsn)
    assert await count(store) == 0


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("SET statement_timeout = '20ms'; SELECT pg_sleep(5)", "longer than its limit"),
        ("SET transaction_read_only = on; INSERT INTO workers (id, name) VALUES ('x', 'x')", "read-only"),
        ("DO $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$", "disk is full"),
        ("DO $$ BEGIN RAISE EXCEPTION 'bye' USING ERRCODE = '57P01'; END $$", "shut down"),
    ],
)
async def test_states_that_mean_try_again(store: Store, statement: str, why: str) -> None:
    with pytest.raises(StoreUnavailable, match=why):
        async with store.transaction() as connection:
            await connection.execute(statement.encode())


async def test_our_own_mistakes_stay_what_they_are(store: Store) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        async with store.connection() as connection:
            await connection.execute("SELECT * FROM no_such_table")
    with pytest.raises(TimeoutError):
        async with store.connection():
            raise TimeoutError("of the caller")


async def test_a_block_ends_when_the_server_does_not_answer(store: Store) -> None:
    with pytest.raises(StoreUnavailable, match=r"within 0\.05 s"):
        async with store.connection(timeout_s=0.05) as connection:
            await connection.execute("SELECT pg_sleep(20)")
    assert await count(store) == 0


async def test_no_free_connection_is_unavailable(migrated_dsn: str) -> None:
    async with Store(migrated_dsn, max_size=1, acquire_timeout_s=0.05) as store, store.connection():
        with pytest.raises(StoreUnavailable, match="no connection was free"):
            await count(store)


async def test_a_server_that_is_not_there() -> None:
    store = Store("postgresql://wangge:sesame@127.0.0.1:1/wangge")
    with pytest.raises(StoreUnavailable) as caught:
        await store.open(wait_s=1)
    assert "sesame" not in str(caught.value)
    with pytest.raises(StoreUnavailable, match="not open"):
        await count(store)
    with pytest.raises(StoreUnavailable):
        connect(store.dsn)


@pytest.mark.parametrize("dsn", ["mysql//secret@x", "host='secret"])
def test_a_text_that_is_no_dsn_is_not_repeated(dsn: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Store(dsn)
    assert "secret" not in str(caught.value)


async def test_an_undurable_server_is_refused_unless_only_checking(migrated_dsn: str) -> None:
    name = migrated_dsn.rpartition("/")[2]
    with psycopg.connect(migrated_dsn, autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    with pytest.raises(StoreError, match="synchronous_commit off"):
        await Store(migrated_dsn).open()
    with pytest.raises(StoreError, match="synchronous_commit off"):
        connect(migrated_dsn)
    with connect(migrated_dsn, only_checking=True):
        pass
    async with Store(migrated_dsn, only_checking=True) as store:
        assert await count(store) == 0
        assert store.durability is not None
        assert store.durability.synchronous_commit == "off"


async def test_a_server_that_turns_undurable_while_we_run(migrated_dsn: str, pg_server: EmbeddedPostgres) -> None:
    name = migrated_dsn.rpartition("/")[2]
    async with Store(migrated_dsn, acquire_timeout_s=0.5) as store:
        with psycopg.connect(migrated_dsn, autocommit=True) as owner:
            owner.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
        await asyncio.to_thread(cut_all, pg_server, migrated_dsn)
        with pytest.raises(StoreError, match="synchronous_commit off"):
            await count(store)


async def test_listening_hears_and_survives_a_cut(store: Store, pg_server: EmbeddedPostgres) -> None:
    async def notify(payload: str) -> None:
        async with store.connection() as connection:
            await connection.execute("SELECT pg_notify('wangge_facts', %s)", (payload,))

    async with asyncio.timeout(20), aclosing(store.listen("wangge_facts", "wangge_events")) as notices:
        assert [((n := await anext(notices)).channel, n.fresh) for _ in range(2)] == [
            ("wangge_facts", True),
            ("wangge_events", True),
        ]
        await notify("fix:1")
        assert (await anext(notices)).payload == "fix:1"
        await asyncio.to_thread(cut_all, pg_server, store.dsn)
        assert (await anext(notices)).fresh
        assert (await anext(notices)).fresh
        await notify("fix:2")
        assert (await anext(notices)).payload == "fix:2"


async def test_closing_while_a_task_listens(store: Store) -> None:
    heard = asyncio.Event()

    async def follow() -> None:
        async for _ in store.listen("wangge_facts"):
            heard.set()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(follow())
        await asyncio.wait_for(heard.wait(), 10)
        task.cancel()
    await store.close()
    assert not store._listening
