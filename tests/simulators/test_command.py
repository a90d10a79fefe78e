"""`python -m simulators`: figures as JSON, exit statuses, what is said when it cannot."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from simulators.__main__ import main
from simulators.anomalies import AnomalyMix
from simulators.errors import SimulatorError
from simulators.outgoing import rfc3339
from simulators.truth import Injected, write
from tests.simulators.conftest import START_MS, city_now, free_port, write_manifest
from tests.simulators.test_replay import gpx


async def run(*arguments: str) -> tuple[int, str, str]:
    """Exit status, output and errors of an own process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


async def test_handsets_terminals_city_and_load(broker: int, tmp_path: Path) -> None:
    manifest = str(write_manifest(tmp_path / "m.json", city_now(5, 5)))
    mqtt = f"127.0.0.1:{broker}"
    truth = tmp_path / "truth.ndjson"
    fast = ["--mqtt", mqtt, "--for", "300", "--speedup", "300", "--seed", "2"]
    status, out, err = await run("handsets", "--manifest", manifest, *fast, "--anomalies", "0.5", "--truth", str(truth))
    assert (status, err) == (0, "")
    assert msgspec.json.decode(out)["devices"] == 5
    assert truth.exists()
    status, out, _ = await run("terminals", "--manifest", manifest, *fast, "--count", "3")
    assert (status, msgspec.json.decode(out)["devices"]) == (0, 3)
    status, out, _ = await run("city", *fast, "--count", "4", "--terminals", "2")
    assert (status, msgspec.json.decode(out)["devices"]) == (0, 6)
    status, out, _ = await run("load", "--mqtt", mqtt, "--count", "4", "--messages", "1000")
    assert (status, msgspec.json.decode(out)["messages"]) == (0, 1000)
    status, out, _ = await run(
        "handsets", "--mqtt", mqtt, "--replay", str(gpx(tmp_path / "t.gpx", 10)), "--shift-to", "2026-11-24T00:00:00Z"
    )
    assert (status, msgspec.json.decode(out)["facts_acked"]) == (0, 10)


async def test_sigterm_still_writes_the_truth(broker: int, tmp_path: Path) -> None:
    truth = tmp_path / "truth.ndjson"
    acked = tmp_path / "acked.ndjson"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators", "handsets", "--mqtt", f"127.0.0.1:{broker}", "--for", "600"),
        *("--truth", str(truth), "--acked", str(acked), "--interval", "1"),
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 30
    while not (acked.exists() and acked.stat().st_size) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    process.terminate()
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert err.decode() == "cut short\n"
    assert truth.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["handsets", "--mqtt", "x", "--for", "1"], "no address like mqtt://"),
        (["handsets", "--mqtt", "127.0.0.1:1", "--anomalies", "2"], "a share from 0 to 1"),
        (["handsets", "--http", f"http://127.0.0.1:{free_port()}", "--for", "1"], "nothing answers"),
        (["load", "--http", "http://127.0.0.1:1"], "load speaks MQTT"),
        (["handsets", "--manifest", "none.json", "--mqtt", "127.0.0.1:1"], "cannot read the manifest"),
    ],
)
def test_failures_say_what_to_do(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    assert said in capsys.readouterr().err


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, events = tmp_path / "t.ndjson", tmp_path / "e.json"
    write(truth, [Injected("POS-02", "moved", "t1", START_MS, START_MS, True)])
    events.write_bytes(
        msgspec.json.encode([{"code": "POS-02", "subject": "t1", "began_at": rfc3339(START_MS), "ended_at": None}])
    )
    assert main(["check", "--truth", str(truth), "--events", str(events)]) == 0
    assert "POS-02" in capsys.readouterr().out
    events.write_text("[]")
    assert main(["check", "--truth", str(truth), "--events", str(events), "--json"]) == 1
    assert msgspec.json.decode(capsys.readouterr().out)["missed"][0]["subject"] == "t1"
    assert main(["check", "--truth", str(truth), "--events", str(tmp_path / "none")]) == 1


def test_wrong_usage() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["handsets"])
    assert ended.value.code == 2


def test_mixes() -> None:
    assert AnomalyMix.parse("none").rate == 0
    assert AnomalyMix.parse("0.3:sos,silent") == AnomalyMix(0.3, frozenset({"sos", "silent"}))
    with pytest.raises(SimulatorError, match="share from 0 to 1"):
        AnomalyMix.parse("often")
