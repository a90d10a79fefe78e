"""`wangge doctor` says what is wrong and what to do about it; each condition is made for real."""

import json
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.conftest import House
from tests.support.service import ENVIRONMENT, wangge

Finding = dict[str, str]


def examined(folder: Path, status: int, *options: str, **environment: str) -> dict[str, list[Finding]]:
    """Findings by check; the command must end with `status`."""
    done = wangge("doctor", "--data", str(folder), "--json", *options, **environment)
    assert done.returncode == status, (done.stdout, done.stderr)
    found: dict[str, list[Finding]] = {}
    for finding in json.loads(done.stdout):
        found.setdefault(finding["check"], []).append(finding)
    return found


def test_a_running_service_is_well(house: House) -> None:
    found = examined(house.service.data, 0)
    states = {finding["state"] for findings in found.values() for finding in findings}
    assert "fails" not in states
    assert house.http in found["service"][0]["says"]
    assert "schema is the newest" in found["store"][0]["says"]
    lines = house.does("doctor").splitlines()
    assert all(line.split()[0] in ("ok", "warning") for line in lines)


def test_a_wrong_configuration(service_folder: Path) -> None:
    (service_folder / "wangge.toml").write_text("[htp]\nport = 1\n")
    (finding,) = examined(service_folder, 1)["configuration"]
    assert finding["state"] == "fails"
    assert "`htp`" in finding["says"]
    assert "`http`" in finding["says"]


def test_a_secret_in_the_file(service_folder: Path) -> None:
    (service_folder / "wangge.toml").write_text('[store]\ndsn = "postgresql://u:hunter22@127.0.0.1:1/x"\n')
    done = wangge("doctor", "--data", str(service_folder))
    assert done.returncode == 1  # nobody listens on port 1
    assert "hunter22" not in done.stdout + done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("warning") and "store.dsn" in line]
    assert [line for line in done.stdout.splitlines() if line.startswith("fails") and "store" in line.split()[1]]


def test_a_busy_port(service_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        found = examined(service_folder, 1, WANGGE_INGEST__MQTT__PORT=port)
    (finding,) = [finding for finding in found["ports"] if finding["state"] == "fails"]
    assert port in finding["says"]
    assert "ingest.mqtt.port" in finding["says"]


def test_a_stale_run_file(service_folder: Path) -> None:
    (service_folder / "run.json").write_text(json.dumps({"pid": 2**22 - 3, "http": "http://127.0.0.1:1"}))
    found = examined(service_folder, 0, WANGGE_HTTP__PORT="0", WANGGE_INGEST__MQTT__PORT="0")
    assert found["service"][0]["state"] == "warning"
    assert "wangge up" in found["service"][0]["says"]


def test_a_store_that_loses_what_it_acknowledged(service_folder: Path, dsn: str) -> None:
    options = {"WANGGE_STORE__DSN": dsn, "WANGGE_HTTP__PORT": "0", "WANGGE_INGEST__MQTT__PORT": "0"}
    found = examined(service_folder, 0, **options)
    assert found["store"][0]["state"] == "warning", "an empty database waits for its migrations"
    with psycopg.connect(dsn, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    (finding,) = examined(service_folder, 1, **options)["durability"]
    assert finding["state"] == "fails"
    assert "synchronous_commit" in finding["says"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits are set as Linux does")
def test_too_few_open_files(service_folder: Path) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))

    environment = ENVIRONMENT | {"WANGGE_HTTP__PORT": "0", "WANGGE_INGEST__MQTT__PORT": "0"}
    command = [sys.executable, "-m", "wangge", "doctor", "--data", str(service_folder)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment,
        preexec_fn=limited,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("warning")]
    assert "1024" in line
    assert "LimitNOFILE" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(service_folder: Path) -> None:
    service_folder.chmod(0o500)
    found = examined(service_folder, 1)
    assert [finding for finding in found["disk"] if finding["state"] == "fails"]
