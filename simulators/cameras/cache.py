"""Loops that were encoded before, in the user's cache folder, under a key of everything that they depend on."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from simulators.cameras.loop import Encoded

FORMAT = 1
"""Raised when loops of old are no longer what they should be."""
Pair = tuple[Encoded, Encoded]
"""Main stream and sub-stream of the same pictures."""


def folder() -> Path:
    """`$XDG_CACHE_HOME/wangge/cameras`, else `~/.cache/wangge/cameras`; made when it is not there."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base) / "wangge" / "cameras"
    path.mkdir(parents=True, exist_ok=True)
    return path


def key_of(parts: object) -> str:
    """Hexadecimal key of a value that msgspec can encode."""
    return hashlib.sha256(msgspec.json.encode([FORMAT, parts], order="deterministic")).hexdigest()[:32]


def pair(key: str, make: Callable[[], Pair], where: Path | None = None) -> Pair:
    """The loops under the key, made and kept when they are not there or not whole. Blocking: seconds to minutes.

    A file appears whole or not at all; two processes that make the same one put the same content in place.
    """
    path = (where or folder()) / f"{key}.loop"
    with contextlib.suppress(OSError, msgspec.DecodeError, ValueError):
        kept: Pair = msgspec.msgpack.decode(path.read_bytes(), type=Pair)
        return kept
    made = make()
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.msgpack.encode(made))
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    return made
