"""The service was down for half an hour: that nothing was heard meanwhile is nobody's fault, so there is no event."""

import asyncio
import time
from pathlib import Path

from core.fix import StoredFix
from core.reading import KindCode, StoredReading
from tests.faults.harness import Up, rows, running, until
from tests.faults.load import waiting
from tests.support.facts import FactWriter, ready_between
from tests.support.service import wangge

MINUTE_MS = 60_000
SILENCE = {"WANGGE_ALERTS__RULES__TRK_02__AFTER_S": "3", "WANGGE_ALERTS__RULES__POS_01__AFTER_S": "3"}
LOOKS_S = 6.0
"""The engine looks at the collectors' heartbeats every 5 s."""


def absences(dsn: str) -> list[str]:
    """Codes of events that say something was silent."""
    return [code for (code,) in rows(dsn, "SELECT code FROM grid_events WHERE code IN ('TRK-02', 'POS-01', 'DQ-01')")]


async def test_half_an_hour_without_us(service_folder: Path) -> None:
    """Heard until 30 min ago, then we were down; and the same silence once it is said that somebody had listened."""
    up = Up(service_folder / "data", **SILENCE)
    async with running(up):
        made = await asyncio.to_thread(
            wangge, "demo-city", "--grids", "3", "--no-shifts", "--no-components", "--data", str(up.data)
        )
        assert made.returncode == 0, made.stderr
        dsn = up.dsn
        devices = dict(rows(dsn, "SELECT key, kind FROM devices"))
        now_ms = round(time.time() * 1000)
        heard_ms = now_ms - 30 * MINUTE_MS
        ready_between(dsn, heard_ms - 120 * MINUTE_MS, heard_ms)
        with FactWriter(dsn) as writer:
            handsets = [key for key, kind in devices.items() if kind == "handset"]
            terminals = [key for key, kind in devices.items() if kind == "terminal"]
            assert handsets
            assert terminals
            writer.fixes([StoredFix(key, heard_ms, heard_ms, key, 26.22, 111.62, 0, 1) for key in handsets])
            beat = int(KindCode.HEARTBEAT)
            writer.readings([StoredReading(key, heard_ms, heard_ms, key, "b", 1, beat, 0, 1) for key in terminals])
        await until(lambda: not waiting(dsn), 20, "the engine")
        await asyncio.sleep(LOOKS_S)
        assert absences(dsn) == []
        ready_between(dsn, heard_ms, now_ms)
        await until(lambda: {"TRK-02", "POS-01"} & set(absences(dsn)) or "DQ-01" in absences(dsn), 30, "the silence")
