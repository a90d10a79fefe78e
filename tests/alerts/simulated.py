"""The simulators' city played through the rules without a store: hours of hundreds of devices in seconds.

The same evaluation and the same clock judgement as the engine's, in the order in which its tails would give the facts.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from alerts import absence
from alerts.evaluate import Outcome, evaluate
from alerts.ready_time import ReadyTime
from alerts.settings import RulesSettings
from alerts.state import Memory
from alerts.subjects import World
from core.event import Finding
from core.fix import AlarmCode, Flag, StoredFix
from core.lane import FIX, POS, Lane
from core.reading import KindCode, PaperCode, ResultCode, ServiceCode, StoredReading
from devices.geometry import Grid
from devices.records import FOREVER, NEVER, Assignment, DeviceRecord, Place, Site
from devices.registry import Registry, Tables
from devices.shifts import PlanRow, WorkerShifts
from simulators.anomalies import AnomalyMix
from simulators.handsets import HandsetFleet
from simulators.manifest import Manifest
from simulators.outgoing import Outgoing
from simulators.terminals import TerminalFleet
from simulators.truth import Injected
from tests.support.city import ZONE

TERMINALS_FROM = 100_000


def registry_of(manifest: Manifest) -> Registry:
    """The manifest's devices, each on planned duty all day in its own grid."""
    devices, grids, places, sites, worker_grids, handset_workers, shifts = {}, {}, {}, {}, {}, {}, {}
    all_day = WorkerShifts(tuple(PlanRow(day, 0, 0, 1, None) for day in range(1, 8)), {}, ZONE)
    for i, handset in enumerate(manifest.handsets):
        key, worker, code = i + 1, f"w{i}", f"431102{i:09d}"
        lons, lats = [p[0] for p in handset.polygon], [p[1] for p in handset.polygon]
        text = msgspec.json.encode({"type": "Polygon", "coordinates": [handset.polygon]}).decode()
        grids[code] = Grid(code, code, "urban", text, (min(lons), min(lats), max(lons), max(lats)))
        places[code] = tuple(
            Place(f"{code}/{n}", code, "work", "p", p.lat, p.lon, p.radius_m, 0, None)
            for n, p in enumerate(handset.work_places)
        )
        devices[key] = DeviceRecord(key, handset.id, "handset")
        handset_workers[key] = (Assignment(NEVER, FOREVER, worker),)
        worker_grids[worker] = (Assignment(NEVER, FOREVER, code),)
        shifts[worker] = all_day
    for i, terminal in enumerate(manifest.terminals):
        key = TERMINALS_FROM + i
        devices[key] = DeviceRecord(key, terminal.id, "terminal")
        sites[key] = (Site(NEVER, FOREVER, f"431102{i:09d}", terminal.lat, terminal.lon),)
    return Registry(
        Tables(
            devices=devices,
            grids=grids,
            places=places,
            sites=sites,
            worker_grids=worker_grids,
            handset_workers=handset_workers,
            shifts=shifts,
        )
    )


@dataclass
class Played:
    """What a run gave: findings in order, and the ground truth."""

    findings: list[Finding] = field(default_factory=list)
    truth: list[Injected] = field(default_factory=list)

    def opened(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.kind == "open"]


async def play(
    manifest: Manifest, start_ms: int, seconds: float, mix: AnomalyMix, seed: int = 1, memory: Memory | None = None
) -> Played:
    """Runs both fleets and the rules. memory: carries what the rules know from before (see `remember`)."""
    memory = memory or Memory(World(registry_of(manifest), "4311"), RulesSettings())
    memory.world.ready = ReadyTime([(start_ms - 3_600_000, start_ms + 10**12)])
    handsets = HandsetFleet(manifest.handsets, seconds=seconds, seed=seed, start_ms=start_ms, mix=mix)
    terminals = TerminalFleet(manifest.terminals, seconds=seconds, seed=seed, start_ms=start_ms, mix=mix)
    played, waiting = Played(), list[Outgoing]()
    ids = {record.id: record.key for record in memory.world.registry.devices()}
    digest, seen = 0, set[tuple[object, ...]]()
    while terminals.now_ms < start_ms + seconds * 1000:
        waiting += terminals.step()
        while manifest.handsets and handsets.now_ms < terminals.now_ms:
            waiting += handsets.step()
        now_ms = terminals.now_ms
        due = [message for message in waiting if message.due_ms <= now_ms]
        waiting = [message for message in waiting if message.due_ms > now_ms]
        lanes: dict[tuple[str, Lane], list[Any]] = {}
        for message in due:
            for body in _objects(message.body):
                key = (message.device, body.get("fixed_at") or body["at"], body.get("seq"), body.get("boot"))
                if key in seen:
                    continue  # the store has it already
                seen.add(key)
                digest += 1
                family, lane, fact = stored(message.kind, ids[message.device], body, message.due_ms + 200, digest)
                lanes.setdefault((family, lane), []).append(fact)
        outcome = Outcome()
        for lane in Lane:
            for family in (FIX, POS):
                facts = lanes.get((family, lane), [])
                facts.sort(key=lambda f: (f.fixed_at_ms if isinstance(f, StoredFix) else f.at_ms, f.device, f.digest))
                await evaluate(memory, family, lane, facts, outcome)
        memory.world.now_ms = now_ms
        absence.tick(memory, 10_000, outcome)
        absence.end_mass_silences(memory, outcome)
        played.findings += [finding for _, finding in outcome.findings]
    played.truth = handsets.truth() + terminals.truth()
    return played


def _objects(body: bytes) -> list[dict[str, Any]]:
    found = msgspec.json.decode(body)
    return found if isinstance(found, list) else [found]


def stored(kind: str, device: int, body: dict[str, Any], received_ms: int, digest: int) -> tuple[str, Lane, Any]:
    """A message's object as the row that admission makes of it, and its lane."""
    if kind == "fix":
        at_ms = body["fixed_at"]
        alarm = body.get("alarm")
        flags = Flag.MOCK if body.get("mock") else Flag(0)
        if body["accuracy_m"] > 100:
            flags |= Flag.INACCURATE
        lane = Lane.URGENT if alarm else Lane.BACKFILL if received_ms - at_ms > 120_000 else Lane.LIVE
        fix = StoredFix(
            device,
            at_ms,
            received_ms,
            digest,
            body["lat"],
            body["lon"],
            int(flags),
            lane,
            accuracy_m=body["accuracy_m"],
            speed_mps=body["speed_mps"],
            battery=body["battery"],
            alarm=int(AlarmCode[alarm.upper()]) if alarm else None,
        )
        return FIX, lane, fix
    at_ms = round(datetime.fromisoformat(body["at"]).astimezone(UTC).timestamp() * 1000)
    late = received_ms - at_ms > 120_000
    lane = Lane.URGENT if body["kind"] == "tamper" else Lane.BACKFILL if late else Lane.LIVE
    reading = StoredReading(
        device,
        at_ms,
        received_ms,
        digest,
        body["boot"],
        body["seq"],
        int(KindCode[body["kind"].upper()]),
        0,
        lane,
        amount_fen=body.get("amount_fen"),
        service=_code(ServiceCode, body.get("service")),
        result=_code(ResultCode, body.get("result")),
        decline_code=body.get("decline_code"),
        card_ref=body.get("card_ref"),
        paper=_code(PaperCode, body.get("paper")),
        component=body.get("component"),
        code=body.get("code"),
        sensor=body.get("sensor"),
        lat=body.get("lat"),
        lon=body.get("lon"),
    )
    return POS, lane, reading


def _code(codes: Any, name: str | None) -> int | None:
    return None if name is None else int(codes[name.upper()])
