"""TimescaleDB executed: schema, columnstore, late rows in old chunks, refresh inside the retention."""

import psycopg
import pytest

from core.lane import FIX, Lane
from store import timescale
from store.migrate import migrate, read_folder
from store.pool import Store
from store.session import connect
from store.settings import RetentionSettings
from store.tail import Tail
from tests.store.catalogue import catalogue
from tests.store.days import HOUR_MS, days_ago, fix, rows
from tests.support.facts import FactWriter, instant

NUMBERS = sorted({m.number for m in read_folder()})


@pytest.fixture
def empty_timescale_dsn(timescale_dsn: str) -> str:
    """The same database with everything of ours taken out again."""
    with psycopg.connect(timescale_dsn, autocommit=True) as connection:
        connection.execute("DROP EXTENSION timescaledb CASCADE")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return timescale_dsn


def test_upgraded_equals_fresh(timescale_dsn: str, request: pytest.FixtureRequest) -> None:
    fresh = catalogue(timescale_dsn)
    dsn = request.getfixturevalue("empty_timescale_dsn")
    for number in NUMBERS:
        migrate(dsn, up_to=number)
    assert migrate(dsn).flavour == "timescale"
    assert catalogue(dsn) == fresh


def test_columns_and_views_are_the_same_in_both_flavours(timescale_dsn: str, migrated_dsn: str) -> None:
    def columns(dsn: str) -> list[str]:
        shared = ("fixes |", "pos_records |", "quarantine |", "fixes_per_hour |", "transactions_per_hour |")
        shared += ("camera_facts |", "camera_quality_per_hour |", "footage_runs |", "footage_segments |")
        return [line for line in catalogue(dsn) if line.startswith(tuple(f"column: {table}" for table in shared))]

    def nullable(line: str) -> str:
        return line.replace("True", "").replace("False", "")

    assert list(map(nullable, columns(timescale_dsn))) == list(map(nullable, columns(migrated_dsn)))


async def test_late_rows_reach_chunks_in_the_columnstore_once(timescale_dsn: str) -> None:
    with FactWriter(timescale_dsn) as writer:
        writer.fixes([fix(days_ago(20) + n * 1000) for n in range(500)])
        compressed = writer.connection.execute(
            "SELECT compress_chunk(c)::text FROM show_chunks('fixes') AS c"
        ).fetchall()
        assert len(compressed) == 1
        insert = (
            "INSERT INTO fixes (fixed_at, received_at, digest, batch_id, device, flags, lane, datum)"
            " VALUES (to_timestamp(%s / 1000.0), now(), %s, 9, 1, 0, 2, 0) ON CONFLICT DO NOTHING"
        )
        again, late = days_ago(20) + 1000, days_ago(20) + 1500
        assert writer.connection.execute(insert, (again, again)).rowcount == 0
        assert writer.connection.execute(insert, (late, late)).rowcount == 1
    async with Store(timescale_dsn) as store:
        assert await rows(store, "SELECT count(*), count(DISTINCT digest) FROM fixes") == [(501, 501)]
        assert await rows(store, "SELECT count(*) FROM fixes WHERE batch_id = 9") == [(1,)]


async def test_the_tail_reads_hypertables_compressed_or_not_in_commit_order(timescale_dsn: str) -> None:
    async with Store(timescale_dsn) as store:
        tail = Tail(store, "t", FIX, Lane.LIVE)
        with FactWriter(timescale_dsn) as writer:
            writer.fixes([fix(days_ago(20) + n, digest=n) for n in range(3)])
            writer.fixes([fix(days_ago(1), digest=7), fix(days_ago(20) + 9, digest=9)])
            writer.connection.execute("SELECT compress_chunk(c) FROM show_chunks('fixes') AS c")
            writer.fixes([fix(days_ago(20) + 5, digest=5)])
        part = await tail.slice(100)
        assert part is not None
        assert [f.digest for f in part.facts] == [0, 1, 2, 9, 7, 5]


def test_bulk_writing_drops_duplicates_in_hypertables(timescale_dsn: str) -> None:
    with connect(timescale_dsn) as connection:
        columns = "fixed_at, received_at, digest, batch_id, device, flags, lane, datum"
        connection.execute(f"CREATE TEMPORARY TABLE staging AS SELECT {columns} FROM fixes WITH NO DATA".encode())
        key = "device, fixed_at, digest"
        insert = f"INSERT INTO fixes ({columns}) SELECT {columns} FROM staging ON CONFLICT ({key}) DO NOTHING"
        with connection.cursor() as cursor, cursor.copy(f"COPY staging ({columns}) FROM STDIN") as copy:
            for n in range(1000):
                at = instant(days_ago(n % 10))
                copy.write_row([at, at, n // 2, 1, 1, 0, 1, 0])
        assert connection.execute(insert.encode()).rowcount == 1000
        assert connection.execute(insert.encode()).rowcount == 0


async def test_aggregates_survive_dropped_chunks_and_take_late_rows(timescale_dsn: str) -> None:
    start = days_ago(100) // HOUR_MS * HOUR_MS
    figures = "SELECT device, fixes FROM fixes_per_hour ORDER BY hour, 1"

    def refresh(connection: psycopg.Connection[tuple[object, ...]]) -> None:
        connection.execute("CALL refresh_continuous_aggregate('fix_hours', %s::timestamptz, %s::timestamptz)", window)

    window = ("2026-06-01Z", "2026-11-24Z")
    async with Store(timescale_dsn) as store:
        with FactWriter(timescale_dsn) as writer:
            writer.fixes([fix(start), fix(start + 1)])
            refresh(writer.connection)
            writer.fixes([fix(start + 2)])
            assert await rows(store, figures) == [(1, 2)]
            refresh(writer.connection)
            assert await rows(store, figures) == [(1, 3)]
        async with store.transaction() as connection:
            assert len(await timescale.drop_chunks(connection, "fixes", days_ago(90))) == 1
        assert await rows(store, "SELECT count(*) FROM fixes") == [(0,)]
        assert await rows(store, figures) == [(1, 3)]


async def test_the_refresh_window_follows_the_retention(timescale_dsn: str) -> None:
    offsets = (
        "SELECT config->>'start_offset' FROM timescaledb_information.jobs"
        " WHERE proc_name = 'policy_refresh_continuous_aggregate' ORDER BY 1"
    )
    async with Store(timescale_dsn) as store:
        async with store.transaction() as connection:
            assert await timescale.keep_refresh_inside(connection, RetentionSettings()) == []
            changed = await timescale.keep_refresh_inside(connection, RetentionSettings(fixes_days=60))
        assert changed == ["fix_hours"]
        assert await rows(store, offsets) == [("399 days",), ("59 days",), ("89 days",)]
