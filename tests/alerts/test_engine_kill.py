"""SIGKILL of the engine in the middle of a stream of facts: afterwards no event is missing and none is doubled."""

import asyncio
import random
import sys
import time

import psycopg
import pytest

from alerts.evaluate import Outcome, evaluate
from alerts.settings import RulesSettings
from alerts.state import Memory
from alerts.subjects import World
from core.fix import AlarmCode, Flag, StoredFix
from core.lane import FIX, POS, Lane
from core.reading import KindCode, ResultCode, StoredReading
from store.pool import Store
from tests.alerts.room import START_MS
from tests.support.city import at_metres, make_city
from tests.support.facts import FactWriter

HANDSETS = 40
Batch = tuple[Lane, list[StoredFix] | list[StoredReading]]


def stream(rng: random.Random, rounds: int) -> list[Batch]:
    """Batches in all lanes with SOS, mock, low power, tampering, faults and declines of many devices."""
    batches: list[Batch] = []
    digest = 0
    for n in range(rounds):
        live, urgent, old, records = [], [], [], []
        for i in range(HANDSETS):
            digest += 1
            at = START_MS + n * 10_000
            lat, lon = at_metres(i * 500 + 250, 250)
            flags = Flag.MOCK if rng.random() < 0.02 else Flag(0)
            battery = 0.1 if (n // 7 + i) % 11 == 0 else 0.9
            live.append(StoredFix(i + 1, at, at + 90, digest, lat, lon, flags, 1, accuracy_m=5.0, battery=battery))
            if rng.random() < 0.03:
                alarm = int(AlarmCode.SOS)
                urgent.append(StoredFix(i + 1, at + 1, at + 95, digest, lat, lon, 0, 0, alarm=alarm))
            old.append(StoredFix(i + 1, at - 50_000_000, at, digest, lat, lon, 0, 2, accuracy_m=5.0))
            result = int(ResultCode.DECLINED if rng.random() < 0.2 else ResultCode.APPROVED)
            kind = int(KindCode.TAMPER if rng.random() < 0.01 else KindCode.TRANSACTION)
            key = 100_000 + i + 1
            records.append(
                StoredReading(
                    key, at, at + 90, digest, "b", n, kind, 0, 1, amount_fen=1, service=0, result=result, card_ref="c"
                )
            )
        batches += [(Lane.LIVE, live), (Lane.LIVE, records), (Lane.BACKFILL, old)]
        if urgent:
            batches.append((Lane.URGENT, urgent))
    return batches


async def expected(batches: list[Batch]) -> dict[str, int]:
    """Event keys and counts of an uninterrupted run: the same rules on the same facts, without a store."""
    memory = Memory(World(make_city(HANDSETS).registry, "4311"), RulesSettings())
    counts: dict[str, int] = {}
    for lane, facts in batches:
        outcome = Outcome()
        await evaluate(memory, FIX if isinstance(facts[0], StoredFix) else POS, lane, facts, outcome)
        for _, finding in outcome.findings:
            if finding.kind in ("open", "repeat"):
                counts[finding.key] = counts.get(finding.key, 0) + 1
    return counts


async def kill_and_compare(store: Store, kills: int, rounds: int) -> None:
    rng = random.Random(kills)
    batches = stream(rng, rounds)
    wanted = await expected(batches)
    assert len(wanted) > 50
    moments = sorted(rng.sample(range(5, len(batches)), kills))

    async def start() -> asyncio.subprocess.Process:
        command = ("-m", "tests.alerts.engine_process", store.dsn, str(HANDSETS))
        return await asyncio.create_subprocess_exec(sys.executable, *command)

    process = await start()
    try:
        with FactWriter(store.dsn) as writer:
            for index, (lane, facts) in enumerate(batches):
                if isinstance(facts[0], StoredFix):
                    await asyncio.to_thread(writer.fixes, facts, lane)  # type: ignore[arg-type]
                else:
                    await asyncio.to_thread(writer.readings, facts, lane)  # type: ignore[arg-type]
                await asyncio.sleep(0.01)
                if index in moments:
                    await works(store, moments.index(index) + 1)
                    await asyncio.sleep(rng.uniform(0.0, 0.3))
                    process.kill()
                    await process.wait()
                    process = await start()
        await caught_up(store)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    with psycopg.connect(store.dsn) as connection:
        found = dict(connection.execute("SELECT key, count FROM grid_events").fetchall())
        changes = connection.execute(
            "SELECT count(*), count(DISTINCT (event_id, version)), count(DISTINCT seq) FROM event_changes"
        ).fetchone()
    found = {key: count for key, count in found.items() if not key.startswith(("DQ-01", "POS-06"))}
    assert found == {key: count for key, count in wanted.items() if not key.startswith("POS-06")}
    assert changes is not None
    assert changes[0] == changes[1] == changes[2]


async def works(store: Store, epoch: int) -> None:
    """Until the engine of that life has the lease and goes on from its cursors."""
    deadline = time.monotonic() + 60
    with psycopg.connect(store.dsn, autocommit=True) as connection:
        while time.monotonic() < deadline:
            row = connection.execute(
                "SELECT count(*) FROM leases, cursors WHERE epoch >= %s AND reader = 'alerts' "
                "AND updated_at > acquired_at",
                (epoch,),
            ).fetchone()
            if row and row[0] > 0:
                return
            await asyncio.sleep(0.02)
    raise AssertionError("the engine did not start to work")


async def caught_up(store: Store) -> None:
    deadline = time.monotonic() + 60
    with psycopg.connect(store.dsn, autocommit=True) as connection:
        while time.monotonic() < deadline:
            row = connection.execute(
                "SELECT count(*) FROM batches AS b LEFT JOIN cursors AS c ON c.reader = 'alerts' "
                "AND (c.family, c.lane) = (b.family, b.lane) WHERE b.seq > coalesce(c.seq, 0)"
            ).fetchone()
            if row == (0,):
                return
            await asyncio.sleep(0.05)
    raise AssertionError("the engine did not catch up")


async def test_two_kills_lose_and_double_nothing(store: Store) -> None:
    await kill_and_compare(store, kills=2, rounds=40)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_twenty_kills(store: Store) -> None:
    await kill_and_compare(store, kills=20, rounds=300)
