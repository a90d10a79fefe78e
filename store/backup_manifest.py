"""Check a base backup against its own manifest, as pg_verifybackup does.

The wheel's pg_verifybackup 18 ends with a segmentation fault at every start (damaged when the wheel was built; 16
works), so the check is ours, for both majors alike: the manifest's own checksum, every file's presence, size and
SHA-256, no file that the manifest does not know, and the WAL from start to end read by pg_waldump.
Source: PostgreSQL documentation, "Backup Manifest Format".
"""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from core.errors import StoreError
from store.embedded.failures import explain

MANIFEST_NAME = "backup_manifest"
_NOT_LISTED = {MANIFEST_NAME, "postgresql.auto.conf", "standby.signal", "recovery.signal"}


def check_base(base: Path, tools: Path) -> int:
    """Check the base backup in `base` with the programs in `tools`; the number of files checked.

    Raises StoreError naming the first file that is missing, foreign or changed. Reads every byte; blocks.
    """
    manifest = _read_manifest(base / MANIFEST_NAME)
    known = {_name(entry): entry for entry in manifest["Files"]}
    for name, entry in known.items():
        _check_file(base / name, entry)
    for path in base.rglob("*"):
        name = path.relative_to(base).as_posix()
        if path.is_file() and name not in known and name not in _NOT_LISTED and not name.startswith("pg_wal/"):
            raise _damaged(path, "is not in its manifest")
    for part in manifest["WAL-Ranges"]:
        _check_wal(base, tools, part)
    return len(known)


def _read_manifest(path: Path) -> dict[str, Any]:
    """The manifest, whose last line holds the SHA-256 of all that stands before it."""
    try:
        text = path.read_bytes()
        manifest = json.loads(text)
        before_last_line = text[: text.rindex(b"\n", 0, -1) + 1]
        intact = hashlib.sha256(before_last_line).hexdigest() == manifest["Manifest-Checksum"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"cannot be read ({error})") from error
    if not intact or not isinstance(manifest, dict):
        raise _damaged(path, "does not match its own checksum")
    return manifest


def _name(entry: dict[str, Any]) -> str:
    encoded = entry.get("Encoded-Path")
    return os.fsdecode(bytes.fromhex(encoded)) if encoded else str(entry["Path"])


def _check_file(path: Path, entry: dict[str, Any]) -> None:
    try:
        if path.stat().st_size != entry["Size"]:
            raise _damaged(path, f"has {path.stat().st_size} bytes instead of {entry['Size']}")
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _damaged(path, f"cannot be read ({error.strerror})") from error
    if entry.get("Checksum-Algorithm") != "SHA256" or found != entry["Checksum"]:
        raise _damaged(path, "does not match its checksum")


def _check_wal(base: Path, tools: Path, part: dict[str, Any]) -> None:
    arguments = ["--quiet", f"--path={base / 'pg_wal'}", f"--timeline={part['Timeline']}"]
    arguments += [f"--start={part['Start-LSN']}", f"--end={part['End-LSN']}"]
    done = subprocess.run(
        [tools / "pg_waldump", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    if done.returncode != 0:
        raise explain(done.stderr, folder=base, port=0, doing="Reading the backup's WAL")


def _damaged(path: Path, what: str) -> StoreError:
    return StoreError(f"The backup is damaged: {path} {what}; use another backup.")
