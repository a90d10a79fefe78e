"""`wangge up --demo` on a fresh folder: ready soon, first events within a minute, its own past, nothing made up.

What the simulated devices really did is in DIR/demo-truth.ndjson; the comparison is the simulators' own.
"""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from simulators import comparison, truth
from tests.support.service import Running, until, wangge

Start = Callable[..., Running]
EXPECTED = {"TRK-01", "TRK-05", "POS-02", "POS-03"}
MOST_ROWS = 300_000


def events_of(service: Running) -> list[dict[str, Any]]:
    done = wangge("events", "list", "--json", "--data", str(service.data))
    assert done.returncode == 0, done.stderr
    events: list[dict[str, Any]] = json.loads(done.stdout)
    return [event | {"causes": event["causes"].get("merged") or [event["causes"]]} for event in events]


def compared(service: Running) -> tuple[comparison.Report, list[dict[str, Any]]]:
    """Events against the truth of at most ten seconds ago."""
    files = [service.data / name for name in ("demo-truth.ndjson", "demo-camera-truth.ndjson")]
    rows, events = [row for file in files if file.is_file() for row in truth.read(file)], events_of(service)
    return comparison.check(rows, events), events


def store_of(service: Running) -> psycopg.Connection[Any]:
    return psycopg.connect(Path(service.run["dsn_file"]).read_text(encoding="utf-8").strip())


@pytest.mark.timeout(240)
def test_first_minutes(start: Start, service_folder: Path) -> None:
    began = time.monotonic()
    service = start("--demo", "--port", "0").ready(30)
    until(
        lambda: {event["code"] for event in events_of(service)} >= EXPECTED, 60 - (time.monotonic() - began), "events"
    )

    def loaded() -> bool:
        with store_of(service) as connection:
            row = connection.execute("SELECT value FROM meta WHERE name = 'demo_history'").fetchone()
            return row is not None and row[0] == "loaded"

    until(loaded, 90, "the past")
    until((service_folder / "demo-truth.ndjson").is_file, 20, "ground truth")
    _its_past(service)
    time.sleep(11)  # truth is written every ten seconds: nothing that was found may be younger than it
    report, events = compared(service)
    assert report.missed == []
    young = datetime.now(UTC).timestamp() - 12
    assert [
        event for event in report.unexpected if datetime.fromisoformat(event["detected_at"]).timestamp() < young
    ] == []
    assert service.stop() == 0
    _what_the_terminal_said(service, events)


def _its_past(service: Running) -> None:
    """Eight weeks of transactions with their roll-ups within the limit; two hours of every handset's track."""
    with store_of(service) as connection:

        def figures(query: str) -> tuple[Any, ...]:
            row = connection.execute(query.encode()).fetchone()
            assert row is not None
            return row

        weeks, sales = figures("SELECT extract(epoch FROM now() - min(at)) / 604800, count(*) FROM pos_records")
        (hours,) = figures("SELECT count(*) FROM pos_hours")
        fixes, handsets, span = figures(
            """SELECT count(*), count(DISTINCT device), extract(epoch FROM max(fixed_at) - min(fixed_at))
               FROM fixes WHERE received_at - fixed_at > interval '15 minutes'"""
        )
    assert 7.5 < weeks < 8.5
    assert 100_000 < sales + hours <= MOST_ROWS
    assert handsets == 30
    assert fixes == 30 * 720
    assert 7100 < span < 7300


def _what_the_terminal_said(service: Running, events: list[dict[str, Any]]) -> None:
    """Addresses, the password, what is next; then the first events; no warning about a start that went well."""
    lines = (service.data / "out.txt").read_text(encoding="utf-8").splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("Page:"))
    assert service_url(lines[at])
    assert re.fullmatch(r"First administrator: admin   password: \S{12,}", lines[at + 1])
    assert lines[at + 2].startswith("Next:")
    shown = [line for line in lines[at + 3 :] if re.match(r"\d\d:\d\d:\d\d  severity [1-4]  ", line)]
    assert len(shown) >= min(len(events), 4)
    said = [json.loads(line) for line in (service.data / "err.txt").read_text(encoding="utf-8").splitlines()]
    said = [line for line in said if "camera" not in line]  # cameras come, and one goes away for a minute on purpose
    assert [line for line in said if line["level"] in ("warning", "error")] == []
    assert len(said) < 12, "a calm start"


def service_url(line: str) -> bool:
    return re.match(r"Page:  http://127\.0\.0\.1:\d+/", line) is not None


@pytest.mark.soak
@pytest.mark.timeout(4000)
@pytest.mark.parametrize("minutes", [5, 15, 40])
def test_long_demo_finds_everything_and_nothing_else(start: Start, service_folder: Path, minutes: int) -> None:
    service = start("--demo", "--port", "0").ready(30)
    time.sleep(minutes * 60)
    report, _ = compared(service)
    assert report.missed == []
    assert report.unexpected == []
    assert service.stop() == 0


@pytest.mark.soak
@pytest.mark.timeout(2000)
@pytest.mark.parametrize("kind", ["handsets", "terminals"])
def test_clean_city_is_quiet(start: Start, service_folder: Path, kind: str) -> None:
    service = start("--port", "0").ready(30)
    data = ("--data", str(service_folder))
    assert wangge("demo-city", "--grids", "40", "--no-components", *data).returncode == 0
    options = ("--count", "20", "--for", "1200", "--seed", "11", "--anomalies", "none", "--check")
    done = wangge("simulate", kind, *options, *data, within_s=1400)
    assert done.returncode == 0, done.stdout
    assert json.loads(wangge("events", "list", "--json", *data).stdout) == []
    assert service.stop() == 0
