"""Identities: deterministic ULIDs, device and operator tokens, keyed digests of facts.

Sources: ULID specification (48 bits of time, 80 bits, Crockford base 32); RFC 7693 (BLAKE2b, keyed mode);
RFC 4648 §5 (base64url).
"""

import hashlib
import secrets

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {letter: value for value, letter in enumerate(_CROCKFORD)}
_LATEST_MS = (1 << 48) - 1
TOKEN_BYTES = 32


def ulid(at_ms: int, key: str) -> str:
    """The ULID of what began at `at_ms` (epoch milliseconds, 0 to 2^48 - 1) under `key`; the same for the same two.

    26 letters; sorts by time first. The 80 bits after the time are the head of SHA-256 of the key.
    Raises ValueError for a time outside the range.
    """
    if not 0 <= at_ms <= _LATEST_MS:
        raise ValueError(f"a ULID holds times from 1970 to 10889, not {at_ms} ms")
    number = at_ms << 80 | int.from_bytes(hashlib.sha256(key.encode()).digest()[:10], "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def ulid_ms(text: str) -> int:
    """The time in a ULID, epoch milliseconds. Raises ValueError for a text that is none."""
    if len(text) != 26 or text[0] > "7":
        raise ValueError("a ULID has 26 letters and begins with 0 to 7")
    try:
        number = 0
        for letter in text.upper():
            number = number << 5 | _VALUES[letter]
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} is no letter of a ULID") from None
    return number >> 80


def new_token() -> str:
    """A fresh secret of 256 random bits, base64url without padding (43 characters). Shown once, stored never."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_sha256(token: str) -> bytes:
    """What is stored of a token: 32 bytes. A token has 256 random bits, so a fast digest is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def same_digest(left: bytes, right: bytes) -> bool:
    """Compares two digests in constant time."""
    return secrets.compare_digest(left, right)


def digest64(key: bytes, content: bytes) -> int:
    """64 bits of keyed BLAKE2b over `content`, as the signed integer that a bigint column holds.

    key: 1 to 64 bytes, the store's `digest_key`; without it the digest says nothing about the content.
    """
    return int.from_bytes(hashlib.blake2b(content, digest_size=8, key=key).digest(), "big", signed=True)
