"""Backup, restore and upgrade, each from end to end with data."""

import json
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from core.errors import InvalidInput, StoreError
from store import upgrade as upgrading
from store.backup import backup, read_backup, restore, verify
from store.backup_manifest import check_base
from store.embedded import EmbeddedPostgres, binaries, destroy, write_run
from store.embedded.home import store_version
from store.upgrade import upgrade
from tests.support.postgres import PG_MAJOR, reachable_folder

MAKE = "CREATE TABLE fact (id bigint PRIMARY KEY, text text NOT NULL)"
FILL = "INSERT INTO fact SELECT i, md5(i::text) FROM generate_series(1, 5000) i"
DIGEST = "SELECT count(*), md5(string_agg(id || text, ',' ORDER BY id)) FROM fact WHERE id <= 5000"


def digest(dsn: str) -> object:
    with psycopg.connect(dsn) as connection:
        return connection.execute(DIGEST).fetchone()


def fill(dsn: str) -> object:
    with psycopg.connect(dsn) as connection:
        connection.execute(MAKE)
        connection.execute(FILL)
    return digest(dsn)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "global/pg_control": flip_a_bit,
    "PG_VERSION": lambda path: path.write_text("99999"),
    "pg_xact/0000": Path.unlink,
    "base/foreign": Path.touch,
    "backup_manifest": flip_a_bit,
}


class Writer:
    """Commits one row after the other until told to stop; knows the last acknowledged one."""

    def __init__(self, dsn: str) -> None:
        self._dsn, self._stop, self.last = dsn, threading.Event(), 10_000
        self._thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not self._stop.is_set():
                connection.execute("INSERT INTO fact VALUES (%s, 'while copying')", [self.last + 1])
                self.last += 1

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_base_backup_while_writing_restores_elsewhere(service_folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    with EmbeddedPostgres(service_folder, major=PG_MAJOR) as server:
        wanted = fill(server.dsn)
        with Writer(server.dsn) as writer:
            while writer.last < 10_050:
                pass
            acknowledged = writer.last
            made = backup(server, target)
    assert (made.kind, made.major) == ("base", PG_MAJOR)
    assert read_backup(target) == made == verify(target)
    assert target.stat().st_mode & 0o777 == 0o700
    with reachable_folder() as elsewhere:
        restore(target, elsewhere)
        with EmbeddedPostgres(elsewhere, major=PG_MAJOR) as restored:
            assert digest(restored.dsn) == wanted
            with psycopg.connect(restored.dsn) as connection:
                row = connection.execute("SELECT count(*) FROM fact WHERE id BETWEEN 10001 AND %s", [acknowledged])
                assert row.fetchone() == (acknowledged - 10_000,)
        with pytest.raises(StoreError, match="has a store already"):
            restore(target, elsewhere)


def test_backup_by_folder_with_and_without_its_service(service_folder: Path, tmp_path: Path) -> None:
    with EmbeddedPostgres(service_folder, major=PG_MAJOR) as server:
        fill(server.dsn)
        write_run(service_folder, {"dsn_file": str(server.dsn_file)})
        assert backup(service_folder, tmp_path / "running").kind == "base"
    (service_folder / "run.json").unlink()
    assert backup(service_folder, tmp_path / "stopped").kind == "base"


def test_dump_of_a_dsn_restores_into_folder_and_dsn(
    pg_server: EmbeddedPostgres, dsn: str, service_folder: Path, tmp_path: Path
) -> None:
    wanted = fill(dsn)
    assert backup(dsn, tmp_path / "dump").kind == "dump"
    with pytest.raises(StoreError, match="has a store already"):
        restore(tmp_path / "dump", dsn)
    restore(tmp_path / "dump", service_folder)
    with EmbeddedPostgres(service_folder) as server:
        assert digest(server.dsn) == wanted


def test_damaged_or_foreign_backup_is_refused(
    pg_server: EmbeddedPostgres, service_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="no backup"):
        restore(tmp_path, service_folder)
    backup(pg_server, tmp_path / "copy")
    with pytest.raises(InvalidInput, match="not empty"):
        backup(pg_server, tmp_path / "copy")
    base = tmp_path / "copy" / "base"
    for name, damage in DAMAGES.items():
        whole = (base / name).read_bytes() if (base / name).exists() else None
        damage(base / name)
        with pytest.raises(StoreError, match=name):
            restore(tmp_path / "copy", service_folder)
        (base / name).unlink(missing_ok=True)
        if whole is not None:
            (base / name).write_bytes(whole)
    verify(tmp_path / "copy")
    assert not (service_folder / "postgres").exists()


def test_our_check_agrees_with_pg_verifybackup_16(service_folder: Path, tmp_path: Path) -> None:
    """18's own pg_verifybackup in the wheel cannot run at all; 16's can."""
    with EmbeddedPostgres(service_folder, major=16) as server:
        fill(server.dsn)
        backup(server, tmp_path / "copy")
    base = tmp_path / "copy" / "base"
    assert check_base(base, binaries(16)) > 900
    subprocess.run([binaries(16) / "pg_verifybackup", "--exit-on-error", base], check=True, capture_output=True)


def test_failed_backup_leaves_nothing(tmp_path: Path) -> None:
    dsn = "postgresql://nobody:secret-word@127.0.0.1:1/none"
    with pytest.raises(Exception, match="does not take our connection") as caught:
        backup(dsn, tmp_path / "copy")
    assert "secret-word" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["pg_upgrade", "dump"])
def test_upgrade_16_to_18_keeps_every_row(service_folder: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedPostgres(service_folder, major=16) as server:
        wanted = fill(server.dsn)
        assert server.pid is not None
    if way == "dump":
        monkeypatch.setattr(upgrading, "_pg_upgrade", _cannot_run)
    done = upgrade(service_folder, 18)
    assert (done.from_major, done.to_major, done.way) == (16, 18, way)
    assert store_version(service_folder) == 18
    assert [path.name for path in service_folder.iterdir() if "old" in path.name or "upgrade" in path.name] == []
    with EmbeddedPostgres(service_folder, major=18) as server:
        assert digest(server.dsn) == wanted
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("SHOW data_checksums").fetchone() == ("on",)
            connection.execute("CREATE TABLE ours (id int)")  # the role still owns its database
    assert upgrade(service_folder, 18).way == "none"
    with pytest.raises(InvalidInput, match="cannot go back"):
        upgrade(service_folder, 16)


def test_upgrade_that_fails_leaves_the_old_store(service_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedPostgres(service_folder, major=16) as server:
        wanted = fill(server.dsn)
    monkeypatch.setattr(upgrading, "_pg_upgrade", _cannot_run)
    monkeypatch.setattr(upgrading, "_dump_and_restore", _cannot_run)
    with pytest.raises(StoreError, match="cannot run here"):
        upgrade(service_folder, 18)
    with EmbeddedPostgres(service_folder, major=16) as server:
        assert digest(server.dsn) == wanted


def test_upgrade_cut_between_its_renames_rolls_back(service_folder: Path) -> None:
    with EmbeddedPostgres(service_folder, major=16) as server:
        wanted = fill(server.dsn)
        home = server.store_dir
    os.rename(home / "postgres", home / "postgres.old-16")
    with EmbeddedPostgres(service_folder, major=16) as server:
        assert digest(server.dsn) == wanted


def test_upgrade_while_the_service_lives_is_refused(service_folder: Path) -> None:
    with EmbeddedPostgres(service_folder, major=16), pytest.raises(StoreError, match="second instance"):
        upgrade(service_folder, 18)


def test_manifest_is_readable_json(pg_server: EmbeddedPostgres, tmp_path: Path) -> None:
    backup(pg_server, tmp_path / "copy")
    fields = json.loads((tmp_path / "copy" / "backup.json").read_text())
    assert fields["major"] == PG_MAJOR
    assert fields["size_bytes"] > 1_000_000
    destroy(tmp_path)


def _cannot_run(*_: object) -> None:
    raise StoreError("It cannot run here.")
