"""Keeps a registry in step with the store: loads it, follows change notices, compares now and then, tells listeners.

A notice names the table and up to 200 keys, so that a new credential is known within 0.1 s in a city of any size;
more than that reloads the table. Reading and building run in a thread; a finished registry is swapped in at once.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import structlog

from core.errors import StoreUnavailable
from devices.loading import FAMILIES, FAMILY_OF, Connection, Keys, Loader, read_fingerprints
from devices.records import DeviceRecord, RegistryChange
from devices.registry import Registry, Tables
from devices.settings import DevicesSettings
from store.outage import outage_errors
from store.pool import Store
from store.session import connect

CHANNEL = "wangge_registry"
RETRY_S = 1.0
Listener = Callable[[RegistryChange], None]
Fingerprints = dict[str, tuple[int, int]]

log = structlog.get_logger()


class _Notice(msgspec.Struct):
    table: str
    keys: list[Any] | None


class RegistryKeeper:
    """Owner of the current `registry`. Listeners are called in the event loop, right after the swap."""

    def __init__(self, store: Store, settings: DevicesSettings, zone: ZoneInfo) -> None:
        self.registry = Registry()
        self.listeners: list[Listener] = []
        self._store = store
        self._settings = settings
        self._loader = Loader(zone)
        self._fingerprints: Fingerprints = {}
        self._wanted: dict[str, set[Any] | None] = {}
        self._compare = False
        self._wake = asyncio.Event()
        self._loading = asyncio.Lock()

    async def load(self) -> Registry:
        """Loads everything (10,590 handsets: under 3 s). Raises StoreUnavailable."""
        self._compare = False
        await self._reload(dict.fromkeys(family.name for family in FAMILIES))
        return self.registry

    async def run(self) -> None:
        """Follows the store for ever; while it is away the last registry stays in use and reading is tried again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name="registry notices")
            group.create_task(self._follow(), name="registry reloads")

    async def _listen(self) -> None:
        async for notice in self._store.listen(CHANNEL):
            if notice.fresh:
                self._compare = True
            else:
                self._note(notice.payload)
            self._wake.set()

    def _note(self, payload: str) -> None:
        """Adds what a notice names to what has to be read; an unreadable one means: compare everything."""
        try:
            notice = msgspec.json.decode(payload, type=_Notice)
            family = FAMILY_OF[notice.table]
        except (msgspec.DecodeError, KeyError):
            log.warning("registry_notice_unknown", payload=payload[:200])
            self._compare = True
            return
        known = self._wanted.get(family.name, set())
        if known is None or notice.keys is None or not family.by_key:
            self._wanted[family.name] = None
        else:
            self._wanted[family.name] = known | set(notice.keys)

    async def _follow(self) -> None:
        pause_s = self._settings.safety_poll_s
        while True:
            try:
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            except TimeoutError:
                self._compare = True
            await asyncio.sleep(self._settings.gather_s)
            self._wake.clear()
            wanted, self._wanted = self._wanted, {}
            compare, self._compare = self._compare, False
            try:
                await self._reload(wanted, compare=compare)
                pause_s = self._settings.safety_poll_s
            except StoreUnavailable as error:
                if pause_s != RETRY_S:
                    log.warning("registry_stale", reason=str(error))
                pause_s, self._wanted = RETRY_S, dict.fromkeys(wanted) | self._wanted

    async def _reload(self, wanted: Mapping[str, set[Any] | None], *, compare: bool = False) -> None:
        """Reads what is wanted (and, comparing, every table that differs), swaps the registry, tells the listeners."""
        async with self._loading:
            before = self.registry
            after, change, self._fingerprints = await asyncio.to_thread(self._read, before, wanted, compare)
            self.registry = after
        if change.devices or change.revoked:
            log.debug("registry_changed", devices=len(change.devices), revoked=len(change.revoked))
            for listener in self.listeners:
                listener(change)

    def _read(
        self, before: Registry, wanted: Mapping[str, set[Any] | None], compare: bool
    ) -> tuple[Registry, RegistryChange, Fingerprints]:
        """Runs in a thread: one read-only snapshot of the store, a new registry and what differs in it."""
        keys: dict[str, Keys] = {name: None if some is None else sorted(some) for name, some in wanted.items()}
        fingerprints = self._fingerprints
        with outage_errors(), connect(self._store.dsn, application_name="wangge registry") as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if compare or not fingerprints:
                fingerprints = read_fingerprints(connection)
                if self._fingerprints:
                    differing = (t for t in fingerprints if fingerprints[t] != self._fingerprints.get(t))
                    keys.update({FAMILY_OF[table].name: None for table in differing})
            tables = self._tables(connection, before.tables, keys)
            connection.execute("COMMIT")
        change = difference(before.tables, tables, keys)
        return Registry(tables, before, change.devices), change, fingerprints

    def _tables(self, connection: Connection, before: Tables, keys: Mapping[str, Keys]) -> Tables:
        changes: dict[str, Any] = {}
        for family in FAMILIES:
            if family.name not in keys:
                continue
            present = getattr(before, family.name)
            rows = family.load(self._loader, connection, keys[family.name])
            changes[family.name] = renewed(present, rows, keys[family.name])
        return replace(before, **changes)


def renewed(present: Mapping[Any, Any], rows: Mapping[Any, Any], keys: Keys) -> Mapping[Any, Any]:
    """The rows read in place of those present. What is equal stays the same object, with all that it has prepared.

    keys: what was read (None: everything); keys without a row are gone.
    """
    kept = {key: present[key] if key in present and present[key] == row else row for key, row in rows.items()}
    if keys is not None:
        gone = set(keys) - rows.keys()
        kept = {key: row for key, row in {**present, **kept}.items() if key not in gone}
    same = len(kept) == len(present) and all(present.get(key) is row for key, row in kept.items())
    return present if same else kept


def difference(before: Tables, after: Tables, keys: Mapping[str, Keys]) -> RegistryChange:
    """Which devices a change concerns. keys: the families that were read, with the keys (None: all)."""
    devices: set[int] = set()
    workers: set[str] = set()
    for name, found in (
        ("devices", devices),
        ("handset_workers", devices),
        ("sites", devices),
        ("worker_grids", workers),
        ("shifts", workers),
    ):
        if name in keys:
            found.update(_differing(getattr(before, name), getattr(after, name), keys[name]))
    if workers:
        for spans in (before.handset_workers, after.handset_workers):
            devices |= {key for key, held in spans.items() if any(span.to in workers for span in held)}
    revoked = {key for key in devices if _lost_token(before.devices.get(key), after.devices.get(key))}
    return RegistryChange(frozenset(devices), frozenset(revoked))


def _differing(before: Mapping[Any, Any], after: Mapping[Any, Any], keys: Keys) -> set[Any]:
    some = before.keys() | after.keys() if keys is None else keys
    return {key for key in some if before.get(key) != after.get(key)}


def _lost_token(before: DeviceRecord | None, after: DeviceRecord | None) -> bool:
    if before is None or before.token_sha256 is None:
        return False
    return after is None or after.token_sha256 != before.token_sha256
