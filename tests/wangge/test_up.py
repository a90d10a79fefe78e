"""`wangge up` as people use it: fresh folder, ready, events, drain; busy ports, second instances, a store that dies."""

import json
import signal
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest

from tests.wangge.conftest import Running, until, wangge

Start = Callable[..., Running]


def test_fresh_folder_to_event_to_orderly_end(start: Start, service_folder: Path) -> None:
    began = time.monotonic()
    service = start("--port", "0").ready()
    assert time.monotonic() - began < 30
    assert "First administrator: admin" in service.said
    run = service.run
    assert {"pid", "http", "mqtt", "dsn_file", "store_dir"} <= set(run)
    for name in ("run.json", "local-token", "first-administrator.txt", "store.dsn"):
        assert (service_folder / name).stat().st_mode & 0o077 == 0

    data = ("--data", str(service_folder))
    assert wangge("demo-city", "--grids", "3", "--no-components", *data).returncode == 0
    devices = json.loads(wangge("devices", "list", "--kind", "handset", "--json", *data).stdout)
    made = wangge("devices", "credential", devices[0]["id"], "--json", *data)
    token = json.loads(made.stdout)
    assert set(token) == {"device", "token"}

    fix = {"fixed_at": datetime.now(UTC).isoformat(), "lat": 26.22, "lon": 111.62, "alarm": "sos"}
    headers = {"Authorization": f"Bearer {token['token']}"}
    answer = until(lambda: _stored(run["http"], fix, headers), 5, "the new credential")
    assert answer == {"stored": 1, "duplicate": 0, "rejected": []}

    def found() -> list[dict[str, object]]:
        listed: list[dict[str, object]] = json.loads(wangge("events", "list", "--json", *data).stdout)
        return listed

    events = until(found, 10, "the event")
    assert [(event["code"], event["subject"]) for event in events] == [("TRK-01", token["device"])]
    asked = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - asked < 15
    assert not (service_folder / "run.json").exists()
    assert wangge("events", "list", *data).returncode == 1


def _stored(url: str, fix: dict[str, object], headers: dict[str, str]) -> dict[str, object] | None:
    answer = httpx.post(f"{url}/v1/fixes", json=fix, headers=headers, trust_env=False)
    return answer.json() if answer.status_code == 200 else None


def test_signal_before_it_is_ready_ends_with_0(start: Start) -> None:
    service = start("--port", "0")
    until(lambda: "store_cluster_made" in service.said, 20, "the start of the store")
    assert service.stop() == 0, service.said[-2000:]


def test_ends_by_itself(start: Start) -> None:
    assert start("--port", "0", "--for", "1").process.wait(40) == 0


@pytest.mark.parametrize("key", ["http.port", "ingest.mqtt.port"])
def test_busy_port_is_named(service_folder: Path, key: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        variable = "WANGGE_" + key.upper().replace(".", "__")
        done = wangge("up", "--data", str(service_folder), "--port", "0", **{variable: port})
    assert done.returncode == 1
    assert port in done.stderr
    assert key in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (service_folder / "postgres").exists()


def test_wrong_configuration_ends_with_2_before_anything_starts(service_folder: Path) -> None:
    file = service_folder / "city.toml"
    file.write_text("[ingest.mqtt]\nprot = 1\n")
    done = wangge("up", "--data", str(service_folder), "--config", str(file))
    assert done.returncode == 2
    assert "`ingest.mqtt.prot`" in done.stderr
    assert "`ingest.mqtt.port`" in done.stderr
    assert not (service_folder / "postgres").exists()


@pytest.mark.parametrize(("roles", "said"), [("patrol", "not part of this version"), ("ingst", "no role 'ingst'")])
def test_roles_that_there_are_not(roles: str, said: str) -> None:
    done = wangge("serve", "--roles", roles, WANGGE_STORE__DSN="postgresql://nobody@127.0.0.1:1/x")
    assert done.returncode == 2
    assert said in done.stderr


def test_serve_needs_a_dsn() -> None:
    done = wangge("serve", "--roles", "console")
    assert done.returncode == 2
    assert "store.dsn" in done.stderr


def test_second_instance_and_dead_store(start: Start, service_folder: Path) -> None:
    service = start("--port", "0").ready()
    second = wangge("up", "--data", str(service_folder), "--port", "0")
    assert second.returncode == 1
    assert "second instance" in second.stderr
    assert service.is_ready()

    postmaster = int((Path(service.run["store_dir"]) / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    psutil.Process(postmaster).send_signal(signal.SIGKILL)
    until(lambda: not service.is_ready(), 15, "the outage")
    until(service.is_ready, 40, "the recovery")
    assert service.stop() == 0


def test_after_a_kill_it_starts_again(start: Start, service_folder: Path) -> None:
    first = start("--port", "0").ready()
    first.process.kill()
    first.process.wait()
    token = (service_folder / "local-token").read_text()
    again = start("--port", "0")
    until(lambda: (service_folder / "local-token").read_text() != token, 40, "the second start")
    again.ready()
    status = wangge("status", "--json", "--data", str(service_folder))
    assert status.returncode == 0, status.stderr
    assert {part["state"] for part in json.loads(status.stdout)["parts"]} <= {"ok", "degraded"}
    assert again.stop() == 0
