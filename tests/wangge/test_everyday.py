"""A day with the command line against a running service: operators, tracks, events worked off, audit, backup, serve."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import gpxpy
import httpx
import pytest

from store.embedded import EmbeddedPostgres
from tests.support.service import ENVIRONMENT, Running, until, wangge


def data_of(folder: Path) -> tuple[str, str]:
    return "--data", str(folder)


def jsoned(*arguments: str) -> Any:
    """The JSON that a command prints."""
    done = wangge(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(240)
def test_everyday(start: Callable[..., Running], service_folder: Path) -> None:
    data = data_of(service_folder)
    assert wangge("demo-city", "--grids", "2", "--no-components", "--no-shifts", *data).returncode == 0
    service = start("--port", "0").ready()
    url = service.run["http"]
    assert wangge("devices", "add", "handset", "--id", "h-1", "--worker", "w00001", *data).returncode == 0
    again = wangge("devices", "add", "handset", "--id", "h-1", *data)
    assert again.returncode == 1
    assert "h-1" in again.stderr
    token = jsoned("devices", "credential", "h-1", *data)["token"]

    base = datetime.now(UTC).replace(microsecond=123_000) - timedelta(minutes=1)
    fixes: list[dict[str, object]] = [
        {"fixed_at": (base + timedelta(seconds=n)).isoformat(), "lat": 26.2 + n / 1e4, "lon": 111.6123456}
        for n in range(20)
    ]
    fixes[-1]["alarm"] = "sos"
    headers = {"Authorization": f"Bearer {token}"}
    sent = until(lambda: posted(f"{url}/v1/fixes", fixes, headers), 5, "the new credential")
    assert sent["stored"] == 20

    period = ("--from", (base - timedelta(hours=1)).isoformat(), "--to", (base + timedelta(hours=1)).isoformat())
    gpx = wangge("tracks", "export", "--device", "h-1", *period, "--format", "gpx", *data)
    points = gpxpy.parse(gpx.stdout).tracks[0].segments[0].points
    assert [(round(p.latitude, 7), p.time) for p in points] == [
        (round(26.2 + n / 1e4, 7), base + timedelta(seconds=n)) for n in range(20)
    ]
    out = service_folder / "track.geojson"
    assert wangge("tracks", "export", "--device", "h-1", *period, "--out", str(out), *data).returncode == 0
    assert len(json.loads(out.read_text())["features"]) == 20

    until(lambda: jsoned("events", "list", "--code", "TRK-01", *data), 10, "the event")
    events = jsoned("events", "list", "--code", "TRK-01", *data)
    one = events[0]["id"]
    assert jsoned("events", "accept", one, *data)["step"] == "accepted"
    assert jsoned("events", "dispatch", one, "--to", "worker:w00001", *data)["step"] == "dispatched"
    assert jsoned("events", "answer", one, "--text", "helped", *data)["step"] == "answered"
    refused = wangge("events", "verify", one, *data)
    assert refused.returncode == 1, "who answered does not verify"

    bearer = operator(data)
    verified = wangge("events", "verify", one, "--url", url, "--json", WANGGE_TOKEN=bearer)
    assert json.loads(verified.stdout)["step"] == "verified"
    assert wangge("events", "list", "--url", url, WANGGE_TOKEN="wrong").returncode == 1
    assert jsoned("events", "archive", one, *data)["step"] == "archived"
    assert len(jsoned("events", "trace", one, *data)["changes"]) == 6
    watched(service_folder, url, headers)

    audit = until(lambda: sealed(data), 15, "the seal")
    assert audit["intact"]
    copy = service_folder / "copy"
    assert wangge("backup", str(copy), *data).returncode == 0
    assert wangge("doctor", "--deep", *data).returncode == 0
    assert service.stop() == 0


def posted(url: str, body: Any, headers: dict[str, str]) -> Any:
    answer = httpx.post(url, json=body, headers=headers, trust_env=False)
    return answer.json() if answer.status_code == 200 else None


def operator(data: tuple[str, str]) -> str:
    """A supervisor's bearer token."""
    made = jsoned("operators", "add", "li.si", "--role", "supervisor", *data)
    assert len(made["password"]) >= 12
    assert wangge("operators", "add", "li.si", "--role", "supervisor", *data).returncode == 1
    assert wangge("operators", "add", "x", "--role", "king", *data).returncode == 1
    return str(jsoned("operators", "token", "li.si", *data)["token"])


def sealed(data: tuple[str, str]) -> Any:
    done = wangge("audit", "verify", "--json", *data)
    found = json.loads(done.stdout) if done.returncode == 0 else None
    return found if found and found["waiting"] == 0 else None


def watched(folder: Path, url: str, headers: dict[str, str]) -> None:
    """`events watch` prints a change that comes while it runs, and ends with 0 by itself."""
    command = [sys.executable, "-m", "wangge", "events", "watch", "--json", "--for", "6", *data_of(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as watching:
        time.sleep(2)
        fix = {"fixed_at": datetime.now(UTC).isoformat(), "lat": 26.2, "lon": 111.6, "alarm": "removed"}
        assert posted(f"{url}/v1/fixes", fix, headers)
        said, _ = watching.communicate(timeout=20)
    assert watching.returncode == 0
    changes = [json.loads(line) for line in said.splitlines()]
    assert "TRK-04" in {change["event"]["code"] for change in changes}


def test_roles_in_processes_of_their_own(service_folder: Path, pg_server: EmbeddedPostgres, dsn: str) -> None:
    """Three `wangge serve` processes on one database: devices here, rules there, people elsewhere."""
    del pg_server
    ports = {role: str(20_000 + os.getpid() % 10_000 + n) for n, role in enumerate(("ingest", "alerts", "console"))}
    processes = []
    try:
        for role, port in ports.items():
            environment = {"WANGGE_STORE__DSN": dsn, "WANGGE_INGEST__MQTT__PORT": "0"}
            command = [sys.executable, "-m", "wangge", "serve", "--roles", role, "--port", port]
            with open(service_folder / f"{role}.txt", "wb") as out:
                processes.append(
                    subprocess.Popen(command, stdout=out, stderr=out, env=ENVIRONMENT | environment, cwd=service_folder)
                )
            until(
                lambda port=port: is_ready(port), 30, f"{role} ({(service_folder / f'{role}.txt').read_text()[-2000:]})"
            )
        assert httpx.get(f"http://127.0.0.1:{ports['console']}/api/me", trust_env=False).status_code == 401
        assert httpx.get(f"http://127.0.0.1:{ports['ingest']}/api/me", trust_env=False).status_code == 404
        assert httpx.post(f"http://127.0.0.1:{ports['ingest']}/v1/fixes", json={}, trust_env=False).status_code == 401
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        statuses = [process.wait(15) for process in processes]
    assert statuses == [0, 0, 0]
    said = {role: (service_folder / f"{role}.txt").read_text() for role in ports}
    assert {role for role in ports if "First administrator" in said[role]} == {"console"}
    assert {role for role in ports if "ingest.http.attachments_folder" in said[role]} == {"ingest"}
    assert not (service_folder / "attachments").exists()


def is_ready(port: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
