"""The rule engine alone in a process that a test may kill: `python -m tests.alerts.engine_process DSN HANDSETS`."""

import asyncio
import sys

from alerts.engine import Engine
from alerts.settings import AlertsSettings, BudgetSettings, EngineSettings
from core.health import Board
from core.supervise import Supervisor
from store.pool import Store
from tests.support.city import ZONE, make_city


async def main(dsn: str, handsets: int) -> None:
    settings = AlertsSettings(
        budget=BudgetSettings(enabled=False),
        engine=EngineSettings(lease_ttl_s=1.0, live_rows=40, backfill_rows=30, urgent_rows=5, live_gather_s=0.02),
    )
    registry = make_city(handsets).registry
    async with Store(dsn) as store, Supervisor(Board()) as tree:
        tree.start("alerts", Engine(store, lambda: registry, settings, zone=ZONE).run)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
