"""Passwords: argon2id, and random ones that a person can type.

A hash takes some 50 ms and 64 MiB on purpose; it runs in a thread, two at a time at most.
"""

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher()
_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_NOBODY = _HASHER.hash(secrets.token_hex(16))
"""Verified against when there is no such operator, so that the time of an answer names nobody."""


class Passwords:
    """Hashing that never holds up the event loop. One object an application."""

    def __init__(self, at_once: int = 2) -> None:
        self._room = asyncio.Semaphore(at_once)

    async def hashed(self, password: str) -> str:
        """The argon2id hash to keep."""
        async with self._room:
            return await asyncio.to_thread(_HASHER.hash, password)

    async def matches(self, kept: str | None, password: str) -> bool:
        """Whether `password` is the one of the hash `kept`; takes as long when there is none."""
        async with self._room:
            fits = await asyncio.to_thread(_matches, kept or _NOBODY, password)
        return fits and kept is not None


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
