"""The audit log's witness outside the database: signed heads in files, and the check of everything against them.

`Sealer.run` chains committed rows each second and appends the newest head to `heads-YYYY-MM.ndjson` each minute when it
moved: one JSON object a line, `{"n", "head", "floor", "at", "mac"}`, mac = HMAC-SHA256 with the key in `seal.key` (mode
0600, 256 random bits). store.audit_verify checks rows, chain and files against each other.
"""

import asyncio
import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from store import audit
from store.pool import Store

KEY_NAME = "seal.key"
HEAD_FILES = "heads-*.ndjson"
SEAL_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class SignedHead:
    """One line of a head file."""

    n: int
    head: str
    floor: int
    at: str

    def mac(self, key: bytes) -> str:
        """The signature of this line."""
        text = f"{self.n}:{self.head}:{self.floor}:{self.at}"
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def seal_key(folder: Path) -> bytes:
    """The key of the head files; made (folder 0700, key 0600) when there is none."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / KEY_NAME
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as file:
        key = secrets.token_bytes(32)
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key


class Sealer:
    """Chains the audit log and signs its head. One of them works at a time (advisory lock), however many run."""

    def __init__(self, store: Store, folder: Path | None, head_every_s: float = 60.0) -> None:
        """folder None: rows are chained, but no head is signed outside the database."""
        self._store = store
        self._folder = folder
        self._head_every_s = head_every_s
        self._signed: tuple[int, int] | None = None

    async def run(self) -> None:
        """Works until cancelled; StoreUnavailable ends it (the supervisor starts it again)."""
        loop = asyncio.get_running_loop()
        next_head = loop.time()
        while True:
            await self.seal()
            if self._folder is not None and loop.time() >= next_head:
                await self.sign()
                next_head = loop.time() + self._head_every_s
            await asyncio.sleep(SEAL_EVERY_S)

    async def seal(self) -> int:
        """Chains all that has committed."""
        total = 0
        async with self._store.connection() as connection:
            while True:
                chained = await audit.seal(connection)
                total += chained
                if chained < audit.SEAL_BATCH:
                    return total

    async def sign(self) -> None:
        """Appends the newest head to the file of this month, unless it has not moved."""
        async with self._store.connection() as connection:
            newest = await audit.newest_head(connection)
            row = await (await connection.execute("SELECT clock_timestamp()")).fetchone()
        folder = self._folder
        if folder is None or newest is None or row is None or self._signed == (newest.n, newest.floor):
            return
        await asyncio.to_thread(_append, folder, newest, row[0])
        self._signed = (newest.n, newest.floor)


def _append(folder: Path, newest: audit.Head, now: datetime) -> None:
    key = seal_key(folder)
    signed = SignedHead(newest.n, newest.head.hex(), newest.floor, now.isoformat())
    line = {"n": signed.n, "head": signed.head, "floor": signed.floor, "at": signed.at, "mac": signed.mac(key)}
    path = folder / f"heads-{now:%Y-%m}.ndjson"
    with open(path, "a", encoding="utf-8", opener=_private) as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
