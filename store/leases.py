"""Fenced leases: work that must be singular, by the store's clock (design §5).

A holder has an epoch. Every write under the lease calls `fence` first in its transaction: it locks the lease's row
against a takeover until the commit, so two holders never both commit. A holder that was stopped in the middle of a
transaction cannot block a takeover for long: the server ends its session after FENCED_IDLE_S of idling.
"""

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from core.errors import LeaseLost, StoreUnavailable
from store.pool import Store

Connection = AsyncConnection[TupleRow]

DEFAULT_TTL_S = 6.0
FENCED_IDLE_S = 5.0
_TAKEOVER_WAIT_S = 2.0


class Lease:
    """The right to do `name`, for `holder` (unique to this process life). Renew every third of `ttl_s` or oftener."""

    def __init__(
        self,
        store: Store,
        name: str,
        holder: str,
        ttl_s: float = DEFAULT_TTL_S,
        details: dict[str, object] | None = None,
    ) -> None:
        self._store = store
        self.name, self.holder, self.ttl_s = name, holder, ttl_s
        self._details = details or {}
        self.epoch: int | None = None
        """Grows with every holder; None while we do not hold it."""

    async def acquire(self) -> bool:
        """Takes the lease when it is free or expired. False: another holds it (or is just committing under it)."""
        try:
            async with self._store.transaction() as connection:
                await connection.execute(
                    "SELECT set_config('lock_timeout', %s, true)", (str(round(_TAKEOVER_WAIT_S * 1000)),)
                )
                cursor = await connection.execute(
                    "INSERT INTO leases AS l (name, holder, epoch, acquired_at, expires_at, details) "
                    "VALUES (%(name)s, %(holder)s, 1, clock_timestamp(), "
                    "clock_timestamp() + make_interval(secs => %(ttl)s), %(details)s) "
                    "ON CONFLICT (name) DO UPDATE SET holder = EXCLUDED.holder, epoch = l.epoch + 1, "
                    "acquired_at = clock_timestamp(), "
                    "expires_at = clock_timestamp() + make_interval(secs => %(ttl)s), "
                    "details = EXCLUDED.details WHERE l.expires_at <= clock_timestamp() RETURNING epoch",
                    {"name": self.name, "holder": self.holder, "ttl": self.ttl_s, "details": Jsonb(self._details)},
                )
                row = await cursor.fetchone()
        except StoreUnavailable as error:
            if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                return False
            raise
        self.epoch = None if row is None else row[0]
        return row is not None

    async def renew(self) -> None:
        """Moves the expiry forward. Raises LeaseLost when it had expired or another holds it."""
        async with self._store.connection() as connection:
            cursor = await connection.execute(
                "UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => %s) WHERE name = %s "
                "AND holder = %s AND epoch = %s AND expires_at > clock_timestamp() RETURNING epoch",
                (self.ttl_s, self.name, self.holder, self.epoch),
            )
            if await cursor.fetchone() is None:
                raise self._lost()

    async def release(self) -> None:
        """Lets the next holder in at once. Harmless when it is not ours any more."""
        epoch, self.epoch = self.epoch, None
        if epoch is None:
            return
        async with self._store.connection() as connection:
            await connection.execute(
                "UPDATE leases SET expires_at = clock_timestamp() WHERE name = %s AND holder = %s AND epoch = %s "
                "AND expires_at > clock_timestamp()",
                (self.name, self.holder, epoch),
            )

    async def fence(self, connection: Connection) -> None:
        """First statement of a transaction that writes under the lease. Raises LeaseLost: what follows must not be.

        Locks the row FOR SHARE: a takeover waits for this transaction, this transaction never waits for long.
        """
        cursor = await connection.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', %s, true) FROM leases WHERE name = %s "
            "AND holder = %s AND epoch = %s AND expires_at > clock_timestamp() FOR SHARE",
            (str(round(FENCED_IDLE_S * 1000)), self.name, self.holder, self.epoch),
        )
        if await cursor.fetchone() is None:
            raise self._lost()

    def _lost(self) -> LeaseLost:
        self.epoch = None
        return LeaseLost(f"The lease {self.name} is not ours any more.", name=self.name, holder=self.holder)
