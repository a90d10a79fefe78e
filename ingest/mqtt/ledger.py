"""Which numbers are stored, kept in the store: the one truth for all instances that read a broker.

A receipt is told only after the row it is made from has been committed, so no restart forgets what was told.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import structlog

from ingest.mqtt.receipts import Note, Patience, Run
from ingest.mqtt.settings import MqttSettings
from store.pool import Connection, Store
from store.receipts import Key, Progress, lock_progress, write_progress

log = structlog.get_logger(__name__)

AT_ONCE = 500
"""Devices in one transaction."""

Heard = Mapping[Key, Sequence[Note]]


class Due(NamedTuple):
    """receipts: payloads to publish now. given_up: numbers in gaps that nobody filled in time."""

    receipts: list[tuple[Key, bytes]]
    given_up: int


class Ledger(Protocol):
    """Keeps what is stored of each device."""

    async def record(self, heard: Heard) -> Due:
        """Keeps these committed messages. Raises StoreUnavailable, also where it is open whether they are kept."""


class StoreLedger:
    """The ledger in the table `receipts`."""

    def __init__(self, store: Store, settings: MqttSettings) -> None:
        self._store = store
        self._patience = Patience(round(settings.broker_begin_s * 1000), round(settings.broker_gap_s * 1000))

    async def record(self, heard: Heard) -> Due:
        """One transaction for AT_ONCE devices."""
        receipts: list[tuple[Key, bytes]] = []
        given_up = 0
        keys = iter(sorted(heard))
        while part := list(itertools.islice(keys, AT_ONCE)):
            async with self._store.transaction() as connection:
                due = await self._record(connection, {key: heard[key] for key in part})
            receipts += due.receipts
            given_up += due.given_up
        return Due(receipts, given_up)

    async def _record(self, connection: Connection, heard: Heard) -> Due:
        receipts: list[tuple[Key, bytes]] = []
        given_up = 0
        rows: list[tuple[Key, Progress]] = []
        found, now_ms = await lock_progress(connection, heard)
        for key, notes in heard.items():
            before = found.get(key)
            if before is None:  # a power cycle older than those remembered
                continue
            run = Run(before.start, before.up_to, list(before.beyond), *before[3:])
            told = run.receipt(key[1])
            again, skipped = run.advance(notes, now_ms, self._patience)
            receipt = run.receipt(key[1])
            if receipt is not None and (receipt != told or again is not None):
                receipts.append((key, receipt if receipt != told else run.receipt(key[1], again) or receipt))
            if skipped:
                given_up += skipped
                log.warning("mqtt.broker_gap_given_up", device_key=key[0], numbers=skipped, up_to=run.up_to)
            rows.append((key, Progress(run.start, run.up_to, tuple(run.beyond), run.waited_ms, run.mark, run.heard_ms)))
        await write_progress(connection, rows)
        return Due(receipts, given_up)
