"""Signs of life gathered in memory and written in bulk; the facts themselves stay the truth. Event loop's thread."""

import asyncio

from core.errors import StoreUnavailable
from devices.presence import Sight, write_sights
from ingest.judgement import Row
from store.pool import Store


class Sights:
    """The newest sight of each device since the last write."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, Row | None, str]] = {}
        self._online: dict[int, tuple[bool, int]] = {}

    def see(self, device: int, received_ms: int, row: Row | None, via: str) -> None:
        """A payload came. row: its newest fix or record by device time, or None."""
        before = self._seen.get(device)
        if before is not None and (known := before[1]) is not None and (row is None or known.at_ms > row.at_ms):
            row = known
        self._seen[device] = (received_ms, row, via)

    def connect(self, device: int, online: bool, at_ms: int) -> None:
        """A device connected or disconnected."""
        self._online[device] = (online, at_ms)

    def take(self) -> list[Sight]:
        """What was gathered, and forgets it."""
        seen, self._seen = self._seen, {}
        online, self._online = self._online, {}
        return [_sight(device, seen.get(device), online.get(device)) for device in seen.keys() | online.keys()]

    async def run(self, store: Store, every_s: float) -> None:
        """Writes until cancelled. While the store is away only the newest sight of each device is kept."""
        while True:
            await asyncio.sleep(every_s)
            seen, online = self._seen, self._online
            sights = self.take()
            try:
                async with store.transaction() as connection:
                    await write_sights(connection, sights)
            except StoreUnavailable:
                self._seen = seen | self._seen
                self._online = online | self._online


def _sight(device: int, seen: tuple[int, Row | None, str] | None, online: tuple[bool, int] | None) -> Sight:
    connected, connected_ms = online or (None, None)
    if seen is None:
        return Sight(device, online=connected, online_ms=connected_ms)
    received_ms, row, via = seen
    if row is None:
        return Sight(device, received_ms, online=connected, online_ms=connected_ms, via=via)
    return Sight(device, received_ms, row.at_ms, row.lat, row.lon, row.battery, connected, connected_ms, via)
