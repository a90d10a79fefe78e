"""Credentials of devices: 256 random bits, shown once; only their SHA-256 is kept, compared in constant time.

At most one token of a device is valid. A new one revokes the old one at once: the registries hear of it with the
commit and close the device's connections.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from core.errors import Conflict, NotFound
from devices.merging import copy_rows
from devices.records import DeviceRecord
from store.pool import Connection

_NOBODY = hashlib.sha256(secrets.token_bytes(32)).digest()


class NewCredential(NamedTuple):
    """A token in the clear, to be shown once and forgotten."""

    device: str
    token: str


def new_token() -> str:
    """256 random bits as 43 characters of base64url."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


def authenticates(record: DeviceRecord | None, token: str) -> bool:
    """True when the token is the valid one of the device. Takes the same time for unknown devices."""
    known = record.token_sha256 if record is not None else None
    same = hmac.compare_digest(digest(token), known or _NOBODY)
    return same and known is not None


async def issue(connection: Connection, device_id: str) -> NewCredential:
    """Makes the device's only valid token; a former one is revoked in the same transaction (rotation).

    Raises NotFound for an unknown device, Conflict for a retired one.
    """
    key = await _locked(connection, device_id)
    token = new_token()
    await connection.execute(
        "UPDATE credentials SET revoked_at = now() WHERE device = %s AND revoked_at IS NULL", [key]
    )
    await connection.execute("INSERT INTO credentials (device, token_sha256) VALUES (%s, %s)", [key, digest(token)])
    return NewCredential(device_id, token)


async def issue_many(connection: Connection, devices: Sequence[tuple[int, str]]) -> list[NewCredential]:
    """Makes new tokens for (key, id) pairs in bulk, revoking former ones. The devices must be in service."""
    keys = [key for key, _ in devices]
    made = [NewCredential(device_id, new_token()) for _, device_id in devices]
    await connection.execute("SELECT key FROM devices WHERE key = ANY (%s) ORDER BY key FOR NO KEY UPDATE", [keys])
    await connection.execute(
        "UPDATE credentials SET revoked_at = now() WHERE device = ANY (%s) AND revoked_at IS NULL", [keys]
    )
    rows = [(key, digest(credential.token)) for key, credential in zip(keys, made, strict=True)]
    await copy_rows(connection, "credentials", ("device", "token_sha256"), rows)
    return made


async def revoke(connection: Connection, device_id: str) -> bool:
    """Makes the device's token invalid at once. False when it had none. Raises NotFound for an unknown device."""
    cursor = await connection.execute("SELECT key FROM devices WHERE id = %s FOR NO KEY UPDATE", [device_id])
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"No device {device_id!r} is registered.")
    cursor = await connection.execute(
        "UPDATE credentials SET revoked_at = now() WHERE device = %s AND revoked_at IS NULL", [row[0]]
    )
    return cursor.rowcount > 0


async def _locked(connection: Connection, device_id: str) -> int:
    """Key of a device in service, its row locked so that two rotations follow each other."""
    cursor = await connection.execute(
        "SELECT key, retired_at FROM devices WHERE id = %s FOR NO KEY UPDATE", [device_id]
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"No device {device_id!r} is registered; add it with `wangge devices add`.")
    if row[1] is not None:
        raise Conflict(f"The device {device_id!r} was retired and gets no credential.")
    return int(row[0])
