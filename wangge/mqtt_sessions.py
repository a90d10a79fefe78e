"""MQTT sessions that outlive a connection, kept in the store: read at CONNECT, written behind, in order, with retries.

Owner of a row is the device's key as text. A session that was just saved or discarded is seen at once by `load`.
When a whole city comes back at once, its sessions are read and written by the hundred, on one connection of the pool
each, so that nobody else waits for one.
"""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

import msgspec
from psycopg.types.json import Jsonb

from core.errors import StoreUnavailable
from ingest.mqtt import Downlink, SessionRecord, Will
from store.pool import Connection, Store
from wangge.gathered import Gathered

WRITE_EVERY_S = 0.2
RETRY_S = 1.0
AT_ONCE: Final = 500

_Key = tuple[int, str]
_Entry = tuple[SessionRecord, float] | None
_Retained = list[tuple[str, bytes]]
_K = TypeVar("_K")
_V = TypeVar("_V")


class KeptSessions:
    """The `SessionStore` of the listener. `run` writes behind; `_waiting` holds the newest of each session."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[_Key, _Entry] = {}
        self._retained: dict[tuple[int, str], bytes] = {}
        self._wake = asyncio.Event()
        self._read = Gathered(self._read_sessions, AT_ONCE)
        self._read_retained = Gathered(self._read_all_retained, AT_ONCE)

    async def load(self, device_key: int, client_id: str) -> SessionRecord | None:
        """The record, unless it is unknown or expired."""
        key = (device_key, client_id)
        if key in self._waiting:
            waiting = self._waiting[key]
            return waiting[0] if waiting else None
        return await self._read.get(key)

    async def _read_sessions(self, keys: list[_Key]) -> dict[_Key, SessionRecord]:
        """Index: mqtt_sessions_pkey."""
        async with self._store.connection() as connection:
            cursor = await connection.execute(
                """SELECT owner, client_id, subscriptions, inflight
                   FROM unnest(%s::text[], %s::text[]) AS asked (owner, client_id) JOIN mqtt_sessions s
                   USING (owner, client_id) WHERE s.expires_at > now()""",
                [[str(device_key) for device_key, _ in keys], [client_id for _, client_id in keys]],
            )
            found = await cursor.fetchall()
        return {
            (int(owner), client_id): _record(int(owner), client_id, subscriptions, kept)
            for owner, client_id, subscriptions, kept in found
        }

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
        kept = dict(await self._read_retained.get(device_key) or ())
        kept |= {topic: payload for (key, topic), payload in self._retained.items() if key == device_key}
        return [(topic, payload) for topic, payload in kept.items() if payload]

    async def _read_all_retained(self, keys: list[int]) -> dict[int, _Retained]:
        """One pass over the retained messages, of which a device has one or two."""
        async with self._store.connection() as connection:
            cursor = await connection.execute(
                """SELECT d.key, r.topic, r.payload FROM mqtt_retained r
                   JOIN devices d ON d.id = split_part(r.topic, '/', 3)
                   WHERE d.key = ANY(%s) AND starts_with(r.topic, 'wangge/v1/')""",
                [keys],
            )
            found: dict[int, _Retained] = {}
            for key, topic, payload in await cursor.fetchall():
                found.setdefault(key, []).append((topic, bytes(payload)))
        return found

    def retain(self, device_key: int, topic: str, payload: bytes) -> None:
        """Keeps the last message of a down-link topic; an empty payload clears it."""
        self._retained[device_key, topic] = payload
        self._wake.set()

    async def run(self) -> None:
        """Reads and writes until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read.run(), name="mqtt sessions read")
            group.create_task(self._read_retained.run(), name="mqtt retained read")
            group.create_task(self._write_behind(), name="mqtt sessions written")

    async def _write_behind(self) -> None:
        """While the store is away everything waits, the newest of each session alone."""
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
        """Writes what waits, some hundred in a transaction. Raises StoreUnavailable; nothing is lost then."""
        for some in _parts(self._waiting):
            async with self._store.transaction() as connection:
                await _write(connection, some)
            for key, entry in some.items():
                if self._waiting.get(key) is entry:
                    del self._waiting[key]
        for messages in _parts(self._retained):
            async with self._store.transaction() as connection:
                await _write_retained(connection, {topic: payload for (_, topic), payload in messages.items()})
            for name, payload in messages.items():
                if self._retained.get(name) is payload:
                    del self._retained[name]


def _parts(everything: dict[_K, _V]) -> Iterator[dict[_K, _V]]:
    """What waits now, in parts of AT_ONCE."""
    items = iter(list(everything.items()))
    while part := dict(itertools.islice(items, AT_ONCE)):
        yield part


async def _write(connection: Connection, entries: dict[_Key, _Entry]) -> None:
    gone = [(str(device_key), client_id) for (device_key, client_id), entry in entries.items() if entry is None]
    kept = [
        (
            str(record.device_key),
            record.client_id,
            Jsonb(record.subscriptions),
            Jsonb(_messages(record)),
            expires_after_s,
        )
        for record, expires_after_s in filter(None, entries.values())
    ]
    async with connection.cursor() as cursor:
        await cursor.executemany("DELETE FROM mqtt_sessions WHERE owner = %s AND client_id = %s", gone)
        await cursor.executemany(
            """INSERT INTO mqtt_sessions (owner, client_id, subscriptions, inflight, expires_at)
               VALUES (%s, %s, %s, %s, now() + make_interval(secs => %s))
               ON CONFLICT (owner, client_id) DO UPDATE SET subscriptions = excluded.subscriptions,
                   inflight = excluded.inflight, expires_at = excluded.expires_at""",
            kept,
        )


async def _write_retained(connection: Connection, messages: dict[str, bytes]) -> None:
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "DELETE FROM mqtt_retained WHERE topic = %s",
            [(topic,) for topic, payload in messages.items() if not payload],
        )
        await cursor.executemany(
            """INSERT INTO mqtt_retained (topic, payload, qos) VALUES (%s, %s, 1)
               ON CONFLICT (topic) DO UPDATE SET payload = excluded.payload, stored_at = now()""",
            [(topic, payload) for topic, payload in messages.items() if payload],
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
