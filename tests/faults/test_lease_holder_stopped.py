"""SIGSTOP of the process that holds the engine's lease: another takes over, the first is fenced, nothing is doubled."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.faults.harness import Serve, add_devices, known, rows, running, until
from tests.faults.load import check_events, check_exactly_once, mqtt_load, sending

SHORT_TTL = {"WANGGE_ALERTS__ENGINE__LEASE_TTL_S": "2"}
TAKES_OVER_WITHIN_S = 20.0


def holder(dsn: str) -> tuple[int, int]:
    """(epoch, process id) of the engine that holds the lease now; (0, 0) when none does."""
    found = rows(dsn, "SELECT epoch, holder FROM leases WHERE name = 'alerts' AND expires_at > clock_timestamp()")
    return (found[0][0], int(found[0][1].split(":")[1])) if found else (0, 0)


def is_fenced(engine: Serve) -> bool:
    """Whether an engine that goes on has noticed: its lease is another's, or, when it was stopped in the middle of a
    transaction, the server has ended its session meanwhile (store.leases.FENCED_IDLE_S)."""
    return "not ours any more" in engine.said or "server closed the connection" in engine.said


@pytest.mark.parametrize(
    ("seconds", "rounds"),
    [(8.0, 1), pytest.param(60.0, 3, marks=[pytest.mark.soak, pytest.mark.timeout(600)])],
)
async def test_stopped_engine_is_fenced(migrated_dsn: str, tmp_path: Path, seconds: float, rounds: int) -> None:
    dsn = migrated_dsn
    collector = Serve(tmp_path, dsn, "ingest")
    engines = [Serve(tmp_path, dsn, "alerts", **(SHORT_TTL if seconds < 20 else {})) for _ in range(2)]
    async with running(collector, *engines):
        devices = add_devices(dsn, handsets=20, terminals=10)
        await known(collector, devices)
        load = mqtt_load(collector, devices, 300)
        async with sending(load):
            for _ in range(rounds):
                await until(lambda: holder(dsn)[0], TAKES_OVER_WITHIN_S, "an engine")
                epoch, pid = holder(dsn)
                (first,) = [one for one in engines if one.pid == pid]
                (second,) = [one for one in engines if one.pid != pid]
                ends = time.monotonic() + seconds
                with first.stopped():
                    await until(lambda e=epoch: holder(dsn)[0] > e, TAKES_OVER_WITHIN_S, "the take-over")  # type: ignore[misc]
                    assert holder(dsn)[1] == second.pid
                    await asyncio.sleep(max(0.0, ends - time.monotonic()))
                await until(lambda f=first: is_fenced(f), 20, "the fence")  # type: ignore[misc]
                await first.ready()
                assert holder(dsn) == (epoch + 1, second.pid)
        check_exactly_once(dsn, load)
        await check_events(dsn, load)
