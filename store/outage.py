"""When the store is away: which database errors mean "try again later", mapped to StoreUnavailable in one place.

Facts relied on: SQLSTATE classes of PostgreSQL (appendix A of its manual); psycopg leaves `sqlstate` empty when the
connection itself broke or could not be made.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from core.errors import StoreUnavailable

_CLASSES = ("08", "53")
"""Connection exceptions; insufficient resources (disk full, out of memory, too many connections)."""

_STATES: dict[str, str] = {
    "25006": "it is read-only just now (a standby, or a disk that is full)",
    "40001": "another transaction was in the way",
    "40P01": "another transaction was in the way",
    "55P03": "a lock was not free in time",
    "57014": "a statement took longer than its limit",
    "57P01": "it is being shut down",
    "57P02": "it crashed and recovers",
    "57P03": "it is starting up",
    "57P05": "it closed an idle session",
    "25P03": "it closed a session that was idle in a transaction",
    "58030": "reading or writing its disk failed",
    "53100": "its disk is full",
    "53300": "it has too many connections",
}


def why_away(error: BaseException) -> str | None:
    """Half a sentence saying why the store cannot be used just now; None when `error` says something else."""
    match error:
        case PoolTimeout() | TooManyRequests():
            return "no connection was free or could be made in time"
        case PoolClosed():
            return "the connection pool is closed"
        case psycopg.Error() if error.sqlstate is not None:
            if error.sqlstate in _STATES:
                return _STATES[error.sqlstate]
            return str(error).strip() if error.sqlstate.startswith(_CLASSES) else None
        case psycopg.OperationalError():
            return str(error).strip() or "the connection broke"
        case psycopg.InterfaceError() if "closed" in str(error):
            return "the connection broke"
        case _:
            return None


@contextmanager
def outage_errors() -> Iterator[None]:
    """Raises StoreUnavailable for every error inside that means that the store is away; others pass unchanged.

    Whether a COMMIT that broke in the middle took effect is unknown: writes must be idempotent.
    """
    try:
        yield
    except psycopg.Error as error:
        reason = why_away(error)
        if reason is None:
            raise
        raise StoreUnavailable(f"The store cannot be used just now: {reason}.", sqlstate=error.sqlstate) from error


@contextmanager
def cut_after(connection: AsyncConnection[Any], seconds: float) -> Iterator[None]:
    """Shuts the connection's socket after `seconds`, so that whatever waits for the server in this block ends at once.

    Cancelling instead would make psycopg ask a server that does not answer to cancel, for ten seconds more.
    """
    timer = asyncio.get_running_loop().call_later(seconds, _shut, connection)
    try:
        yield
    finally:
        timer.cancel()


def _shut(connection: AsyncConnection[Any]) -> None:
    """Ends the connection below libpq, which then reports it as broken."""
    if not connection.closed:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as twin:
            twin.shutdown(socket.SHUT_RDWR)
