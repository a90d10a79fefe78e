"""MQTT sessions that outlive a connection, kept in the store: read at CONNECT, written behind, in order, with retries.

Owner of a row is the device's key as text. A session that was just saved or discarded is seen at once by `load`.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from core.errors import StoreUnavailable
from ingest.mqtt import Downlink, SessionRecord, Will
from store.pool import Connection, Store

WRITE_EVERY_S = 0.2
RETRY_S = 1.0

_Key = tuple[int, str]


class KeptSessions:
    """The `SessionStore` of the listener. `run` writes behind; `_waiting` holds the newest of each session."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[_Key, tuple[SessionRecord, float] | None] = {}
        self._retained: dict[tuple[int, str], bytes] = {}
        self._wake = asyncio.Event()

    async def load(self, device_key: int, client_id: str) -> SessionRecord | None:
        """The record, unless it is unknown or expired."""
        key = (device_key, client_id)
        if key in self._waiting:
            waiting = self._waiting[key]
            return waiting[0] if waiting else None
        async with self._store.connection() as connection:
            cursor = await connection.execute(
                """SELECT subscriptions, inflight FROM mqtt_sessions
                   WHERE owner = %s AND client_id = %s AND expires_at > now()""",
                [str(device_key), client_id],
            )
            row = await cursor.fetchone()
        return _record(device_key, client_id, *row) if row else None

    def save(self, record: SessionRecord, expires_after_s: float) -> None:
        """Keeps it; a later save of the same session replaces one that still waits."""
        self._waiting[record.device_key, record.client_id] = (record, expires_after_s)
        self._wake.set()

    def discard(self, device_key: int, client_id: str) -> None:
        """Forgets it."""
        self._waiting[device_key, client_id] = None
        self._wake.set()

    async def retained(self, device_key: int) -> Sequence[tuple[str, bytes]]:
        """Retained messages of a device: its own `state`, and what `retain` kept."""
        async with self._store.connection() as connection:
            cursor = await connection.execute(
                """SELECT r.topic, r.payload FROM mqtt_retained r, devices d
                   WHERE d.key = %s AND starts_with(r.topic, 'wangge/v1/' || d.id || '/')""",
                [device_key],
            )
            kept = {topic: bytes(payload) for topic, payload in await cursor.fetchall()}
        kept |= {topic: payload for (key, topic), payload in self._retained.items() if key == device_key}
        return [(topic, payload) for topic, payload in kept.items() if payload]

    def retain(self, device_key: int, topic: str, payload: bytes) -> None:
        """Keeps the last message of a down-link topic; an empty payload clears it."""
        self._retained[device_key, topic] = payload
        self._wake.set()

    async def run(self) -> None:
        """Writes until cancelled; while the store is away everything waits, the newest of each session alone."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.flush()
                await asyncio.sleep(WRITE_EVERY_S)
            except StoreUnavailable:
                self._wake.set()
                await asyncio.sleep(RETRY_S)

    async def flush(self) -> None:
        """Writes what waits, in one transaction. Raises StoreUnavailable; nothing is lost then."""
        waiting, retained = dict(self._waiting), dict(self._retained)
        if not waiting and not retained:
            return
        async with self._store.transaction() as connection:
            for (device_key, client_id), entry in waiting.items():
                await _write(connection, device_key, client_id, entry)
            for (_, topic), payload in retained.items():
                await _write_retained(connection, topic, payload)
        for key, entry in waiting.items():
            if self._waiting.get(key) is entry:
                del self._waiting[key]
        for name, payload in retained.items():
            if self._retained.get(name) is payload:
                del self._retained[name]


async def _write(
    connection: Connection, device_key: int, client_id: str, entry: tuple[SessionRecord, float] | None
) -> None:
    if entry is None:
        await connection.execute(
            "DELETE FROM mqtt_sessions WHERE owner = %s AND client_id = %s", [str(device_key), client_id]
        )
        return
    record, expires_after_s = entry
    await connection.execute(
        """INSERT INTO mqtt_sessions (owner, client_id, subscriptions, inflight, expires_at)
           VALUES (%s, %s, %s, %s, now() + make_interval(secs => %s))
           ON CONFLICT (owner, client_id) DO UPDATE SET subscriptions = excluded.subscriptions,
               inflight = excluded.inflight, expires_at = excluded.expires_at""",
        [str(device_key), client_id, Jsonb(record.subscriptions), Jsonb(_messages(record)), expires_after_s],
    )


async def _write_retained(connection: Connection, topic: str, payload: bytes) -> None:
    if not payload:
        await connection.execute("DELETE FROM mqtt_retained WHERE topic = %s", [topic])
        return
    await connection.execute(
        """INSERT INTO mqtt_retained (topic, payload, qos) VALUES (%s, %s, 1)
           ON CONFLICT (topic) DO UPDATE SET payload = excluded.payload, stored_at = now()""",
        [topic, payload],
    )


def _messages(record: SessionRecord) -> dict[str, Any]:
    """In flight, queued and will as JSON (payloads in base64)."""
    return {
        "in_flight": [[packet, _plain(message)] for packet, message in record.in_flight],
        "queued": [_plain(message) for message in record.queued],
        "will": _plain(record.will) if record.will is not None else None,
    }


def _plain(message: Downlink | Will) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(message)
    return plain


def _record(device_key: int, client_id: str, subscriptions: dict[str, int], kept: dict[str, Any]) -> SessionRecord:
    return SessionRecord(
        device_key,
        client_id,
        subscriptions,
        tuple((int(packet), msgspec.convert(message, Downlink)) for packet, message in kept["in_flight"]),
        tuple(msgspec.convert(message, Downlink) for message in kept["queued"]),
        msgspec.convert(kept["will"], Will) if kept["will"] else None,
    )
