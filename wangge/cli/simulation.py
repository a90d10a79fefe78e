"""Runs simulated devices: asks the running service who they are, runs them here, compares events with ground truth."""

import asyncio
import json
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from core.errors import InvalidInput, WanggeError
from simulators import manifest as manifests
from simulators import truth as ground_truth
from simulators.anomalies import AnomalyMix
from simulators.comparison import Report, check
from simulators.errors import SimulatorError
from simulators.replay import replay
from simulators.run import run_city
from simulators.session import Options, Summary
from simulators.truth import epoch_ms
from wangge.cli.output import progress, progress_done
from wangge.running import Service

POLL_S = 1.0
KNOWN_AFTER_S = 1.0
"""New tokens work everywhere after so long."""


class SimulationFailed(WanggeError):
    """The simulators could not do what was asked for."""

    kind = "simulation"


@dataclass(slots=True)
class Plan:
    """What to simulate."""

    kind: Literal["handsets", "terminals"]
    count: int
    seconds: float
    seed: int
    protocol: str
    interval_s: float
    speedup: float
    anomalies: str
    truth: Path | None
    replay: Path | None = None
    shift_to: str | None = None
    spacing: float | None = None


@dataclass(slots=True)
class Outcome:
    """What came of it. report None: nothing was compared."""

    figures: dict[str, Any]
    report: Report | None

    @property
    def succeeded(self) -> bool:
        """Everything was acknowledged, and the events were right where they were compared."""
        return self.figures["unacked"] == 0 and (self.report is None or self.report.passed)

    def document(self) -> dict[str, Any]:
        """For --json."""
        return self.figures | ({"check": json.loads(self.report.json())} if self.report else {})


async def simulate(service: Service, plan: Plan, *, check_after_s: float | None) -> Outcome:
    """Runs the plan. Raises SimulationFailed, InvalidInput."""
    if plan.protocol not in ("mqtt", "http"):
        raise InvalidInput(f"--protocol: {plan.protocol!r} is none of mqtt, http.")
    with tempfile.TemporaryDirectory(prefix="wangge-truth-") as folder:
        truth = plan.truth or Path(folder) / "truth.ndjson"
        began_ms = round(time.time() * 1000)
        devices = await asyncio.to_thread(_manifest, service, plan)
        await asyncio.sleep(KNOWN_AFTER_S)
        try:
            options = _options(service, plan, truth)
            summary = await _run(plan, devices, options)
        except* SimulatorError as group:
            raise SimulationFailed(_sentence(group)) from group
        ended_ms = round(time.time() * 1000)
        report = None
        if check_after_s is not None:
            rows = ground_truth.read(truth) if truth.is_file() else []
            report = await _compared(service, devices, rows, (began_ms, ended_ms), check_after_s)
    return Outcome(msgspec.to_builtins(summary), report)


def _manifest(service: Service, plan: Plan) -> manifests.Manifest:
    count = 1 if plan.replay else plan.count
    document = service.post("/api/simulation/manifest", {plan.kind: count})
    return manifests.convert(document)


def _options(service: Service, plan: Plan, truth: Path) -> Options:
    addresses = service.get("/api/health")["addresses"] if plan.protocol == "mqtt" else {}
    if plan.protocol == "mqtt" and "mqtt" not in addresses:
        raise SimulationFailed("The service has no MQTT listener; use --protocol http.")
    return Options(
        url=f"mqtt://{addresses['mqtt']}" if plan.protocol == "mqtt" else service.url,
        sender="mqtt" if plan.protocol == "mqtt" else "http",
        seed=plan.seed,
        mix=AnomalyMix.parse(plan.anomalies),
        interval_s=plan.interval_s,
        speedup=plan.speedup,
        truth=truth,
    )


async def _run(plan: Plan, devices: manifests.Manifest, options: Options) -> Summary:
    if plan.replay is None:
        return await run_city(devices, plan.seconds, options)
    shift_to_ms = None if plan.shift_to is None else epoch_ms(plan.shift_to)
    return await replay(plan.replay, devices.handsets[0], options, shift_to_ms=shift_to_ms, spacing_s=plan.spacing)


async def _compared(
    service: Service,
    devices: manifests.Manifest,
    rows: list[ground_truth.Injected],
    period: tuple[int, int],
    wait_s: float,
) -> Report:
    """Asks for the events until nothing is missing, at most `wait_s`."""
    subjects = {one.id for one in devices.handsets} | {one.id for one in devices.terminals}
    subjects |= {one.worker for one in devices.handsets if one.worker}
    since = datetime.fromtimestamp(period[0] / 1000, UTC).isoformat()
    deadline = time.monotonic() + wait_s
    while True:
        events = [_listed_causes(event) for event in await asyncio.to_thread(_events, service, since)]
        report = check(rows, events, subjects=subjects, since_ms=period[0], until_ms=period[1] + round(wait_s * 1000))
        if not report.missed or time.monotonic() >= deadline:
            progress_done()
            return report
        progress(f"{len(report.missed)} injected anomalies not found yet")
        await asyncio.sleep(POLL_S)


def _events(service: Service, since: str) -> list[dict[str, Any]]:
    return list(service.pages("/api/events", since=since))


def _listed_causes(event: dict[str, Any]) -> dict[str, Any]:
    """The event with its causes as a list: those of the findings that it stands for, or its own."""
    causes = event["causes"]
    return event | {"causes": causes.get("merged") or [causes]}


def _sentence(group: BaseExceptionGroup[Any]) -> str:
    """The first sentence in a group of errors."""
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return str(first)
