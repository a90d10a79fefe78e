"""The pool: the one door through which async code reaches the database.

In: a DSN. Out: connections and transactions whose outages are StoreUnavailable, and notifications that survive
reconnects. Sessions are set up by store.session (UTC, time limits, durable servers only) and are in autocommit mode.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

import structlog
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from core.errors import StoreError, StoreUnavailable
from store import session
from store.outage import cut_after, outage_errors

log = structlog.get_logger()

Connection = AsyncConnection[TupleRow]

BLOCK_TIMEOUT_S = 60.0
CHECK_TIMEOUT_S = 2.0
"""A session that takes longer for an empty statement is replaced."""
_GRACE_S = 0.5
LISTEN_CHECK_S = 10.0
LISTEN_BACKOFF_S = (0.1, 5.0)


@dataclass(frozen=True, slots=True)
class Notice:
    """One NOTIFY. fresh: the connection is new, so notices may have been missed: read again (payload is empty)."""

    channel: str
    payload: str
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions of a pool: in use, idle, the most there may be, and tasks that wait for one."""

    used: int
    idle: int
    most: int
    wanted: int


class Store:
    """A pool of sessions on one database. Open and close it in the same event loop; any task may use it."""

    def __init__(
        self,
        dsn: str,
        *,
        min_size: int = 1,
        max_size: int = 8,
        acquire_timeout_s: float = 10.0,
        statement_timeout_s: float = session.STATEMENT_TIMEOUT_S,
        application_name: str = "wangge",
        only_checking: bool = False,
    ) -> None:
        """only_checking: also take a server whose durability settings are off (`wangge doctor` reports them)."""
        self.dsn = dsn
        self._conninfo = session.conninfo(dsn, application_name)
        self._sizes = (min_size, max_size)
        self._acquire_timeout_s = acquire_timeout_s
        self._statement_timeout_s = statement_timeout_s
        self._only_checking = only_checking
        self._refusal: str | None = None
        self._pool: AsyncConnectionPool[Connection] | None = None
        self._listening: set[Connection] = set()
        self.durability: session.Durability | None = None
        """Settings of the server as the newest session saw them; None before the first."""

    async def open(self, wait_s: float = 10.0) -> None:
        """Opens the pool with its least number of sessions.

        Raises StoreUnavailable when the server cannot be reached within `wait_s`, StoreError when it is not durable.
        After an error it may be called again.
        """
        if self._pool is not None:
            return
        with outage_errors():
            probe = await self._dedicated()  # says better than the pool what is wrong
            await probe.close()
            pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
                kwargs={**self._conninfo, "autocommit": True},
                min_size=self._sizes[0],
                max_size=self._sizes[1],
                timeout=self._acquire_timeout_s,
                reconnect_timeout=30.0,
                configure=self._prepare,
                check=_check,
                open=False,
            )
            await pool.open(wait=True, timeout=wait_s)
        self._pool = pool

    async def close(self) -> None:
        """Closes every session, listening ones too; blocks still running get StoreUnavailable. Twice is harmless."""
        pool, self._pool = self._pool, None
        for connection in list(self._listening):
            await connection.close()
        if pool is not None:
            await pool.close(timeout=5.0)

    def sessions(self) -> Sessions:
        """How the pool is used just now (listening sessions are not of the pool)."""
        stats = {} if self._pool is None else self._pool.get_stats()
        size, idle = stats.get("pool_size", 0), stats.get("pool_available", 0)
        return Sessions(max(0, size - idle), idle, self._sizes[1], stats.get("requests_waiting", 0))

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def connection(self, *, timeout_s: float = BLOCK_TIMEOUT_S) -> AsyncIterator[Connection]:
        """A session in autocommit mode: each statement commits by itself.

        timeout_s: for the whole block, so that a network that went silent ends it (statement_timeout is the server's).
        Raises StoreUnavailable when the store is away, or becomes so inside.
        """
        if self._pool is None:
            raise StoreUnavailable("The store is not open.")
        limit = asyncio.timeout(timeout_s + _GRACE_S)
        began = time.monotonic()
        try:
            with outage_errors():
                async with limit, self._pool.connection() as connection:
                    with cut_after(connection, timeout_s - (time.monotonic() - began)):
                        yield connection
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise StoreUnavailable(f"The store did not answer within {timeout_s:g} s.") from error
        except StoreUnavailable as error:
            if self._refusal and isinstance(error.__cause__, PoolTimeout):
                raise StoreError(self._refusal) from error
            if time.monotonic() - began >= timeout_s:
                raise StoreUnavailable(f"The store did not answer within {timeout_s:g} s.") from error
            raise

    @asynccontextmanager
    async def transaction(self, *, timeout_s: float = BLOCK_TIMEOUT_S) -> AsyncIterator[Connection]:
        """One transaction: commits at the end of the block, rolls back when an exception leaves it.

        StoreUnavailable from the COMMIT itself leaves open whether it took effect: what is written must be idempotent.
        """
        async with self.connection(timeout_s=timeout_s) as connection, connection.transaction():
            yield connection

    async def listen(self, *channels: str) -> AsyncIterator[Notice]:
        """Notices of the channels, for ever, on a session of its own; reconnects with backoff after an outage.

        After each connection one fresh notice a channel comes first, since others may have been missed meanwhile.
        A silent network is noticed within LISTEN_CHECK_S plus the connection time-outs.
        """
        backoff_s, away = LISTEN_BACKOFF_S[0], False
        while True:
            try:
                with outage_errors():
                    async for notice in self._notices(channels):
                        if notice.fresh and away:
                            log.info("store.listening_again", channels=channels)
                        backoff_s, away = LISTEN_BACKOFF_S[0], False
                        yield notice
            except (StoreUnavailable, TimeoutError) as error:
                if not away:
                    log.warning("store.listening_broke", channels=channels, reason=str(error))
                away = True
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            backoff_s = min(backoff_s * 2, LISTEN_BACKOFF_S[1])

    async def _notices(self, channels: tuple[str, ...]) -> AsyncIterator[Notice]:
        connection = await self._dedicated()
        self._listening.add(connection)
        try:
            for channel in channels:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            for channel in channels:
                yield Notice(channel, "", fresh=True)
            while True:
                async for notify in connection.notifies(timeout=LISTEN_CHECK_S):
                    yield Notice(notify.channel, notify.payload)
                with cut_after(connection, LISTEN_CHECK_S):
                    await connection.execute("SELECT 1")
        finally:
            self._listening.discard(connection)
            await connection.close()

    async def _dedicated(self) -> Connection:
        async with asyncio.timeout(session.CONNECT_TIMEOUT_S * 2):
            connection = await AsyncConnection.connect(**self._conninfo, autocommit=True)  # type: ignore[arg-type]
            try:
                await self._prepare(connection)
            except BaseException:
                await connection.close()
                raise
        return connection

    async def _prepare(self, connection: Connection) -> None:
        cursor = await connection.execute(session.PREPARE, session.prepare_parameters(self._statement_timeout_s))
        row = await cursor.fetchone()
        assert row is not None
        self.durability = session.durability_of(row)
        self._refusal = None if self._only_checking else self.durability.refusal()
        if self._refusal:
            raise StoreError(self._refusal)


async def _check(connection: Connection) -> None:
    """Whether a session still works, before it is handed out; one round trip."""
    with cut_after(connection, CHECK_TIMEOUT_S):
        await connection.execute("")
