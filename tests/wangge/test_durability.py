"""A PostgreSQL that may lose what was acknowledged is refused by `serve`, and named by `doctor`."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from store.embedded import binaries
from store.embedded.account import account_for
from tests.support.service import until, wangge

FAST_AND_LOOSE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


@pytest.fixture
def loose(service_folder: Path) -> Iterator[str]:
    """The DSN of a PostgreSQL started by hand with everything off that makes a commit last."""
    account = account_for(None)
    programs, cluster = binaries(18), service_folder / "loose"
    cluster.mkdir()
    os.chown(cluster, account.uid, account.gid)
    as_account = account.subprocess_arguments()
    subprocess.run(
        [programs / "initdb", "-D", cluster, "-U", "city", "--auth=trust", "--no-sync"],
        check=True,
        capture_output=True,
        cwd="/",
        **as_account,
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = [word for name, value in FAST_AND_LOOSE.items() for word in ("-c", f"{name}={value}")]
    command = [programs / "postgres", "-D", cluster, "-p", str(port), "-h", "127.0.0.1", "-k", "", *options]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/", **as_account) as server:
        try:
            dsn = f"postgresql://city@127.0.0.1:{port}/postgres"
            until(lambda: answers(dsn), 20, "the server")
            yield dsn
        finally:
            server.terminate()
            server.wait(20)


def answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError:
        return False
    return True


def test_doctor_and_serve_refuse_it(loose: str, service_folder: Path) -> None:
    done = wangge("doctor", "--json", "--data", str(service_folder), WANGGE_STORE__DSN=loose)
    assert done.returncode == 1, done.stderr
    (found,) = (one for one in json.loads(done.stdout) if one["check"] == "durability")
    assert found["state"] == "fails"
    assert "fsync" in found["says"]
    started = wangge("serve", "--roles", "console", "--port", "0", "--for", "5", WANGGE_STORE__DSN=loose)
    assert started.returncode == 1
    assert "fsync" in started.stderr
