"""Thousands of simulated devices on HTTP: a few keep-alive connections that devices share, one request at a time each.

httpx costs about a millisecond a request; this client costs some tens of microseconds. A device never has two requests
under way, and sends what waits as one array. 2xx acknowledges; 429 and 503 wait as told; anything else is an error and
the messages are kept and tried again.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import msgspec

from simulators.errors import SimulatorError
from simulators.outgoing import MAX_FACTS, Outgoing, merge
from simulators.sender import Sender, backoff_s
from simulators.tally import OnAcked

ANSWER_WAIT_S = 30.0
ARRAY_BYTES = 512 * 1024
PATHS = {"fix": "/v1/fixes", "pos": "/v1/pos"}


class HttpDevice:
    """What one device has to send."""

    __slots__ = ("attempts", "first_sent", "queued", "token", "waiting")

    def __init__(self, token: str) -> None:
        self.token = token
        self.waiting: deque[Outgoing] = deque()
        self.queued = False
        self.attempts = 0
        self.first_sent: float | None = None
        """When the message at the head of `waiting` was first tried."""


class _Connection(asyncio.Protocol):
    """One keep-alive connection; `answer` is set with (status, retry after in seconds, body) when one is complete."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[tuple[int, float | None, bytes]] | None = None
        self._parser: Any = None
        self._body = b""
        self._retry_after: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(str(error)))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ConnectionError("the server closed the connection"))

    def _fail(self, error: ConnectionError) -> None:
        if self.transport is not None:
            self.transport.abort()
            self.transport = None
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error)

    def on_message_begin(self) -> None:
        self._body, self._retry_after = b"", None

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"retry-after" and value.isdigit():
            self._retry_after = float(value)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if not self._parser.should_keep_alive() and self.transport is not None:
            self.transport.close()
            self.transport = None
        if self.answer is not None and not self.answer.done():
            self.answer.set_result((status, self._retry_after, self._body))


class HttpPool(Sender):
    """A sender for (device id, token) pairs on one service. url: http://host:port"""

    def __init__(
        self,
        credentials: Sequence[tuple[str, str]],
        url: str,
        *,
        connections: int = 32,
        on_acked: OnAcked | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(on_acked)
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise SimulatorError(f"{url!r} is no address like http://127.0.0.1:8080")
        self._host, self._port = parts.hostname, parts.port or 80
        self._connections = connections
        self._rng = random.Random(seed)
        self._ready: asyncio.Queue[HttpDevice] = asyncio.Queue()
        self.devices = {device: HttpDevice(token) for device, token in credentials}

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["HttpPool"]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._work()) for _ in range(min(self._connections, max(1, len(self.devices))))]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()

    async def online(self, timeout_s: float, share: float = 1.0) -> int:
        """HTTP devices have no standing connection: only checks that the service answers."""
        try:
            async with asyncio.timeout(timeout_s):
                _, writer = await asyncio.open_connection(self._host, self._port)
        except (OSError, TimeoutError) as error:
            raise SimulatorError(f"nothing answers at {self._host}:{self._port}: {error}") from error
        writer.transport.abort()
        return len(self.devices)

    def send(self, message: Outgoing) -> None:
        device = self.devices[message.device]
        self.taken()
        device.waiting.append(message)
        self._queue(device)

    def _queue(self, device: HttpDevice) -> None:
        if not device.queued and device.waiting:
            device.queued = True
            self._ready.put_nowait(device)

    async def _work(self) -> None:
        connection = _Connection()
        try:
            while True:
                device = await self._ready.get()
                wait_s = 0.0
                try:
                    async with asyncio.timeout(ANSWER_WAIT_S):
                        if connection.transport is None:
                            connection = await self._connect()
                        wait_s = await self._exchange(connection, device)
                except (OSError, TimeoutError):
                    self.tally.errors += 1
                    self._close(connection)
                    connection = _Connection()
                    device.attempts += 1
                    wait_s = backoff_s(device.attempts - 1, self._rng.random())
                asyncio.get_running_loop().call_later(wait_s, self._again, device)
        finally:
            self._close(connection)

    def _again(self, device: HttpDevice) -> None:
        device.queued = False
        self._queue(device)

    @staticmethod
    def _close(connection: _Connection) -> None:
        if connection.transport is not None:
            connection.transport.abort()
            connection.transport = None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self._host, self._port)
        self.tally.connects += 1
        return connection

    async def _exchange(self, connection: _Connection, device: HttpDevice) -> float:
        """One request and its answer; returns the seconds to wait before the device's next."""
        batch = _batch(device.waiting)
        message = merge(batch)
        head = (
            f"POST {PATHS[message.kind]} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Authorization: Bearer {device.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(message.body)}\r\n\r\n"
        )
        assert connection.transport is not None
        connection.answer = asyncio.get_running_loop().create_future()
        if device.first_sent is None:
            device.first_sent = time.monotonic()
            self.tally.sent += 1
        else:
            self.tally.resent += 1
        connection.transport.write(head.encode() + message.body)
        status, retry_after, body = await connection.answer
        if status // 100 != 2:
            self.tally.errors += status not in (429, 503)
            device.attempts += 1
            return backoff_s(device.attempts - 1, self._rng.random()) if retry_after is None else retry_after
        for _ in batch:
            device.waiting.popleft()
        self.merged(len(batch) - 1)
        self.acknowledged(message, time.monotonic() - device.first_sent)
        device.first_sent, device.attempts = None, 0
        self._read(body)
        return 0.0

    def _read(self, body: bytes) -> None:
        """Count what the service says of the facts."""
        try:
            told: Any = msgspec.json.decode(body)
        except msgspec.DecodeError:
            self.tally.errors += 1
            return
        if isinstance(told, dict):
            self.tally.duplicates += int(told.get("duplicate", 0))
            self.tally.rejected += len(told.get("rejected", ()))


def _batch(waiting: deque[Outgoing]) -> list[Outgoing]:
    """The longest head of `waiting` that may be one array."""
    batch = [waiting[0]]
    facts, size = len(waiting[0].keys), len(waiting[0].body)
    for message in islice(waiting, 1, MAX_FACTS):
        facts, size = facts + len(message.keys), size + len(message.body)
        if message.kind != waiting[0].kind or facts > MAX_FACTS or size > ARRAY_BYTES:
            break
        batch.append(message)
    return batch
