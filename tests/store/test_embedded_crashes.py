"""The embedded store when something is killed: gone when we are gone, everything committed is there afterwards.

The service is a real process (`SERVICE`), killed with SIGKILL; what it had acknowledged is counted against what is
stored after the next start.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from core.errors import StoreError, StoreUnavailable
from store.embedded import EmbeddedPostgres, guard, remains
from store.embedded.account import Account
from store.embedded.remains import processes_in
from tests.support.postgres import PG_MAJOR

SERVICE = """
import multiprocessing, sys, time
from pathlib import Path
import psycopg, structlog
from store.embedded import EmbeddedPostgres, write_run

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
folder = Path(sys.argv[1])
server = EmbeddedPostgres(folder, major=int(sys.argv[2]))
server.start()
write_run(folder, {"dsn_file": str(server.dsn_file), "store_dir": str(server.store_dir)})
bystander = multiprocessing.get_context("fork").Process(target=time.sleep, args=(120,))
bystander.start()  # outlives us; holds neither the lock nor the life line
print(bystander.pid, server.pid, flush=True)
with psycopg.connect(server.dsn, autocommit=True) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS fact (id bigserial PRIMARY KEY)")
    while True:
        print(connection.execute("INSERT INTO fact DEFAULT VALUES RETURNING id").fetchone()[0], flush=True)
"""


def wait_until(claim: Callable[[], bool], seconds: float) -> None:
    """Poll with a deadline."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


class Service:
    """A running SERVICE process and the last id that it saw committed."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVICE, folder, str(PG_MAJOR), "wangge"], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        if len(words) != 2:
            self.process.kill()
            raise AssertionError(f"the service said {words}")
        self.bystander, self.postmaster = (int(word) for word in words)
        self.guard = psutil.Process(self.postmaster).ppid()
        self.acknowledged = 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n"):
                self.acknowledged = int(line)

    def kill(self, *also: int) -> int:
        """SIGKILL to the service, and to `also` first; the last id acknowledged."""
        for pid in also:
            os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        return self.acknowledged

    def clean_up(self) -> None:
        self.kill(self.bystander)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def service_in(folder: Path) -> Iterator[Service]:
    service = Service(folder)
    try:
        wait_until(lambda: service.acknowledged > 50, 20)
        yield service
    finally:
        service.clean_up()


def all_present(dsn: str, acknowledged: int) -> bool:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM fact WHERE id <= %s", [acknowledged]).fetchone()
    return row == (acknowledged,)


def test_killed_service_takes_postgres_with_it_and_loses_nothing(service_folder: Path) -> None:
    with service_in(service_folder) as service:
        data = service_folder / "postgres"
        assert processes_in(data)
        acknowledged = service.kill()
        wait_until(lambda: not processes_in(data), 10)
        assert psutil.pid_exists(service.bystander)
        with EmbeddedPostgres(service_folder, major=PG_MAJOR) as server:
            assert all_present(server.dsn, acknowledged)


def test_next_start_does_not_wait_for_the_old_one_to_be_gone(service_folder: Path) -> None:
    with service_in(service_folder) as service:
        acknowledged = service.kill()
        with EmbeddedPostgres(service_folder, major=PG_MAJOR) as server:  # at once: the old one is still ending
            assert all_present(server.dsn, acknowledged)


def test_killed_guard_takes_postgres_with_it(service_folder: Path) -> None:
    with service_in(service_folder) as service:
        os.kill(service.guard, signal.SIGKILL)
        wait_until(lambda: not processes_in(service_folder / "postgres"), 10)


def test_service_guard_and_postmaster_killed_together(service_folder: Path) -> None:
    with service_in(service_folder) as service:
        acknowledged = service.kill(service.guard, service.postmaster)
        with EmbeddedPostgres(service_folder, major=PG_MAJOR) as server:
            assert all_present(server.dsn, acknowledged)


def test_frozen_guard_and_killed_service_are_waited_out(service_folder: Path) -> None:
    with service_in(service_folder) as service:
        os.kill(service.guard, signal.SIGSTOP)
        acknowledged = service.kill()
        try:
            with EmbeddedPostgres(service_folder, major=PG_MAJOR) as server:  # asks the old one itself, after 3 s
                assert all_present(server.dsn, acknowledged)
        finally:
            os.kill(service.guard, signal.SIGCONT)


def test_old_postgres_that_does_not_stop_is_an_error(service_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remains, "_hurry", lambda *_: None)
    monkeypatch.setattr(remains, "WAIT_SECONDS", 1.0)
    with service_in(service_folder) as service:
        os.kill(service.guard, signal.SIGSTOP)
        service.kill()
        try:
            with pytest.raises(StoreUnavailable, match=rf"process {service.postmaster}\) still runs"):
                EmbeddedPostgres(service_folder, major=PG_MAJOR).start()
        finally:
            os.kill(service.guard, signal.SIGCONT)
        wait_until(lambda: not processes_in(service_folder / "postgres"), 10)


def test_killed_postmaster_under_load_restarts_with_all_that_was_committed(service_folder: Path) -> None:
    server = EmbeddedPostgres(service_folder, major=PG_MAJOR)
    with server:
        with psycopg.connect(server.dsn) as connection:
            connection.execute("CREATE TABLE fact (id bigint PRIMARY KEY)")
        for round_number in range(2):
            _kill_under_load(server, round_number * 1_000_000)


def _kill_under_load(server: EmbeddedPostgres, first: int) -> None:
    """Two writers and one long query; kill the postmaster; restart; count."""
    written = [first, first + 500_000]

    def write(number: int) -> None:
        with suppress(psycopg.OperationalError), psycopg.connect(server.dsn, autocommit=True) as connection:
            while True:
                connection.execute("INSERT INTO fact VALUES (%s)", [written[number] + 1])
                written[number] += 1

    def query() -> None:
        with suppress(psycopg.OperationalError), psycopg.connect(server.dsn) as connection:
            connection.execute("SELECT count(*) FROM generate_series(1, 20000000000) i")

    threads = [threading.Thread(target=write, args=(0,)), threading.Thread(target=write, args=(1,))]
    threads.append(threading.Thread(target=query))
    for thread in threads:
        thread.start()
    starts = [first, first + 500_000]
    wait_until(lambda: all(now - start > 50 for now, start in zip(written, starts, strict=True)), 20)
    assert server.pid is not None
    port = server.port
    os.kill(server.pid, signal.SIGKILL)
    assert server.wait(10) == 128 + signal.SIGKILL
    assert not server.is_alive()
    server.start()  # the orphan in its long query still holds the shared memory: it is hurried on
    for thread in threads:
        thread.join(10)
    assert server.port == port
    with psycopg.connect(server.dsn) as connection:
        for number, start in enumerate(starts):
            query_rows = "SELECT count(*) FROM fact WHERE id > %s AND id <= %s"
            row = connection.execute(query_rows, [start, written[number]]).fetchone()
            assert row == (written[number] - start,)


def test_pid_file_of_a_stranger_does_not_block_the_start(service_folder: Path) -> None:
    """A container's process numbers start anew: the number in a stale pid file may be anyone's."""
    with EmbeddedPostgres(service_folder, major=PG_MAJOR) as server:
        home = server.store_dir
    owner = (home / "postgres").stat()
    account = Account(owner.st_uid, owner.st_gid, drops=os.geteuid() == 0)
    stranger = subprocess.Popen(["/bin/sleep", "60"], **account.subprocess_arguments())
    try:
        stale = home / "postgres" / "postmaster.pid"
        stale.write_text(f"{stranger.pid}\n{home / 'postgres'}\n1\n1\n\n127.0.0.1\n 0 0\nready\n")
        os.chown(stale, owner.st_uid, owner.st_gid)
        with EmbeddedPostgres(service_folder, major=PG_MAJOR) as server:
            assert server.is_alive()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_second_service_is_told_who_lives(service_folder: Path) -> None:
    with service_in(service_folder) as service:
        with pytest.raises(StoreError, match=f"process {service.process.pid} serves it"):
            EmbeddedPostgres(service_folder, major=PG_MAJOR).start()
        before = service.acknowledged
        wait_until(lambda: service.acknowledged > before, 10)


@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=[pytest.mark.soak, pytest.mark.timeout(1200)])])
def test_kills_at_any_moment_of_a_start(service_folder: Path, kills: int) -> None:
    """From the making of the cluster to the writing of rows; the guard too every other time. Nothing is lost."""
    moments = random.Random(7)
    acknowledged: set[int] = set()
    for number in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", SERVICE, service_folder, str(PG_MAJOR), "wangge"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(0.3 + moments.uniform(0, 1.2))  # not a wait for a condition: the moment is the point
        assert process.poll() is None, process.communicate()[1]
        process.send_signal(signal.SIGSTOP)  # so that the list of its children is whole
        for child in psutil.Process(process.pid).children():
            words = " ".join(child.cmdline())
            if SERVICE[:60] in words or ("guard.py" in words and number % 2):
                child.kill()
        process.kill()
        said = process.communicate()[0]
        acknowledged.update(int(line) for line in said[: said.rfind("\n") + 1].splitlines()[1:])
    with EmbeddedPostgres(service_folder, major=PG_MAJOR) as server:
        if acknowledged:
            with psycopg.connect(server.dsn) as connection:
                row = connection.execute(
                    "SELECT count(*) FROM fact WHERE id = ANY(%s)", [list(acknowledged)]
                ).fetchone()
            assert row == (len(acknowledged),)
        assert [path.name for path in server.store_dir.glob(".postgres.new-*")] == []


def test_log_is_bounded_and_private(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    log.write_bytes(b"a" * 100)
    guard.rotate(str(log), 100)
    assert log.stat().st_size == 100
    with log.open("ab") as writer:  # as PostgreSQL holds it
        writer.write(b"b")
        writer.flush()
        guard.rotate(str(log), 100)
        assert log.stat().st_size == 0
        writer.write(b"c")
    kept = tmp_path / "postgres.log.1"
    assert (log.read_bytes(), kept.stat().st_size, kept.stat().st_mode & 0o777) == (b"c", 101, 0o600)
    guard.rotate(str(tmp_path / "absent"), 100)
