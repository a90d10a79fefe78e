"""From the console to the workers that hold cameras and footage: finds the one to ask and passes its answer on.

A worker answers on an internal port that wants the store's media key (streams.media_port); who may look, and the audit
row, are the console's affair and settled before. Bytes are passed on as they come, never gathered.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi.responses import Response, StreamingResponse
from psycopg import AsyncConnection

from console.problems import NobodyServes
from store.media_roots import MediaWorker, media_key, media_workers
from store.pool import Store

KNOWN_FOR_S = 2.0
CONNECT_S, ANSWER_S, QUICK_S = 3.0, 30.0, 2.0
IDLE_S = 2.0
"""Less than the 5 s after which a worker closes an idle connection: a request must not meet the closing."""
PASSED_ON = frozenset(
    {
        "accept-ranges",
        "cache-control",
        "content-disposition",
        "content-length",
        "content-range",
        "content-type",
        "etag",
        "last-modified",
        "location",
        "retry-after",
    }
)
"""Headers of a worker's answer that the caller gets, beside those of our own (x-wangge-*)."""


Find = Callable[[AsyncConnection[Any]], Awaitable[list[str]]]
"""Asks the store for roots that hold something, best first."""


@dataclass(frozen=True, slots=True)
class _Known:
    at: float
    key: str
    workers: tuple[MediaWorker, ...]


class Media:
    """The workers as the console sees them. One HTTP client; used from the event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: _Known | None = None
        self._client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Closes idle connections."""
        if self._client is not None:
            await self._client.aclose()

    async def workers(self) -> tuple[MediaWorker, ...]:
        """Those alive now; asked of the store every KNOWN_FOR_S."""
        return (await self._look()).workers

    async def _look(self) -> _Known:
        now = time.monotonic()
        if self._known is None or now - self._known.at > KNOWN_FOR_S:
            async with self._store.connection() as connection:
                key = await media_key(connection)
                self._known = _Known(now, key, tuple(await media_workers(connection)))
        return self._known

    async def worker_of(self, camera: int) -> MediaWorker:
        """The worker that has the camera, else one that serves footage at all. Raises NobodyServes."""
        workers = await self.workers()
        for worker in workers:
            if camera in worker.cameras:
                return worker
        if workers:
            return workers[0]
        raise NobodyServes("No camera worker is running; footage can be seen when one is (see `wangge status`).")

    async def worker_with(self, camera: int, find: Find) -> MediaWorker:
        """The worker to ask for footage. find: roots that hold it, best first; asked where there are several at all.

        A camera that moved to another machine left its older footage on the first one. Raises NobodyServes.
        """
        workers, holder = await self.workers(), await self.worker_of(camera)
        if len({worker.root for worker in workers}) < 2:
            return holder
        async with self._store.connection() as connection:
            roots = await find(connection)
        if not roots or holder.root in roots[:1]:
            return holder
        serving = [worker for root in roots for worker in workers if worker.root == root]
        return serving[0] if serving else holder

    async def states(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Camera → stream → what its worker knows of it, of every worker that answers quickly."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for told in await self._all_told("/state"):
            found |= json.loads(told)
        return found

    async def metrics(self) -> bytes:
        """Prometheus text of all workers that answer quickly, each family together."""
        families: dict[str, list[str]] = {}
        for told in await self._all_told("/metrics"):
            name = ""
            for line in told.decode().splitlines():
                if line.startswith("# HELP "):
                    name = line.split(" ", 3)[2]
                lines = families.setdefault(name, [])
                if not line.startswith("#") or line not in lines:
                    lines.append(line)
        return "".join(f"{line}\n" for lines in families.values() for line in lines).encode()

    async def _all_told(self, path: str) -> list[bytes]:
        """What every worker answers that does so within QUICK_S; one that hangs holds up nobody for longer."""
        found: list[bytes] = []

        async def ask(worker: MediaWorker) -> None:
            try:
                async with asyncio.timeout(QUICK_S):
                    answer = await self.ask(worker, "GET", path)
                    try:
                        if answer.is_success:
                            found.append(await answer.aread())
                    finally:
                        await answer.aclose()
            except (NobodyServes, httpx.TransportError, TimeoutError):
                return

        workers = await self.workers()
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(ask(worker))
        return found

    async def headers(self) -> dict[str, str]:
        """What a worker wants to see."""
        return {"Authorization": f"Bearer {(await self._look()).key}"}

    async def ask(
        self,
        worker: MediaWorker,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> httpx.Response:
        """An answer whose body is still to be read; the caller closes it. Raises NobodyServes when nobody answers."""
        if self._client is None:
            timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S, pool=CONNECT_S)
            limits = httpx.Limits(max_connections=500, max_keepalive_connections=50, keepalive_expiry=IDLE_S)
            self._client = httpx.AsyncClient(timeout=timeout, limits=limits, trust_env=False)
        request = self._client.build_request(
            method,
            worker.url + path,
            params=dict(query or {}),
            headers={**(headers or {}), **await self.headers()},
            content=body or None,
        )
        try:
            return await self._client.send(request, stream=True)
        except httpx.TransportError as error:
            self._known = None
            raise NobodyServes(f"The camera worker at {worker.url} does not answer; try again in a moment.") from error


async def passed_on(answer: httpx.Response, *, is_head: bool = False) -> Response:
    """The worker's answer as ours: bytes as they come, a problem document as it is."""
    headers = {
        name: value for name, value in answer.headers.items() if name in PASSED_ON or name.startswith("x-wangge-")
    }
    if answer.is_error:
        try:
            return Response(await answer.aread(), answer.status_code, headers)
        finally:
            await answer.aclose()
    return StreamingResponse(_bytes(answer, is_head=is_head), status_code=answer.status_code, headers=headers)


async def _bytes(answer: httpx.Response, *, is_head: bool) -> AsyncIterator[bytes]:
    try:
        if not is_head:
            async for piece in answer.aiter_raw():
                yield piece
    finally:
        await answer.aclose()
