"""Passwords: argon2id, and random ones that a person can type.

A hash takes some 100 ms and 64 MiB on purpose. It runs in a thread, in one lane, one at a time: whoever guesses has one
core of the machine at most, and ingestion keeps the others. Few may wait for it; the next one is told to come again.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from console.problems import TooMany

_HASHER = PasswordHasher(parallelism=1)
_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_NOBODY = _HASHER.hash(secrets.token_hex(16))
"""Verified against when there is no such operator, so that the time of an answer names nobody."""


class Passwords:
    """Hashing that never holds up the event loop. One object an application."""

    def __init__(self, at_once: int = 1, most_waiting: int = 32) -> None:
        self._room = asyncio.Semaphore(at_once)
        self._most = at_once + most_waiting
        self._asked = 0

    async def hashed(self, password: str) -> str:
        """The argon2id hash to keep. Raises TooMany."""
        async with self._turn():
            return await asyncio.to_thread(_HASHER.hash, password)

    async def matches(self, kept: str | None, password: str) -> bool:
        """Whether `password` is the one of the hash `kept`; takes as long when there is none. Raises TooMany."""
        async with self._turn():
            fits = await asyncio.to_thread(_matches, kept or _NOBODY, password)
        return fits and kept is not None

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._asked >= self._most:
            raise TooMany("Too many sign-ins at once; try again in some seconds.", retry_after_s=5)
        self._asked += 1
        try:
            async with self._room:
                yield
        finally:
            self._asked -= 1


def _matches(kept: str, password: str) -> bool:
    try:
        return _HASHER.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


def hashed_now(password: str) -> str:
    """The hash, computed in the calling thread; for the command line."""
    return _HASHER.hash(password)


def new_password(length: int = 16) -> str:
    """A random password a person can type: no look-alike characters."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
