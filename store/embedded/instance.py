"""One service a data folder: the lock that it holds for its life, and `run.json`, by which it is found.

The lock (`flock` on `wangge.lock`) decides; the kernel lets go of it however the service ends. `run.json` is
written by the service once it is ready and is only a hint: a stale one is overwritten.
"""

import contextlib
import fcntl
import json
import os
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from core.errors import StoreError
from store.embedded.failures import disk_errors

LOCK_NAME = "wangge.lock"
RUN_NAME = "run.json"
_CLOCK_SLACK_SECONDS = 2.0


def write_private(path: Path, text: str, owner: tuple[int, int] | None = None) -> None:
    """Write a file with mode 0600 so that a reader sees the old or the new text, never half; flushed to disk.

    owner: (uid, gid) to give the file to. Raises StoreUnavailable when the disk is full.
    """
    with disk_errors(path.parent):
        descriptor, staging = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                if owner is not None:
                    os.fchown(file.fileno(), *owner)
                os.fsync(file.fileno())
            os.replace(staging, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(staging)
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_run(folder: Path, fields: Mapping[str, Any]) -> None:
    """Write `folder/run.json` atomically, mode 0600. `fields` as in the outside contract; `pid` is ours if absent."""
    write_private(folder / RUN_NAME, json.dumps({"pid": os.getpid(), **fields}, ensure_ascii=False) + "\n")


def read_run(folder: Path) -> dict[str, Any] | None:
    """The fields of `folder/run.json`, whether or not its writer lives; None when absent or garbled."""
    try:
        fields = json.loads((folder / RUN_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return fields if isinstance(fields, dict) else None


def running(folder: Path) -> dict[str, Any] | None:
    """The fields of `run.json` while its writer lives and is a wangge process; None else (a stale file)."""
    fields = read_run(folder)
    if fields is None or not isinstance(fields.get("pid"), int):
        return None
    try:
        process = psutil.Process(fields["pid"])
        written = (folder / RUN_NAME).stat().st_mtime
        if process.status() == psutil.STATUS_ZOMBIE or process.create_time() > written + _CLOCK_SLACK_SECONDS:
            return None  # the number was given to another process after the file was written
        words = " ".join(process.cmdline())
    except psutil.AccessDenied:
        return fields
    except (psutil.Error, OSError):
        return None
    return fields if "wangge" in words or fields["pid"] == os.getpid() else None


class FolderLock:
    """The exclusive right to a data folder, held until `release` or the end of the process.

    Not inherited: a forked child closes its copy. Thread-safe as far as the caller's own start and stop are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None
        forget_in_children(self)

    @property
    def is_held(self) -> bool:
        """True between `acquire` and `release`."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the lock; nothing happens when it is ours already. Raises StoreError while another service has it."""
        if self._descriptor is not None:
            return
        with disk_errors(self._folder):
            descriptor = os.open(self._folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            holder = running(self._folder)
            if holder is not None and holder["pid"] != os.getpid():
                raise self._second(holder)
        except BlockingIOError:
            os.close(descriptor)
            raise self._second(read_run(self._folder)) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go of the lock; nothing happens when it is not held."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self.after_fork_in_child()

    def after_fork_in_child(self) -> None:
        """A forked child must not keep the folder locked after its parent's death; its parent keeps the lock."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _second(self, holder: Mapping[str, Any] | None) -> StoreError:
        by = f"process {holder['pid']}" if holder and "pid" in holder else "another process"
        return StoreError(
            f"A second instance cannot use {self._folder}: {by} serves it; stop that one or name another --data folder."
        )


_watched: "weakref.WeakSet[Any]" = weakref.WeakSet()


def forget_in_children(thing: Any) -> None:
    """Call `thing.after_fork_in_child()` in every child made by fork, for as long as `thing` lives."""
    _watched.add(thing)


def _in_child() -> None:
    for thing in list(_watched):
        thing.after_fork_in_child()


os.register_at_fork(after_in_child=_in_child)
