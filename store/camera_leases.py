"""Leases of cameras, many at a time: who records which camera, divided evenly among the living workers (design §5).

The table and the meaning are those of store.leases: `camera:<key>`, holder, epoch, expiry by the store's clock. A
worker beats every `beat_s`: it renews what it holds, gives back what is more than its share (so that a new worker gets
its own), and takes cameras that nobody holds. A dead worker's cameras are free after `ttl_s`, for its successor in the
same place (`Worker.worker`) at once, so that a restart costs no more than the restart.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from core.errors import StoreUnavailable
from store.footage import lease_name
from store.pool import Store

Connection = AsyncConnection[Any]

TTL_S: Final = 15.0
BEAT_S: Final = 5.0
_TAKEOVER_WAIT_S: Final = 2.0
_FORGET_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process. holder: unique to this process life. worker: its place, e.g. `host/0`, the same after a
    restart; whoever gives it has made sure that no other process of that place lives (a lock on a file). url: of its
    media port. root: registered before (store.media_roots)."""

    holder: str
    worker: str
    host: str
    url: str
    root: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker should do now: cameras to take and to give back."""

    take: tuple[int, ...] = ()
    give_back: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Beat:
    """What a beat changed: cameras that are ours now, and those that are not any more.

    A camera whose lease had lapsed and came back to us in the same beat is in none: only its epoch is new. given_back:
    released on purpose; another worker takes them within a beat, and recording them a moment longer is legal.
    """

    taken: tuple[int, ...] = ()
    given_back: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()


def share(cameras: int, workers: int) -> int:
    """The most cameras that one of so many workers records."""
    return -(-cameras // max(1, workers))


def divide(
    holder: str, workers: Collection[str], cameras: Collection[int], holders: Mapping[int, str], held: Collection[int]
) -> Plan:
    """A worker's part of the division; pure. workers: holders that live, ours with them or not. cameras: all to be
    recorded. holders: camera → holder of its unexpired lease. held: ours.

    Each worker begins to take at another place of the list, so that two that start together do not fight.
    """
    wanted, alive = set(cameras), sorted({*workers, holder})
    most = share(len(wanted), len(alive))
    ours = sorted(wanted & set(held))
    surplus = [*sorted(set(held) - wanted), *ours[most:]]
    free = sorted(camera for camera in wanted if camera not in holders and camera not in held)
    start = alive.index(holder) * len(free) // len(alive)
    room = max(0, most - len(ours))
    return Plan(tuple(sorted((free[start:] + free[:start])[:room])), tuple(surplus))


class CameraLeases:
    """One worker's leases. Not safe to share between tasks: one task beats."""

    def __init__(self, store: Store, worker: Worker, ttl_s: float = TTL_S) -> None:
        self._store, self.worker, self._ttl_s = store, worker, ttl_s
        self.beat_s = min(BEAT_S, ttl_s / 3)
        """Seconds between two rounds at most; each of them renews, so that two may fail."""
        self._renew_at_s = 0.0
        self.epochs: dict[int, int] = {}
        """Camera → epoch of the lease that we hold; what `store.footage.record` wants."""

    async def beat(self, cameras: Collection[int]) -> Beat:
        """One round, at least every `beat_s`. cameras: keys of all that are to be recorded by anybody.

        Raises StoreUnavailable: what we hold stays as it was, recording goes on (footage is legal without a lease).
        """
        before = dict(self.epochs)
        lapsed: set[int] = set()
        now_s = time.monotonic()
        if now_s >= self._renew_at_s:
            lapsed = await self._renew()
            self._renew_at_s = now_s + self.beat_s / 2
        workers, holders = await self._look(cameras)
        plan = divide(self.worker.holder, workers, cameras, holders, self.epochs.keys())
        if plan.give_back:
            await self._give_back(plan.give_back)
        taken = await self._take(plan.take) if plan.take else {}
        self.epochs |= taken
        return Beat(
            taken=tuple(sorted(taken.keys() - before.keys())),
            given_back=plan.give_back,
            lost=tuple(sorted(lapsed - self.epochs.keys())),
        )

    async def release(self) -> None:
        """Gives everything back and takes the worker off the list, so that others take over within a beat."""
        await self._give_back(tuple(self.epochs))
        self._renew_at_s = 0.0
        async with self._store.connection() as connection:
            await connection.execute("DELETE FROM stream_workers WHERE holder = %s", (self.worker.holder,))

    async def _renew(self) -> set[int]:
        """Says that we live and renews all leases; returns the cameras whose lease is not ours any more."""
        async with self._store.transaction() as connection:
            await _show(connection, self.worker, self._ttl_s)
            cameras = sorted(self.epochs, key=lease_name)
            found = await connection.execute(
                "WITH mine AS (SELECT l.name FROM leases l JOIN unnest(%(names)s::text[], %(epochs)s::bigint[]) "
                "AS held (name, epoch) USING (name) WHERE l.holder = %(holder)s AND l.epoch = held.epoch "
                "AND l.expires_at > clock_timestamp() ORDER BY l.name FOR UPDATE OF l) "
                "UPDATE leases l SET expires_at = clock_timestamp() + make_interval(secs => %(ttl)s) "
                "FROM mine WHERE l.name = mine.name RETURNING l.name",
                {
                    "names": [lease_name(camera) for camera in cameras],
                    "epochs": [self.epochs[camera] for camera in cameras],
                    "holder": self.worker.holder,
                    "ttl": self._ttl_s,
                },
            )
            renewed = {_camera(name) for (name,) in await found.fetchall()}
        lapsed = self.epochs.keys() - renewed
        for camera in lapsed:
            del self.epochs[camera]
        return lapsed

    async def _look(self, cameras: Collection[int]) -> tuple[set[str], dict[int, str]]:
        """Workers that live, and who holds which camera; a predecessor in our place counts as nobody."""
        async with self._store.connection() as connection:
            found = await connection.execute(
                "SELECT holder, NULL FROM stream_workers WHERE expires_at > clock_timestamp() UNION ALL "
                "SELECT holder, name FROM leases WHERE name = ANY (%s) AND expires_at > clock_timestamp() "
                "AND (holder = %s OR details->>'worker' IS DISTINCT FROM %s)",
                ([lease_name(camera) for camera in cameras], self.worker.holder, self.worker.worker),
            )
            rows = await found.fetchall()
        return {holder for holder, name in rows if name is None}, {
            _camera(name): holder for holder, name in rows if name is not None
        }

    async def _give_back(self, cameras: Sequence[int]) -> None:
        names = sorted((lease_name(camera), self.epochs[camera]) for camera in cameras)
        async with self._store.connection() as connection:
            await connection.execute(
                "WITH mine AS (SELECT l.name FROM leases l JOIN unnest(%s::text[], %s::bigint[]) AS held (name, epoch) "
                "USING (name) WHERE l.holder = %s AND l.epoch = held.epoch ORDER BY l.name FOR UPDATE OF l) "
                "UPDATE leases l SET expires_at = least(l.expires_at, clock_timestamp()) FROM mine "
                "WHERE l.name = mine.name",
                ([name for name, _ in names], [epoch for _, epoch in names], self.worker.holder),
            )
        for camera in cameras:
            self.epochs.pop(camera, None)

    async def _take(self, cameras: Sequence[int]) -> dict[int, int]:
        """Takes those that are still free; camera → epoch. Nothing when a lock was not free in time."""
        worker = self.worker
        try:
            async with self._store.transaction() as connection:
                await connection.execute(
                    "SELECT set_config('lock_timeout', %s, true)", (str(round(_TAKEOVER_WAIT_S * 1000)),)
                )
                found = await connection.execute(
                    "INSERT INTO leases AS l (name, holder, epoch, acquired_at, expires_at, details) "
                    "SELECT name, %(holder)s, 1, clock_timestamp(), "
                    "clock_timestamp() + make_interval(secs => %(ttl)s), %(details)s "
                    "FROM unnest(%(names)s::text[]) AS new (name) ORDER BY name "
                    "ON CONFLICT (name) DO UPDATE SET holder = EXCLUDED.holder, epoch = l.epoch + 1, "
                    "acquired_at = EXCLUDED.acquired_at, expires_at = EXCLUDED.expires_at, details = EXCLUDED.details "
                    "WHERE l.expires_at <= clock_timestamp() "
                    "OR l.details->>'worker' = %(worker)s AND l.holder <> %(holder)s RETURNING name, epoch",
                    {
                        "names": [lease_name(camera) for camera in cameras],
                        "holder": worker.holder,
                        "worker": worker.worker,
                        "ttl": self._ttl_s,
                        "details": Jsonb({"url": worker.url, "root": worker.root, "worker": worker.worker}),
                    },
                )
                return {_camera(name): epoch for name, epoch in await found.fetchall()}
        except StoreUnavailable as error:
            if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                return {}
            raise


async def _show(connection: Connection, worker: Worker, ttl_s: float) -> None:
    """The worker's row; those of its predecessors in its place and of the long dead go."""
    await connection.execute(
        "DELETE FROM stream_workers WHERE holder <> %s AND (worker = %s "
        "OR expires_at < clock_timestamp() - make_interval(secs => %s))",
        (worker.holder, worker.worker, _FORGET_S),
    )
    await connection.execute(
        "INSERT INTO stream_workers (holder, worker, host, url, root, expires_at) VALUES (%(holder)s, %(worker)s, "
        "%(host)s, %(url)s, %(root)s, clock_timestamp() + make_interval(secs => %(ttl)s)) ON CONFLICT (holder) "
        "DO UPDATE SET url = EXCLUDED.url, root = EXCLUDED.root, expires_at = EXCLUDED.expires_at",
        {
            "holder": worker.holder,
            "worker": worker.worker,
            "host": worker.host,
            "url": worker.url,
            "root": worker.root,
            "ttl": ttl_s,
        },
    )


def _camera(name: str) -> int:
    return int(name.partition(":")[2])
