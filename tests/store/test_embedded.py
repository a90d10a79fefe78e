"""The embedded store as a service meets it: settings, one service a folder, clear refusals."""

import os
import resource
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from core.errors import ConfigurationError, StoreError, StoreUnavailable
from store.embedded import EmbeddedPostgres, binaries, destroy, read_run, running, write_run
from store.embedded.account import system_folder
from tests.support.postgres import PG_MAJOR, reachable_folder

OTHER_MAJOR = {16: 18, 18: 16}[PG_MAJOR]


def test_application_dsn_is_no_superuser_and_durability_is_on(pg_server: EmbeddedPostgres, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
        for setting in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
            assert connection.execute("SELECT current_setting(%s)", [setting]).fetchone() == ("on",)
        assert connection.info.server_version // 10_000 == PG_MAJOR
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)
        assert connection.execute("SELECT 'ä' < 'z', upper('ä')").fetchone() == (False, "Ä")


def test_only_loopback_and_only_with_the_password(pg_server: EmbeddedPostgres) -> None:
    with psycopg.connect(pg_server.admin_dsn) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("SHOW unix_socket_directories").fetchone() == ("",)
        kinds = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
        assert kinds == [("scram-sha-256",)]
        hashes = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolcanlogin").fetchall()
        assert all(str(word).startswith("SCRAM-SHA-256$") for (word,) in hashes)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(pg_server.dsn, password="guess")


def test_secrets_are_private_files(pg_server: EmbeddedPostgres) -> None:
    for name in ("store.password", "store.dsn", "store.admin.dsn"):
        assert (pg_server.folder / name).stat().st_mode & 0o777 == 0o600
    assert pg_server.dsn_file.read_text().strip() == pg_server.dsn
    assert pg_server.dsn not in Path(pg_server.folder / "postgres.log").read_text()
    assert (pg_server.store_dir / "postgres").stat().st_mode & 0o777 == 0o700


def test_other_major_works_and_is_not_mistaken(service_folder: Path) -> None:
    with EmbeddedPostgres(service_folder, major=OTHER_MAJOR) as server, psycopg.connect(server.dsn) as connection:
        assert connection.info.server_version // 10_000 == OTHER_MAJOR
    with pytest.raises(StoreError, match=f"made by PostgreSQL {OTHER_MAJOR}.*wangge store upgrade"):
        EmbeddedPostgres(service_folder, major=PG_MAJOR).start()
    with EmbeddedPostgres(service_folder, major=OTHER_MAJOR) as server:
        assert server.is_alive()


def test_start_and_stop_are_repeatable_and_keep_the_port(service_folder: Path) -> None:
    server = EmbeddedPostgres(service_folder, major=PG_MAJOR)
    server.start()
    port, pid = server.port, server.pid
    server.start()
    assert server.pid == pid
    server.stop()
    server.stop()
    assert (server.is_alive(), server.pid) == (False, None)
    server.start()
    assert server.port == port
    server.stop()


def test_lost_password_file_is_replaced(service_folder: Path) -> None:
    with EmbeddedPostgres(service_folder, major=PG_MAJOR) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    (service_folder / "store.password").unlink()
    with EmbeddedPostgres(service_folder, major=PG_MAJOR) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("SELECT FROM kept")


def test_second_instance_is_refused_while_the_first_lives(service_folder: Path) -> None:
    with EmbeddedPostgres(service_folder, major=PG_MAJOR) as first:
        write_run(service_folder, {"http": "http://127.0.0.1:1"})
        assert running(service_folder) == {"pid": os.getpid(), "http": "http://127.0.0.1:1"}
        code = (
            "import sys; from pathlib import Path; from store.embedded import EmbeddedPostgres\n"
            "try: EmbeddedPostgres(Path(sys.argv[1])).start()\n"
            "except Exception as error: print(type(error).__name__, error)"
        )
        done = subprocess.run([sys.executable, "-c", code, service_folder], capture_output=True, text=True, check=True)
        assert f"StoreError A second instance cannot use {service_folder}: process {os.getpid()}" in done.stdout
        assert first.is_alive()
        with pytest.raises(StoreError, match="second instance"):
            destroy(service_folder)


def test_stale_run_json_is_no_second_instance(service_folder: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "print('wangge')"], stdout=subprocess.DEVNULL)
    child.wait()
    write_run(service_folder, {"pid": child.pid})
    assert running(service_folder) is None
    with EmbeddedPostgres(service_folder, major=PG_MAJOR) as server:
        assert server.is_alive()
    stranger = subprocess.Popen(["/bin/sleep", "60"])  # lives, and is no wangge
    try:
        write_run(service_folder, {"pid": stranger.pid})
        assert running(service_folder) is None
        run_file = service_folder / "run.json"
        write_run(service_folder, {"pid": 1})
        os.utime(run_file, (0, 0))  # written long before process 1 began: the number was used again
        assert running(service_folder) is None
        run_file.write_text("{half")
        assert read_run(service_folder) is None
    finally:
        stranger.kill()
        stranger.wait()


def test_busy_port_is_named(service_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StoreError, match=f"Port {port} on 127.0.0.1 is busy"):
            EmbeddedPostgres(service_folder, major=PG_MAJOR, port=port).start()
    with EmbeddedPostgres(service_folder, major=PG_MAJOR, port=port) as server:  # nothing was left running or locked
        assert server.port == port


@pytest.mark.parametrize("extra", [{"fsync": "off"}, {"Synchronous_Commit": "local"}, {"port": "1"}, {"a'b": "1"}])
def test_settings_that_are_not_for_sale(tmp_path: Path, extra: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"store\.settings"):
        EmbeddedPostgres(tmp_path, extra_settings=extra)


def test_extra_settings_reach_the_server_and_outrank_nothing_durable(service_folder: Path) -> None:
    extra = {"work_mem": "12MB", "fsync": "on"}
    server = EmbeddedPostgres(service_folder, major=PG_MAJOR, extra_settings=extra)
    with server, psycopg.connect(server.admin_dsn, autocommit=True) as admin:
        assert admin.execute("SHOW work_mem").fetchone() == ("12MB",)
        admin.execute("ALTER SYSTEM SET fsync = off")
    with EmbeddedPostgres(service_folder, major=PG_MAJOR) as server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"major": 17}, "17 is not in the wheel"),
        ({"port": 70_000}, "no TCP port"),
        ({"user": "root"}, "refuses to run"),
    ],
)
def test_wrong_settings(tmp_path: Path, wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        EmbeddedPostgres(tmp_path, **wrong)  # type: ignore[arg-type]


def test_too_few_file_descriptors(service_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from store.embedded import EmbeddedPostgres\n"
        "try: EmbeddedPostgres(Path(sys.argv[1])).start()\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, service_folder],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)),
    )
    assert "StoreError Only 200 files may be open at once" in done.stdout
    assert "ulimit -Hn 1024" in done.stdout


def test_soft_limit_of_files_is_raised(service_folder: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from store.embedded import raise_file_limit\n"
        "assert raise_file_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 1024"
    )
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)),
    )


def test_foreign_folder_in_the_place_of_the_store(service_folder: Path) -> None:
    (service_folder / "postgres").mkdir()
    (service_folder / "postgres" / "letter.txt").write_text("mine")
    with pytest.raises(StoreError, match="is no PostgreSQL store"):
        EmbeddedPostgres(service_folder, major=PG_MAJOR).start()


def test_vanished_store_is_not_replaced_by_an_empty_one(service_folder: Path) -> None:
    with EmbeddedPostgres(service_folder, major=PG_MAJOR) as server:
        home = server.store_dir
    (home / "postgres").rename(home / "elsewhere")
    with pytest.raises(StoreError, match="is gone; bring it back"):
        EmbeddedPostgres(service_folder, major=PG_MAJOR).start()
    (home / "elsewhere").rename(home / "postgres")
    with EmbeddedPostgres(service_folder, major=PG_MAJOR) as server:
        assert server.is_alive()


def test_stop_ends_a_start_that_waits(service_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.embedded.remains.is_ready", lambda _data, _pid: False)
    server = EmbeddedPostgres(service_folder, major=PG_MAJOR)
    failures: list[BaseException] = []

    def start() -> None:
        try:
            server.start()
        except StoreUnavailable as error:
            failures.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    threading.Timer(1.5, server.stop).start()
    thread.join(30)
    assert not thread.is_alive()
    assert "given up" in str(failures[0])


def test_destroy_removes_all_that_is_the_stores() -> None:
    with reachable_folder() as folder:
        with EmbeddedPostgres(folder, major=PG_MAJOR):
            (folder / "footage").mkdir()
        destroy(folder)
        assert [path.name for path in folder.iterdir()] == ["footage"]
        assert not system_folder(folder).exists()


def test_binaries_names_a_folder_of_programs() -> None:
    assert (binaries(16) / "pg_upgrade").exists()
    assert (binaries(18) / "pg_basebackup").exists()
