"""The simulators' city through the rules: what was injected is found, a clean city is quiet (domain: ≤ 1 event per
1,000 device-days and rule)."""

from datetime import UTC, datetime

import msgspec
import pytest

from alerts.evaluate import Outcome, evaluate
from alerts.settings import RulesSettings
from alerts.state import Memory
from alerts.subjects import World
from core.event import Finding
from core.lane import POS, Lane
from core.reading import KindCode, ResultCode, ServiceCode, StoredReading
from simulators import history
from simulators.anomalies import AnomalyMix
from simulators.manifest import Manifest, made_up
from simulators.truth import Injected
from tests.alerts.simulated import Played, play, registry_of

START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
SLACK_MS = 8 * 60_000
"""A rule may date a beginning earlier than the truth: the worker stood near the place before arriving at it."""


def city(handsets: int, terminals: int, hours: float) -> tuple[Manifest, Memory]:
    manifest = made_up(handsets, terminals, start=START, hours=hours + 1)
    profiled = [msgspec.structs.replace(terminal, profiled=True) for terminal in manifest.terminals]
    manifest = Manifest(manifest.handsets, profiled)
    return manifest, Memory(World(registry_of(manifest), "4311"), RulesSettings())


async def learn(memory: Memory, manifest: Manifest) -> list[Finding]:
    """Five weeks of sales, back-filled."""
    ids = {record.id: record.key for record in memory.world.registry.devices()}
    facts = [
        StoredReading(
            ids[row["terminal"]],
            row["at_ms"],
            START_MS - 1,
            n,
            row["boot"],
            row["seq"],
            int(KindCode.TRANSACTION),
            0,
            Lane.BACKFILL,
            amount_fen=row["amount_fen"],
            service=int(ServiceCode[row["service"].upper()]),
            result=int(ResultCode[row["result"].upper()]),
            card_ref=row["card_ref"],
        )
        for n, row in enumerate(history.pos_transactions(manifest.terminals, end_ms=START_MS, weeks=5))
    ]
    outcome = Outcome()
    await evaluate(memory, POS, Lane.BACKFILL, facts, outcome)
    return [finding for _, finding in outcome.findings]


def compare(played: Played) -> tuple[list[Injected], list[Finding]]:
    """(what had to be found and was not, what was found and never done)."""
    opened = played.opened()
    used: set[int] = set()
    missed = []
    for row in played.truth:
        until = float("inf") if row.ended_at_ms is None else row.ended_at_ms + SLACK_MS
        hits = {
            i
            for i, finding in enumerate(opened)
            if (finding.code, finding.subject) == (row.code, row.subject)
            and row.began_at_ms - SLACK_MS <= finding.at_ms <= until
        }
        used |= set() if row.near_miss else hits
        if row.detectable and not hits:
            missed.append(row)
    return missed, [finding for i, finding in enumerate(opened) if i not in used]


async def test_what_was_done_is_found_and_nothing_else() -> None:
    manifest, memory = city(65, 26, 2.2)
    assert await learn(memory, manifest) == []
    played = await play(manifest, START_MS, 2.2 * 3600, AnomalyMix(0.8), 3, memory)
    missed, unexpected = compare(played)
    assert missed == []
    assert unexpected == []
    codes = {row.code for row in played.truth if row.detectable}
    assert codes >= {"TRK-01", "TRK-02", "TRK-03", "TRK-04", "TRK-05", "TRK-06", "TRK-07", "POS-01", "POS-02", "POS-03"}
    assert codes >= {"POS-04", "POS-05", "POS-06"}


async def test_a_clean_hour_is_quiet() -> None:
    manifest, memory = city(60, 12, 1.5)
    await learn(memory, manifest)
    played = await play(manifest, START_MS, 1.5 * 3600, AnomalyMix(0.0), 5, memory)
    assert played.opened() == []


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_a_clean_day_of_a_district_is_quiet() -> None:
    """1,000 device-days (handsets' of 8 h): at most one event a rule."""
    manifest, memory = city(700, 100, 8.0)
    await learn(memory, manifest)
    played = await play(manifest, START_MS, 8 * 3600, AnomalyMix(0.0), 7, memory)
    codes = [finding.code for finding in played.opened()]
    assert all(codes.count(code) <= 1 for code in codes)
