"""What a fresh service gives to its owner: the first administrator, and the local administrator's token.

The password is printed once by `wangge up` and kept in `first-administrator.txt` (mode 0600) until the administrator
sets another one. The local token is made anew at every start, so a copy of an old file is worth nothing.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from console import accounts
from console.passwords import hashed_now, new_password
from console.rights import Operator
from core.ids import new_token, token_sha256
from store.embedded.instance import write_private
from store.pool import Store
from wangge.running import TOKEN_NAME

ADMINISTRATOR = "admin"
PASSWORD_NAME = "first-administrator.txt"  # noqa: S105 - a file name
SETUP = Operator("setup", "administrator")


@dataclass(frozen=True, slots=True, repr=False)
class FirstAdministrator:
    """Name and password, to be shown once."""

    name: str
    password: str


async def first_administrator(store: Store, data: Path | None) -> FirstAdministrator | None:
    """Makes the account where nobody has one yet; None when there are accounts.

    data: where the password is kept until it is changed; None: nowhere (`wangge serve`).
    """
    password = new_password()
    kept = await asyncio.to_thread(hashed_now, password)
    async with store.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(8020)")
        if not await accounts.is_empty(connection):
            return None
        await accounts.add(connection, SETUP, ADMINISTRATOR, "administrator", password_hash=kept)
        if data is not None:
            await asyncio.to_thread(write_private, data / PASSWORD_NAME, f"{ADMINISTRATOR} {password}\n")
    return FirstAdministrator(ADMINISTRATOR, password)


async def forget_password(store: Store, data: Path) -> None:
    """Removes the file of the first password once that password no longer works."""
    path = data / PASSWORD_NAME
    if not await asyncio.to_thread(path.exists):
        return
    async with store.connection() as connection:
        cursor = await connection.execute(
            "SELECT password_changed_at IS NOT NULL OR disabled_at IS NOT NULL FROM operators WHERE name = %s",
            [ADMINISTRATOR],
        )
        row = await cursor.fetchone()
    if row is None or row[0]:
        await asyncio.to_thread(path.unlink, missing_ok=True)


def new_local_token(data: Path) -> bytes:
    """Writes a new local token into the data folder and returns its digest."""
    token = new_token()
    write_private(data / TOKEN_NAME, token + "\n")
    return token_sha256(token)
