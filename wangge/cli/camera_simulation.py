"""Runs simulated cameras for the command line, and compares the events about them with ground truth."""

import json
import tempfile
import time
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import msgspec
import uvloop

from core.errors import WanggeError
from simulators import truth as ground_truth
from simulators.cameras.command import until_signal
from simulators.cameras.options import Options
from simulators.comparison import Report, check
from simulators.errors import SimulatorError
from wangge.cli.output import progress, progress_done
from wangge.running import Service

POLL_S = 1.0


class CameraSimulationFailed(WanggeError):
    """The cameras could not be simulated as asked."""

    kind = "simulation"


def simulate(
    options: Options, service: Service | None, wait_s: float, told: TextIO
) -> tuple[dict[str, Any], Report | None]:
    """Serves until the time is over or a signal comes; then, with a service, asks for its events at most wait_s.

    told: where the addresses go. Raises CameraSimulationFailed.
    """
    with tempfile.TemporaryDirectory(prefix="wangge-truth-") as folder:
        if service is not None and options.truth is None:
            options = replace(options, truth=Path(folder) / "truth.ndjson")
        began_ms = round(time.time() * 1000)
        try:
            figures = msgspec.to_builtins(uvloop.run(until_signal(options, told)))
            if service is None:
                return figures, None
            assert options.truth is not None
            rows = ground_truth.read(options.truth)
        except SimulatorError as error:
            raise CameraSimulationFailed(str(error)) from error
        known = {options.id} if options.file else {f"cam-{number + 1:04d}" for number in range(options.count)}
        report = _compared(service, known, rows, began_ms, wait_s)
    return figures | {"check": json.loads(report.json())}, report


def _compared(
    service: Service, cameras: Collection[str], rows: list[ground_truth.Injected], began_ms: int, wait_s: float
) -> Report:
    """Asks until nothing is missing. Events after the run are left out: then all cameras are gone."""
    since = datetime.fromtimestamp(began_ms / 1000, UTC).isoformat()
    ended_ms = round(time.time() * 1000)
    deadline = time.monotonic() + wait_s
    while True:
        events = [_listed_causes(event) for event in service.pages("/api/events", since=since)]
        report = check(rows, events, subjects=cameras, since_ms=began_ms, until_ms=ended_ms, tolerance_s=60)
        if not report.missed or time.monotonic() >= deadline:
            progress_done()
            return report
        progress(f"{len(report.missed)} injected faults not found yet")
        time.sleep(POLL_S)


def _listed_causes(event: dict[str, Any]) -> dict[str, Any]:
    causes = event["causes"]
    return event | {"causes": causes.get("merged") or [causes]}
