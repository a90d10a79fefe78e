"""The first grid events of a demo, printed for the person who started it; then the terminal is quiet again."""

import asyncio
import sys
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from core.errors import StoreUnavailable
from core.event import CATALOGUE
from core.supervise import Part
from store.pool import Store

POLL_S = 1.0
SHOWN_FOR_S = 120.0
SHOWN_AT_MOST = 12


async def show_first(part: Part, store: Store, zone: ZoneInfo, began: datetime, pages: str) -> None:
    """Prints events detected from `began` on, one a line, for two minutes or twelve lines."""
    part.ready()
    seen: set[str] = set()
    loop = asyncio.get_running_loop()
    ends = loop.time() + SHOWN_FOR_S
    while loop.time() < ends and len(seen) < SHOWN_AT_MOST:
        try:
            for event_id, *row in await _since(store, began):
                if event_id not in seen and len(seen) < SHOWN_AT_MOST:
                    seen.add(event_id)
                    _say(_line(zone, *row))
        except StoreUnavailable:
            part.degraded("the store is away")
        await asyncio.sleep(POLL_S)
    _say(f"More events are on {pages}/; this terminal shows only what goes wrong with the service itself.")


async def _since(store: Store, began: datetime) -> list[Any]:
    """Index: grid_events_detected."""
    async with store.connection() as connection:
        cursor = await connection.execute(
            """SELECT id, detected_at, code, severity, subject, grid FROM grid_events
               WHERE detected_at >= %s ORDER BY detected_at, id LIMIT %s""",
            [began, SHOWN_AT_MOST],
        )
        return await cursor.fetchall()


def _line(zone: ZoneInfo, at: datetime, code: str, severity: int, subject: str, grid: str | None) -> str:
    known = CATALOGUE.get(code)
    name = f"{known.name} ({known.name_en})" if known else ""
    return f"{at.astimezone(zone):%H:%M:%S}  severity {severity}  {code}  {name}  {subject}  grid {grid or '-'}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
