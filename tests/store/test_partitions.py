"""Day partitions: made once however many ask, attached without stopping writers, with every index of the table."""

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg

from core.lane import FAMILIES
from store.partitions import DAY_MS, day_of, ensure_days, existing_days, make_ahead, partition_name
from store.session import connect

NOW_MS = 1_795_527_045_000
TODAY = day_of(NOW_MS)


def test_days_and_names() -> None:
    assert day_of(0) == 0
    assert day_of(-1) == -1
    assert partition_name("fixes", TODAY) == "fixes_20261124"


def test_many_sessions_make_the_same_days(migrated_dsn: str) -> None:
    barrier = threading.Barrier(6)

    def make(_: int) -> None:
        with connect(migrated_dsn) as connection:
            barrier.wait(10)
            ensure_days(connection, "fixes", range(TODAY, TODAY + 5))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(make, range(6)))
    with connect(migrated_dsn) as connection:
        assert existing_days(connection, "fixes") == set(range(TODAY, TODAY + 5))
        ensure_days(connection, "fixes", [TODAY])


def test_every_family_ahead_with_its_indexes(migrated_dsn: str) -> None:
    with connect(migrated_dsn) as connection:
        make_ahead(connection, NOW_MS)
        for table in FAMILIES.values():
            assert existing_days(connection, table) == set(range(TODAY - 1, TODAY + 8))
            count = "SELECT count(*) FROM pg_indexes WHERE tablename = %s"
            of_table = connection.execute(count, (table,)).fetchone()
            of_day = connection.execute(count, (partition_name(table, TODAY),)).fetchone()
            assert of_table == of_day
        connection.execute(
            "INSERT INTO quarantine (received_at, batch_id, via, kind, reason, raw) "
            "SELECT to_timestamp(%s / 1000.0), 1, 'x', 'x', 'x', '' FROM generate_series(1, 2)",
            (NOW_MS,),
        )
        rows = connection.execute("SELECT count(DISTINCT id) FROM quarantine").fetchone()
        assert rows == (2,)


def test_a_writer_and_a_reader_are_not_stopped(migrated_dsn: str) -> None:
    with connect(migrated_dsn) as connection, connect(migrated_dsn) as other:
        ensure_days(connection, "fixes", [TODAY])
        with other.transaction():
            other.execute("SELECT count(*) FROM fixes")
            other.execute(
                "INSERT INTO fixes (fixed_at, received_at, digest, batch_id, device, flags, lane, datum) "
                "VALUES (to_timestamp(%s), now(), 1, 1, 1, 0, 1, 0)",
                (NOW_MS / 1000,),
            )
            connection.execute("SET lock_timeout = '3s'")
            ensure_days(connection, "fixes", [TODAY + 1])


def test_the_edge_of_a_day(migrated_dsn: str) -> None:
    with connect(migrated_dsn) as connection:
        ensure_days(connection, "fixes", [TODAY])
        for at_ms, fits in ((TODAY * DAY_MS, True), ((TODAY + 1) * DAY_MS - 1, True), ((TODAY + 1) * DAY_MS, False)):
            try:
                connection.execute(
                    "INSERT INTO fixes (fixed_at, received_at, digest, batch_id, device, flags, lane, datum) "
                    "VALUES (to_timestamp(%s / 1000.0), now(), 1, 1, 1, 0, 1, 0)",
                    (at_ms,),
                )
            except psycopg.errors.CheckViolation:
                assert not fits
            else:
                assert fits
