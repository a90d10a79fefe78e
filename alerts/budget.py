"""The daily budget of a rule in a division (domain): max(20, 5 per 1,000 devices) events; SOS and tamper are exempt.

Days are the site's. The count is a row that the engine's transaction raises, so that it survives a crash exactly.
"""

import asyncio
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from alerts.settings import BudgetSettings
from core.event import CATALOGUE
from devices.registry import Registry

Connection = AsyncConnection[TupleRow]


class Budget:
    """Asked once for each event that is about to be opened."""

    def __init__(self, settings: BudgetSettings, zone: ZoneInfo) -> None:
        self._settings = settings
        self._zone = zone
        self._counted: Registry | None = None
        self._devices: dict[str, int] = {}

    def day_of(self, at_ms: int) -> str:
        """The site's day of an instant, `2026-01-31`."""
        return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(self._zone).date().isoformat()

    async def spend(self, connection: Connection, registry: Registry, code: str, division: str, at_ms: int) -> bool:
        """Counts one event. False: the budget of the day is spent, the finding must be merged."""
        if not self._settings.enabled or not CATALOGUE[code].budgeted:
            return True
        cursor = await connection.execute(
            "INSERT INTO rule_budgets AS b (day, code, division, found) VALUES (%s, %s, %s, 1) "
            "ON CONFLICT (day, code, division) DO UPDATE SET found = b.found + 1 RETURNING found",
            (self.day_of(at_ms), code, division),
        )
        row = await cursor.fetchone()
        assert row is not None
        if row[0] <= self._settings.least:
            return True
        return bool(row[0] <= await self.limit(registry, division))

    async def limit(self, registry: Registry, division: str) -> int:
        """Events a day that a rule may open in a division."""
        if self._counted is not registry:
            self._devices = await asyncio.to_thread(_devices_by_division, registry)
            self._counted = registry
        share = self._settings.per_thousand * self._devices.get(division, 0) / 1000
        return max(self._settings.least, round(share))


def _devices_by_division(registry: Registry) -> dict[str, int]:
    """Counts devices by district; 20 ms for a city, hence not in the event loop."""
    counts: dict[str, int] = {}
    now_ms = round(datetime.now(UTC).timestamp() * 1000)
    for record in registry.devices():
        division = registry.division_of(record.key, now_ms)
        if division is not None:
            counts[division] = counts.get(division, 0) + 1
    return counts
