"""What PostgreSQL says when it fails, turned into one sentence that says what to do.

PostgreSQL and its tools run with LC_ALL=C and lc_messages C, so their messages are English and stable.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import StoreError, StoreUnavailable, WanggeError

_STILL_IN_USE = ("is still in use", 'lock file "postmaster.pid" already exists', "another server might be running")
_PORT_BUSY = ("could not bind IPv4 address", "could not create any TCP/IP sockets", "Address already in use")
_DISK_FULL = ("No space left on device", "Disk quota exceeded")


class PortBusy(StoreError):
    """The TCP port of the store is taken by another program."""


class StillInUse(StoreUnavailable):
    """What an earlier PostgreSQL left (shared memory, lock file) is still held by a process that is ending."""


def explain(text: str, *, folder: Path, port: int, doing: str) -> WanggeError:
    """The error for the last words `text` of a PostgreSQL program that failed while `doing` something."""
    if any(sign in text for sign in _DISK_FULL):
        return disk_full(folder)
    if any(sign in text for sign in _STILL_IN_USE):
        return StillInUse(f"An earlier PostgreSQL in {folder} is still ending; wait some seconds and start again.")
    if any(sign in text for sign in _PORT_BUSY):
        return PortBusy(f"Port {port} on 127.0.0.1 is busy; stop the program that holds it or set another store.port.")
    if "could not look up effective user ID" in text:
        return StoreError(
            f"The user that runs PostgreSQL for {folder} has no entry in /etc/passwd, and initdb wants one; "
            "add it (useradd), or as root set store.user to a user that exists."
        )
    if "could not map anonymous shared memory" in text or "Cannot allocate memory" in text:
        return StoreUnavailable(f"Too little memory free to start the store in {folder}; free some and start again.")
    if "database files are incompatible with server" in text:
        return StoreError(f"The store in {folder} was made by another PostgreSQL version; run `wangge store upgrade`.")
    return StoreError(f"{doing} failed in {folder}: {_last_words(text)}", output=text[-2000:])


def disk_full(folder: Path) -> StoreUnavailable:
    """The error for a full file system under `folder`."""
    return StoreUnavailable(f"The disk that holds {folder} is full; free some space there and start again.")


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder, met while writing in `folder`, into an error of our family."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or any(sign in str(error) for sign in _DISK_FULL):
            raise disk_full(folder) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            reason = error.strerror
            raise StoreError(f"{error.filename or folder} cannot be written ({reason}); give us the right.") from error
        raise


def _last_words(text: str) -> str:
    """The most telling line: the last FATAL, PANIC or error line, else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if any(sign in line for sign in ("FATAL:", "PANIC:", "error:", "ERROR:"))]
    return (telling or lines or ["it said nothing"])[-1]
