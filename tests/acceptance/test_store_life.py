"""A store's life from the command line: backup while it runs, restore elsewhere, a newer PostgreSQL, the end."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.support.postgres import reachable_folder
from tests.support.service import Running, until, wangge

TABLES = ("fixes", "pos_records", "devices", "operators", "credentials", "audit_log", "grid_events")
Start = Callable[..., Running]


def send(service: Running, count: int) -> None:
    """A handset with a token sends so many fixes, an SOS among them; the event has come."""
    data = ("--data", str(service.data))
    assert wangge("devices", "add", "handset", "--id", "keeper-1", *data).returncode == 0
    token = json.loads(wangge("devices", "credential", "keeper-1", "--json", *data).stdout)["token"]
    now = datetime.now(UTC)
    fixes: list[dict[str, Any]] = [
        {"fixed_at": (now - timedelta(seconds=n)).isoformat(), "lat": 26.42 + n / 1e5, "lon": 111.61}
        for n in range(count)
    ]
    fixes[0]["alarm"] = "sos"
    headers = {"Authorization": f"Bearer {token}"}

    def stored() -> Any:
        answer = httpx.post(f"{service.run['http']}/v1/fixes", json=fixes, headers=headers, trust_env=False)
        return answer.json() if answer.status_code == 200 else None

    assert until(stored, 10, "the new token")["rejected"] == []
    until(lambda: json.loads(wangge("events", "list", "--json", *data).stdout), 15, "the event")


def counts(service: Running) -> dict[str, int]:
    """Rows of what matters, read with the DSN that run.json names."""
    dsn = Path(service.run["dsn_file"]).read_text(encoding="utf-8").strip()
    with psycopg.connect(dsn) as connection:
        found = {}
        for table in TABLES:
            row = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()
            assert row is not None
            found[table] = int(row[0])
        return found


def server_major(service: Running) -> int:
    dsn = Path(service.run["dsn_file"]).read_text(encoding="utf-8").strip()
    with psycopg.connect(dsn) as connection:
        return connection.info.server_version // 10_000


def test_backup_restore_and_the_end(start: Start, service_folder: Path) -> None:
    service = start("--port", "0").ready()
    send(service, 120)
    with reachable_folder() as elsewhere:
        copy, other = elsewhere / "copy", elsewhere / "restored"
        made = wangge("backup", str(copy), "--json", "--data", str(service_folder))
        assert made.returncode == 0, made.stderr
        assert json.loads(made.stdout)["size_bytes"] > 0
        before = counts(service)
        assert before["fixes"] == 120
        again = wangge("backup", str(copy), "--data", str(service_folder))
        assert again.returncode == 1, "a backup never goes into a folder that holds something"
        assert service.stop() == 0

        back = wangge("restore", str(copy), "--data", str(other))
        assert back.returncode == 0, back.stderr
        assert f"wangge up --data {other}" in back.stdout
        taken = wangge("restore", str(copy), "--data", str(other))
        assert taken.returncode == 1, "a restore never goes over a store"
        revived = Running(other, ("--port", "0")).start()
        try:
            after = counts(revived.ready())
            assert {name: after[name] for name in TABLES if name != "audit_log"} == {
                name: before[name] for name in TABLES if name != "audit_log"
            }
            assert wangge("audit", "verify", "--data", str(other)).returncode == 0
            assert wangge("destroy", "--data", str(other), "--yes").returncode == 1, "not while it runs"
            assert revived.stop() == 0
        finally:
            revived.process.kill()
            revived.process.wait()
        (other / "mine.txt").write_text("kept")
        gone = wangge("destroy", "--data", str(other), "--yes")
        assert gone.returncode == 0, gone.stderr
        left = sorted(path.name for path in other.iterdir())
        assert "mine.txt" in left
        assert not {"postgres", "run.json", "store.dsn", "local-token"} & set(left)
    assert wangge("destroy", "--data", "/nowhere", "--yes").returncode == 2


@pytest.mark.timeout(300)
def test_from_postgresql_16_to_18(start: Start, service_folder: Path) -> None:
    old = start("--port", "0", WANGGE_STORE__MAJOR="16").ready()
    send(old, 40)
    assert server_major(old) == 16
    before = counts(old)
    running = wangge("store", "upgrade", "--to", "18", "--data", str(service_folder))
    assert running.returncode == 1
    assert "runs" in running.stderr or "stop" in running.stderr
    assert old.stop() == 0

    told = wangge("up", "--data", str(service_folder), "--port", "0")
    assert told.returncode == 1
    assert "wangge store upgrade" in told.stderr
    done = wangge("store", "upgrade", "--to", "18", "--json", "--data", str(service_folder))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["from_major"] == 16
    new = start("--port", "0").ready()
    assert server_major(new) == 18
    after = counts(new)
    assert after["fixes"] == before["fixes"] == 40
    assert after["grid_events"] == before["grid_events"]
    assert new.stop() == 0
