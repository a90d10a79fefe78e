"""Migrations: upgraded equals fresh, on the major under test; edited, newer, failing and concurrent ones are clear."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from core.errors import StoreError, StoreUnavailable
from store import migrate as module
from store.embedded import EmbeddedPostgres
from store.migrate import FOLDER, check, migrate, read_folder
from tests.store.catalogue import catalogue
from tests.support.postgres import PG_MAJOR, reachable_folder

NUMBERS = sorted({m.number for m in read_folder()})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "migrations"))


USED = {
    "workers": "INSERT INTO workers (id, name) VALUES ('w1', '张三') ON CONFLICT DO NOTHING",
    "fixes": """
        CREATE TABLE IF NOT EXISTS fixes_20260101 PARTITION OF fixes
            FOR VALUES FROM ('2026-01-01Z') TO ('2026-01-02Z');
        INSERT INTO fixes (fixed_at, received_at, digest, batch_id, device, flags, lane, datum)
            VALUES ('2026-01-01 08:00Z', now(), 1, 1, 1, 0, 1, 0) ON CONFLICT DO NOTHING""",
    "quarantine": """
        CREATE TABLE IF NOT EXISTS quarantine_20260101 PARTITION OF quarantine
            FOR VALUES FROM ('2026-01-01Z') TO ('2026-01-02Z');
        INSERT INTO quarantine (received_at, batch_id, via, kind, reason, raw)
            VALUES ('2026-01-01 08:00Z', 1, 'http', 'malformed', 'no json', '{')""",
}


def use_what_is_there(dsn: str) -> None:
    """Rows and partitions as a running service of that version would have left them."""
    with psycopg.connect(dsn) as connection:
        tables = {row[0] for row in connection.execute("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')")}
        for table, statements in USED.items():
            if table in tables:
                connection.execute(statements.encode())


def test_upgraded_equals_fresh(dsn: str, migrated_dsn: str) -> None:
    for number in NUMBERS:
        migrate(dsn, "plain", up_to=number)
        use_what_is_there(dsn)
    assert catalogue(dsn) == catalogue(migrated_dsn)
    with psycopg.connect(dsn) as connection:
        ledgers = connection.execute("SELECT file, sha256 FROM schema_migrations ORDER BY 1").fetchall()
    with psycopg.connect(migrated_dsn) as connection:
        assert ledgers == connection.execute("SELECT file, sha256 FROM schema_migrations ORDER BY 1").fetchall()


def test_the_other_major_runs_them_too() -> None:
    other = 16 if PG_MAJOR == 18 else 18
    with reachable_folder() as folder, EmbeddedPostgres(folder, major=other) as server:
        assert migrate(server.dsn).pending == ()
        use_what_is_there(server.dsn)
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("SELECT id FROM quarantine").fetchone() == (1,)


def test_a_second_run_changes_nothing(dsn: str) -> None:
    first = migrate(dsn)
    assert (first.flavour, first.pending) == ("plain", ())
    assert migrate(dsn) == first == check(dsn)


def test_check_of_an_empty_database_lists_everything_and_changes_nothing(dsn: str) -> None:
    state = check(dsn)
    assert state.flavour is None
    assert state.applied == ()
    assert "0003_facts.plain.sql" in state.pending
    assert state.durability.refusal() is None
    assert catalogue(dsn) == []


def test_edited_migration_is_named(dsn: str, folder: Path) -> None:
    migrate(dsn, folder=folder)
    with (folder / "0002_registry.sql").open("a") as file:
        file.write("-- a late thought\n")
    for call in (migrate, check):
        with pytest.raises(StoreError, match=r"0002_registry\.sql was edited"):
            call(dsn, folder=folder)


def test_newer_database_is_named(dsn: str, folder: Path) -> None:
    (folder / "9000_future.sql").write_text("CREATE TABLE future (id int)")
    migrate(dsn, folder=folder)
    with pytest.raises(StoreError, match="made by a newer version"):
        migrate(dsn)


def test_migration_with_a_number_already_passed_is_refused(dsn: str, folder: Path) -> None:
    migrate(dsn, folder=folder)
    (folder / "0001_foundation.plain.sql").write_text("SELECT 1")
    with pytest.raises(StoreError, match="next free number"):
        migrate(dsn, folder=folder)


def test_failing_migration_leaves_the_earlier_ones(dsn: str, folder: Path) -> None:
    (folder / "9000_a.sql").write_text("CREATE TABLE before_it (id int)")
    (folder / "9001_b.sql").write_text("CREATE TABLE half (id int); SELECT no_such_column")
    with pytest.raises(StoreError, match=r"9001_b\.sql failed.*no_such_column"):
        migrate(dsn, folder=folder)
    assert check(dsn, folder=folder).pending == ("9001_b.sql",)
    (folder / "9001_b.sql").write_text("CREATE TABLE half (id int)")
    assert migrate(dsn, folder=folder).pending == ()


def test_only_one_process_migrates_at_a_time(dsn: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        states = list(threads.map(lambda _: migrate(dsn), range(4)))
    assert len({s.applied for s in states}) == 1


def test_waiting_for_another_migration_ends(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOCK_WAIT", "50ms")
    with psycopg.connect(dsn) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (module._LOCK,))
        with pytest.raises(StoreUnavailable, match="Another process is migrating"):
            migrate(dsn)


def test_the_flavour_is_for_life(migrated_dsn: str) -> None:
    with pytest.raises(StoreError, match="made for plain"):
        migrate(migrated_dsn, "timescale")


def test_timescale_without_the_extension_says_so(dsn: str) -> None:
    with pytest.raises(StoreError, match="TimescaleDB"):
        migrate(dsn, "timescale")
    assert catalogue(dsn) == [line for line in catalogue(dsn) if "schema_migrations" in line]


@pytest.mark.parametrize("name", ["1_short.sql", "0001-dash.sql", "0001_x.oracle.sql"])
def test_names_that_do_not_fit(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(StoreError, match="is no migration"):
        read_folder(tmp_path)


def test_two_migrations_with_one_number(tmp_path: Path) -> None:
    for name in ("0001_a.sql", "0001_b.sql"):
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(StoreError, match="Two migrations have the number 0001"):
        read_folder(tmp_path)
