"""From the store to MQTT: down-link rows to the devices connected here, grid events to the operators who subscribed."""

import asyncio
from typing import Any

import msgspec

from core.errors import StoreUnavailable
from ingest.mqtt import Listener
from store.event_queries import EventChange, changes_since, events_by_id, newest_change, rfc3339
from store.events import EVENTS_CHANNEL
from store.pool import Store
from wangge.mqtt_operators import MqttOperators

DOWNLINK_CHANNEL = "wangge_downlink"
AT_ONCE = 500
LOOK_AGAIN_S = 15.0
RETRY_S = 1.0


class DownlinkSender:
    """Sends waiting rows of `downlink`, notes what was sent and what the device acknowledged."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.connected: dict[int, int] = {}
        """Device key → open connections here."""
        self._delivered: set[int] = set()
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something may wait for a device that is connected."""
        self._wake.set()

    def delivered(self, message_id: str) -> None:
        """A device acknowledged a message."""
        self._delivered.add(int(message_id))
        self._wake.set()

    async def listen(self) -> None:
        """Wakes at every new row, for ever."""
        async for _notice in self._store.listen(DOWNLINK_CHANNEL):
            self._wake.set()

    async def run(self, listener: Listener) -> None:
        """Sends until cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._send(listener)
            except StoreUnavailable:
                self._wake.set()
                await asyncio.sleep(RETRY_S)

    async def _send(self, listener: Listener) -> None:
        """Index: downlink_waiting."""
        delivered = set(self._delivered)
        async with self._store.transaction() as connection:
            if delivered:
                await connection.execute(
                    "UPDATE downlink SET delivered_at = now() WHERE id = ANY(%s)", [list(delivered)]
                )
            cursor = await connection.execute(
                """SELECT id, device, topic, payload, qos, retain FROM downlink
                   WHERE delivered_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AND device = ANY(%s)
                   ORDER BY device, id LIMIT %s""",
                [list(self.connected), AT_ONCE],
            )
            sent = [
                key
                for key, device, topic, payload, qos, retain in await cursor.fetchall()
                if listener.send(device, topic, bytes(payload), qos=qos, retain=retain, message_id=str(key))
            ]
            if sent:
                await connection.execute(
                    """UPDATE downlink SET sent_at = coalesce(sent_at, now()), attempts = attempts + 1
                       WHERE id = ANY(%s)""",
                    [sent],
                )
        self._delivered -= delivered


async def broadcast(store: Store, listener: Listener, operators: MqttOperators) -> None:
    """Grid events as CloudEvents 1.0 to subscribed operators, from now on, for ever; waits while the store is away."""
    seq: int | None = None
    async for _notice in store.listen(EVENTS_CHANNEL):
        more = True
        while more:
            try:
                async with store.connection() as connection:
                    if seq is None:
                        seq = await newest_change(connection)
                    changes = await changes_since(connection, seq, AT_ONCE)
                    found = await events_by_id(connection, list({change.event_id for change in changes}))
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
                continue
            events = {event.id: event for event in found}
            for change in changes:
                event = events[change.event_id]
                seq, place = change.seq, event.grid or event.division
                listener.broadcast(
                    f"wangge/v1/events/{event.level}/{event.code}",
                    msgspec.json.encode(cloud_event(change, event.as_json())),
                    lambda device, place=place: operators.may_see(device, place),  # type: ignore[misc]
                )
            more = len(changes) == AT_ONCE


def cloud_event(change: EventChange, event: dict[str, Any]) -> dict[str, Any]:
    """A change of a grid event as CloudEvents 1.0 JSON."""
    return {
        "specversion": "1.0",
        "id": f"{change.event_id}-{change.version}",
        "source": "/wangge",
        "type": f"wangge.grid_event.{change.what}",
        "subject": change.event_id,
        "time": rfc3339(change.at_ms),
        "datacontenttype": "application/json",
        "data": event,
    }
