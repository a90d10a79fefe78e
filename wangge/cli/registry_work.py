"""What the commands about devices, operators and the demo city do in the store, as the local administrator, audited."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from console import accounts, registering
from console.passwords import hashed_now, new_password
from console.rights import Operator
from core.errors import InvalidInput
from devices import credentials, equipment, importing
from devices.demo_city import demo_city
from store.audit import Entry, record
from store.pool import Connection, Store
from wangge.settings import Settings
from wangge.stores import open_dsn, open_store

LOCAL = Operator("local", "administrator")


@asynccontextmanager
async def opened(data: Path, settings: Settings) -> AsyncIterator[Store]:
    """The store of this data folder."""
    with open_dsn(data, settings.store) as dsn:
        async with open_store(dsn) as store:
            yield store


async def listed(data: Path, settings: Settings, kind: Any, division: str, *, retired: bool) -> list[dict[str, Any]]:
    """Registered devices."""
    if kind not in (None, "handset", "terminal", "camera"):
        raise InvalidInput(f"--kind: {kind!r} is none of handset, terminal, camera.")
    async with opened(data, settings) as store, store.connection() as connection:
        return [row._asdict() for row in await equipment.list_devices(connection, kind, division, retired=retired)]


async def added(data: Path, settings: Settings, fields: dict[str, Any]) -> equipment.DeviceRow:
    """Registers one device; a camera's log-in goes to the file of log-ins. Returns what the registry got."""
    try:
        wanted = registering.NewDevice.model_validate({k: v for k, v in fields.items() if v is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidInput(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
    async with opened(data, settings) as store, store.transaction() as connection:
        return await registering.register(connection, LOCAL, wanted, settings.streams.log_ins(data))


async def credential(data: Path, settings: Settings, device: str) -> dict[str, str]:
    """A device's new token."""
    async with opened(data, settings) as store, store.transaction() as connection:
        made = await credentials.issue(connection, device)
        await registering.noted(connection, LOCAL, "device.credential", device)
    return {"device": made.device, "token": made.token}


async def retired(data: Path, settings: Settings, device: str) -> None:
    """Takes a device out of service; what it sent stays."""
    async with opened(data, settings) as store, store.transaction() as connection:
        await equipment.retire(connection, device, datetime.now(UTC))
        await registering.noted(connection, LOCAL, "device.retire", device)


async def imported(
    data: Path, settings: Settings, file: Path, *, kind: str | None, datum: Any, partial: bool, dry_run: bool
) -> dict[str, Any]:
    """Imports a file; the report as plain values."""
    content = await asyncio.to_thread(_read, file)
    if datum not in ("wgs84", "gcj02", "bd09"):
        raise InvalidInput(f"--datum: {datum!r} is none of wgs84, gcj02, bd09.")
    log_ins = settings.streams.log_ins(data)
    options = importing.ImportOptions(settings.site.zone, kind, datum, partial, dry_run, log_ins)
    async with opened(data, settings) as store, store.transaction() as connection:
        report = await importing.import_file(connection, file.name, content, options, datetime.now(UTC))
        if report.applied and not dry_run:
            await _noted(connection, "registry.import", file.name, {"kind": report.kind, "rows": report.rows})
    return asdict(report) | {
        "errors": [error._asdict() for error in report.errors],
        "counts": {name: counts._asdict() for name, counts in report.counts.items()},
    }


async def demo(
    data: Path, settings: Settings, grids: int, seed: int, *, cameras: int, round_the_clock: bool, components: bool
) -> dict[str, dict[str, int]]:
    """Makes a demo city; rows added, changed and the same, by table."""
    async with opened(data, settings) as store, store.transaction(timeout_s=3600) as connection:
        city = await demo_city(
            connection,
            grids,
            seed,
            now=datetime.now(UTC),
            zone=settings.site.zone,
            on_duty_now=round_the_clock,
            cameras=cameras,
            components=components,
        )
        await _noted(connection, "registry.demo_city", str(grids), {"seed": seed})
    return {name: counts._asdict() for name, counts in city.counts.items()}


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.") from error


async def operator_added(
    data: Path, settings: Settings, name: str, role: str, *, division: str, worker: str | None, password: bool
) -> dict[str, Any]:
    """Makes an account, with a random password unless it shall have tokens only."""
    secret = new_password() if password else None
    kept = hashed_now(secret) if secret else None
    async with opened(data, settings) as store, store.transaction() as connection:
        await accounts.add(connection, LOCAL, name, role, division=division, worker=worker, password_hash=kept)
    return {"name": name, "role": role, "division": division, "worker": worker, "password": secret}


async def operators(data: Path, settings: Settings) -> list[dict[str, Any]]:
    """All accounts."""
    async with opened(data, settings) as store, store.connection() as connection:
        return [asdict(account) for account in await accounts.accounts(connection, limit=100_000)]


async def operator_token(data: Path, settings: Settings, name: str, *, revoke_others: bool) -> dict[str, str]:
    """A new bearer token."""
    async with opened(data, settings) as store, store.transaction() as connection:
        token = await accounts.new_bearer(connection, LOCAL, name, revoke_others=revoke_others)
    return {"operator": name, "token": token}


async def new_operator_password(data: Path, settings: Settings, name: str) -> dict[str, str]:
    """A new random password; open sessions end."""
    secret = new_password()
    async with opened(data, settings) as store, store.transaction() as connection:
        await accounts.set_password(connection, LOCAL, name, hashed_now(secret))
    return {"operator": name, "password": secret}


async def _noted(connection: Connection, action: str, target: str, details: dict[str, object]) -> None:
    await record(connection, Entry(LOCAL.who, action, LOCAL.role, target, details=details))
