"""`city_load`, `back_fill`: the whole service under the model city, and under an hour's back-fill beside it.

10,590 handsets send a fix every 10 s, 1,500 terminals a record every 60 s; they, the service and its PostgreSQL share
this machine. Fix-to-committed is measured by the devices: from the moment a fix was due to its PUBACK, which leaves
after the commit. During the back-fill it is taken from the store (fix time to the end of its transaction): a live fix
is committed before the old ones in front of it on its connection, but PUBACKs leave in the order received.
SOS-to-event runs from the press to the row of the event's change. Processor and memory are those of the service
process (collectors, rules, console), without PostgreSQL.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from bench.city_devices import CityReport, report_of, run_city_devices
from bench.own_store import temporary_folder
from bench.report import Result, at_least, at_most
from bench.service import Running, up
from core.errors import WanggeError
from simulators.special import SentSos
from store.session import connect
from wangge.running import find

MIB = 1024 * 1024
SAMPLE_S = 0.5
SETTLE_S = 1.0
"""The rules gather live facts for half a second before they read them; what waits longer is queued."""
EVALUATED_WITHIN_S = 600.0


@dataclass(frozen=True, slots=True)
class Size:
    """How big: devices, seconds of the load, old fixes, seconds around the back-fill, SOS presses."""

    handsets: int
    terminals: int
    seconds: float
    back_filled: int
    back_fill_seconds: float
    presses: int


FULL = Size(10_590, 1_500, 180.0, 1_000_000, 90.0, 60)
QUICK = Size(600, 85, 8.0, 20_000, 4.0, 5)


@dataclass(frozen=True, slots=True)
class Load:
    """One load and what the service did meanwhile. queued: rows waiting and facts not yet evaluated at its end."""

    report: CityReport
    seconds: float
    cpu_share: float
    peak_bytes: int
    queued: int
    sos_to_event_s: Sequence[float]
    committed_p99_s: float

    @property
    def sos_p99_s(self) -> float:
        """Infinite when an event is missing."""
        if len(self.sos_to_event_s) < 2:
            return self.sos_to_event_s[0] if self.sos_to_event_s else float("inf")
        return statistics.quantiles(self.sos_to_event_s, n=100, method="inclusive")[98]


def city(*, quick: bool = False) -> list[Result]:
    """Makes the city, then both loads on one running service."""
    size = QUICK if quick else FULL
    with temporary_folder() as folder, up(folder) as service, connect(_dsn(folder)) as connection:
        manifest = _make_city(folder, size)
        plain = _under(connection, service, manifest, size.seconds, size.presses, 0)
        results = _city_results(plain, size)
        results.append(_back_fill_result(connection, service, manifest, size))
    return results


def _dsn(folder: Path) -> str:
    return (folder / "store.dsn").read_text(encoding="utf-8").strip()


def _make_city(folder: Path, size: Size) -> Path:
    command = [sys.executable, "-m", "wangge", "demo-city", "--grids", str(size.handsets), "--no-shifts"]
    done = subprocess.run(
        [*command, "--no-components", "--data", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise WanggeError(f"demo-city failed: {done.stderr.strip()}")
    document = find(folder, None).post(
        "/api/simulation/manifest", {"handsets": size.handsets, "terminals": size.terminals}
    )
    file = folder / "manifest.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def _under(
    connection: psycopg.Connection[TupleRow],
    service: Running,
    manifest: Path,
    seconds: float,
    presses: int,
    back_filled: int,
) -> Load:
    devices = run_city_devices(manifest, service.mqtt_port, seconds=seconds, sos_count=presses, back_filled=back_filled)
    began_ms = time.time() * 1000
    began, cpu, peak = time.monotonic(), service.cpu_s(), 0
    while devices.poll() is None:
        peak = max(peak, service.resident_bytes())
        time.sleep(SAMPLE_S)
    took, used = time.monotonic() - began, service.cpu_s() - cpu
    time.sleep(SETTLE_S)
    queued = _unread(connection)
    report = report_of(devices, 60.0)
    if report.summary.unacked:
        raise WanggeError(f"{report.summary.unacked} messages were never acknowledged")
    return Load(
        report,
        took,
        used / took,
        peak,
        queued,
        _sos_to_event(connection, report.sos),
        _committed_p99_s(connection, began_ms),
    )


def _city_results(load: Load, size: Size) -> list[Result]:
    summary = load.report.summary
    parts = [
        at_most("city_load_fix_to_committed_p99", summary.fix_to_ack_p99_s, 0.25, "s", p50_s=summary.fix_to_ack_p50_s),
        at_most("city_load_sos_to_event_p99", load.sos_p99_s, 1.0, "s", presses=len(load.sos_to_event_s)),
        at_most("city_load_service_cores", load.cpu_share, 0.5, "cores"),
        at_most("city_load_service_memory", float(load.peak_bytes), 400.0 * MIB, "bytes"),
        at_most("city_load_queued", float(load.queued), 0.0, "facts"),
    ]
    whole = Result(
        "city_load",
        summary.fix_to_ack_p99_s,
        "s",
        "nothing queued, p99 ≤ 0.25 s, SOS ≤ 1 s, ≤ 0.5 core, ≤ 400 MiB",
        all(part.met for part in parts),
        details={
            "handsets": size.handsets,
            "terminals": size.terminals,
            "seconds": round(load.seconds, 1),
            "facts": summary.facts_acked,
            "simulators_cores": round(summary.cpu_s / load.seconds, 2),
        },
    )
    return [whole, *parts]


def _back_fill_result(connection: psycopg.Connection[TupleRow], service: Running, manifest: Path, size: Size) -> Result:
    load = _under(connection, service, manifest, size.back_fill_seconds, size.presses, size.back_filled)
    ended = time.monotonic()
    while (unread := _unread(connection)) and time.monotonic() - ended < 2 * EVALUATED_WITHIN_S:
        time.sleep(SAMPLE_S)
    filled, summary = load.report.back_fill, load.report.summary
    assert filled is not None
    evaluated_s = time.monotonic() - ended
    result = at_least(
        "back_fill",
        filled.facts / filled.acked_s,
        15_000.0,
        "fixes/s",
        facts=filled.facts,
        live_p99_s=round(load.committed_p99_s, 3),
        live_acknowledged_p99_s=round(summary.fix_to_ack_p99_s, 3),
        sos_p99_s=round(load.sos_p99_s, 3),
        evaluated_after_s=round(evaluated_s, 1),
        not_evaluated=unread,
        service_cores=round(load.cpu_share, 2),
        peak_bytes=load.peak_bytes,
    )
    met = (
        result.met
        and filled.complete
        and unread == 0
        and evaluated_s <= EVALUATED_WITHIN_S
        and load.committed_p99_s <= 1.0
        and load.sos_p99_s <= 1.0
    )
    goal = "≥ 15000 fixes/s, live and SOS p99 ≤ 1 s, evaluated ≤ 600 s later"
    return Result(result.name, result.value, result.unit, goal, met, details=result.details)


def _unread(connection: psycopg.Connection[TupleRow]) -> int:
    """Committed facts that the rules have not read yet."""
    row = connection.execute(
        """SELECT coalesce(sum(b.rows), 0) FROM batches AS b
           JOIN cursors AS c ON c.family = b.family AND c.lane = b.lane AND c.reader = 'alerts'
           WHERE b.seq > c.seq"""
    ).fetchone()
    assert row is not None
    return int(row[0])


def _committed_p99_s(connection: psycopg.Connection[TupleRow], since_ms: float) -> float:
    """Seconds from the time of a live fix to the end of its transaction, of fixes received since."""
    row = connection.execute(
        """SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM b.stored_at - f.fixed_at))
           FROM batches AS b JOIN fixes AS f ON f.batch_id = b.batch_id
           WHERE b.family = 'fix' AND b.lane < 2 AND b.stored_at >= to_timestamp(%s / 1000.0)""",
        (since_ms,),
    ).fetchone()
    assert row is not None
    return float(row[0])


def _sos_to_event(connection: psycopg.Connection[TupleRow], sent: Sequence[SentSos]) -> list[float]:
    """Seconds from press to event, one a press; infinite where there is none."""
    found = []
    for press in sent:
        row = connection.execute(
            """SELECT extract(epoch FROM min(c.at)) * 1000 FROM grid_events AS e
               JOIN event_changes AS c ON c.event_id = e.id
               WHERE e.subject = %s AND e.code = 'TRK-01' AND c.at >= to_timestamp(%s / 1000.0)""",
            (press.device, press.sent_at_ms),
        ).fetchone()
        assert row is not None
        found.append(float("inf") if row[0] is None else (float(row[0]) - press.sent_at_ms) / 1000)
    return found
