"""The command line with a stranger's eyes, against a running service."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from console.pages.part_names import part_name
from tests.acceptance.conftest import House
from tests.support.service import ENVIRONMENT, until, wangge


def test_status(house: House) -> None:
    found = house.tells("status")
    assert found["ready"] is True
    assert {part["state"] for part in found["parts"]} == {"ok"}
    assert {"store", "http", "ingest.mqtt", "alerts.engine"} <= {part["part"] for part in found["parts"]}
    assert found["service"]["pid"] == house.service.process.pid
    assert found["disk"]["free_bytes"] > 0
    assert "rates" in found
    assert all(part_name(part["part"])[1] for part in found["parts"]), "each has a name for people"
    assert "alerts.engine" in house.does("status")


def test_config(house: House, tmp_path: Path) -> None:
    assert house.does("config", "check").strip() == "The configuration is right."
    file = tmp_path / "city.toml"
    file.write_text("[alerts.rules.trk_01]\nmerge_s = 'soon'\n")
    wrong = wangge("config", "check", "--config", str(file))
    assert wrong.returncode == 2
    assert "alerts.rules.trk_01.merge_s" in wrong.stderr
    assert house.tells("config", "show")["site"]["time_zone"] == "Asia/Shanghai"


def test_import_of_a_list_with_bad_rows(house: House, tmp_path: Path) -> None:
    file = tmp_path / "handsets.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows(
            [
                ["id", "name", "datum"],
                ["i-1", "一号", "wgs84"],
                ["i 2", "", ""],
                ["i-3", "三号", "mars"],
                ["i-4", "", ""],
            ]
        )

    def known() -> set[str]:
        return {device["id"] for device in house.tells("devices", "list", "--kind", "handset")}

    bad = wangge("devices", "import", str(file), *house.data)
    assert bad.returncode == 1
    assert "row 3" in bad.stderr
    assert "row 4" in bad.stderr
    assert "mars" in bad.stderr
    assert "not taken" in bad.stdout
    assert not {"i-1", "i-4"} & known(), "all good rows or nothing"
    trial = wangge("devices", "import", str(file), "--partial", "--dry-run", "--json", *house.data)
    assert [error["row"] for error in json.loads(trial.stdout)["errors"]] == [3, 4]
    assert not {"i-1", "i-4"} & known(), "a dry run takes everything back"
    partial = wangge("devices", "import", str(file), "--partial", *house.data)
    assert partial.returncode == 1, "bad rows are told by the exit status too"
    assert {"i-1", "i-4"} <= known()
    missing = wangge("devices", "import", str(tmp_path / "none.csv"), *house.data)
    assert missing.returncode in (1, 2)
    assert "none.csv" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_an_operator_sees_the_own_division_only(house: House) -> None:
    house.does("demo-city", "--grids", "30", "--no-components")
    devices = house.tells("devices", "list", "--kind", "handset")
    placed = [device for device in devices if device["grid"]]
    division = placed[0]["grid"][:6]
    assert len({device["grid"][:6] for device in placed}) > 1, "a city of more than one division"
    made = house.tells("operators", "add", "wang.wu", "--role", "dispatcher", "--division", division)
    assert made["password"]
    token = house.tells("operators", "token", "wang.wu")["token"]
    headers = {"Authorization": f"Bearer {token}"}

    def asked(path: str, **query: str) -> httpx.Response:
        return httpx.get(f"{house.http}{path}", params=query, headers=headers, trust_env=False)

    listed = asked("/api/devices", limit="500")
    assert listed.status_code == 200, listed.text
    seen = {device["id"] for device in listed.json()["items"]}
    assert seen == {device["id"] for device in placed if device["grid"].startswith(division)} | {
        device["id"] for device in house.tells("devices", "list", "--division", division)
    }
    assert asked("/api/me").json()["division"] == division
    assert asked("/api/audit").status_code == 403, "a dispatcher reads no audit log"
    wrong = httpx.get(f"{house.http}/api/devices", headers={"Authorization": "Bearer nobody"}, trust_env=False)
    assert wrong.status_code == 401
    assert wrong.headers["content-type"].startswith("application/problem+json")


def test_audit_is_intact(house: House) -> None:
    def intact() -> Any:
        done = wangge("audit", "verify", "--json", *house.data)
        found = json.loads(done.stdout) if done.returncode == 0 else {}
        return found if found.get("rows") and not found["waiting"] else None

    found = until(intact, 20, "the seal")
    assert found["intact"] is True
    assert found["faults"] == []


def test_events_are_watched_listed_and_shown(house: House, program: Callable[[str], str]) -> None:
    token = house.handset("watched-1")
    command = [sys.executable, "-m", "wangge", "events", "watch", "--json", "--for", "30", *house.data]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as watching:
        until(lambda: _listeners(house) >= 1, 15, "the watcher's connection")
        fix = {"fixed_at": datetime.now(UTC).isoformat(), "lat": 26.42, "lon": 111.61, "alarm": "sos"}
        curl = [program("curl"), "-sS", "--noproxy", "*", "-H", f"Authorization: Bearer {token}"]
        curl += ["--json", json.dumps(fix), f"{house.http}/v1/fixes"]
        answer = subprocess.run(curl, capture_output=True, text=True, timeout=30)
        assert json.loads(answer.stdout) == {"stored": 1, "duplicate": 0, "rejected": []}
        assert watching.stdout is not None
        change = json.loads(watching.stdout.readline())
        watching.terminate()
    assert (change["event"]["code"], change["event"]["subject"]) == ("TRK-01", "watched-1")
    (event,) = house.tells("events", "list", "--subject", "watched-1")
    assert event["id"] == change["event"]["id"]
    assert "一键求助" in house.does("events", "list", "--code", "TRK-01")
    assert house.tells("events", "show", event["id"])["subject"] == "watched-1"
    assert house.tells("events", "stats", "--since", "1h")["by_code"]["TRK-01"] >= 1
    unknown = wangge("events", "show", "01AAAAAAAAAAAAAAAAAAAAAAAA", *house.data)
    assert unknown.returncode == 1
    assert "01AAAAAAAAAAAAAAAAAAAAAAAA" in unknown.stderr


def _listeners(house: House) -> int:
    """Open streams of live changes."""
    text = httpx.get(f"{house.http}/metrics", trust_env=False).text
    lines = [line for line in text.splitlines() if line.startswith("wangge_live_streams")]
    return int(float(lines[0].rsplit(" ", 1)[1])) if lines else 0


def test_simulated_devices_are_checked(house: House, tmp_path: Path) -> None:
    """One test, in this order: a replayed track leaves its handset far from where its next patrol would begin."""
    house.does("demo-city", "--grids", "30", "--no-components")
    for protocol in ("mqtt", "http"):
        truth = tmp_path / f"truth-{protocol}.ndjson"
        options = ("--count", "4", "--for", "8", "--interval", "1", "--protocol", protocol, "--truth", str(truth))
        found = house.tells("simulate", "handsets", *options, "--seed", "3", "--anomalies", "none", "--check")
        assert found["unacked"] == 0
        assert found["rejected"] == 0
        assert found["facts_acked"] >= 4 * 7
        assert found["check"]["passed"] is True, found["check"]
        assert truth.is_file()
    shown = house.does("simulate", "terminals", "--count", "3", "--for", "12", "--anomalies", "none", "--check")
    assert "precision" in shown
    assert house.tells("events", "list", "--code", "SEC-01") == [], "fresh tokens are no abuse"
    _a_track_is_replayed(house, tmp_path)
    wrong = wangge("simulate", "handsets", "--count", "2", "--anomalies", "0.1:earthquake", *house.data)
    assert wrong.returncode == 1
    assert "earthquake" in wrong.stderr
    assert "sos" in wrong.stderr, "the known ones are named"


def _a_track_is_replayed(house: House, tmp_path: Path) -> None:
    file = tmp_path / "walk.gpx"
    line = '<trkpt lat="26.42{0:02d}" lon="111.61"><time>2020-01-01T00:00:{0:02d}Z</time></trkpt>'
    points = "".join(line.format(n) for n in range(40))
    head = '<gpx version="1.1" creator="x" xmlns="http://www.topografix.com/GPX/1/1">'
    file.write_text(f"{head}<trk><trkseg>{points}</trkseg></trk></gpx>")
    since = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    replayed = house.tells("simulate", "handsets", "--replay", str(file), "--shift-to", since, "--spacing", "1")
    assert replayed["facts_acked"] == 40
