"""A wrong configuration: the key is named, and the nearest known one, the status is 2, and nothing was started."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.harness import ENVIRONMENT

WRONG = [
    ("[ingest.mqtt]\nprot = 1\n", {}, ["`ingest.mqtt.prot`", "`ingest.mqtt.port`"]),
    ("[ingst]\nport = 1\n", {}, ["`ingst`", "`ingest`"]),
    ("[alerts.rules.trk_02]\nafter = 5\n", {}, ["`alerts.rules.trk_02.after`", "`alerts.rules.trk_02.after_s`"]),
    ("", {"WANGGE_HTTP__PROT": "1"}, ["WANGGE_HTTP__PROT", "`http.port`"]),
    ("[http]\nport = 'eighty'\n", {}, ["http.port"]),
    ("[ingest.lanes]\nmost_rows = -5\n", {}, ["ingest.lanes.most_rows"]),
    ("[http\n", {}, ["city.toml"]),
    ("[store]\ndsn = 'no dsn'\n", {}, ["store.dsn"]),
]
ONLY_UP = [("[store.settings]\nfsync = 'off'\n", {}, ["store.settings", "fsync"])]
CASES = [(command, *case) for command in ("up", "serve") for case in WRONG] + [("up", *case) for case in ONLY_UP]


@pytest.mark.parametrize(("command", "text", "environment", "named"), CASES, ids=[f"{c[0]} {c[3][0]}" for c in CASES])
def test_wrong_configuration(
    tmp_path: Path, command: str, text: str, environment: dict[str, str], named: list[str]
) -> None:
    file = tmp_path / "city.toml"
    file.write_text(text)
    data = tmp_path / "data"
    options = ["--data", str(data), "--port", "0"] if command == "up" else ["--roles", "ingest", "--port", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "wangge", command, *options, "--config", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT | environment,
        cwd=tmp_path,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for word in named:
        assert word in done.stderr, done.stderr
    assert not data.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["city.toml"]
