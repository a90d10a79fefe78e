"""Loops that were encoded before, in the user's cache folder, under a key of everything that they depend on."""

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from simulators.cameras.loop import Encoded

FORMAT = 1
"""Raised when loops of old are no longer what they should be."""
KEPT_DAYS = 30
"""Loops that were not used for so long are removed."""
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
        os.utime(path)
        kept: Pair = msgspec.msgpack.decode(path.read_bytes(), type=Pair)
        return kept
    made = make()
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.msgpack.encode(made))
        Path(beside).replace(path)
        forget_old(path.parent, time.time() - KEPT_DAYS * 86_400)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    return made


def forget_old(where: Path, before_s: float) -> None:
    """Removes what was last used before a time (epoch seconds), and what was left half written."""
    for path in where.glob("*.loop*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < before_s:
                path.unlink()
