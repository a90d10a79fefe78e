"""A real mosquitto on a free port, a TCP proxy that can cut connections, a small HTTP service as in the contract."""

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from simulators.manifest import Manifest, made_up

START_MS = 1_795_492_800_000
"""2026-11-24 12:00 in Yongzhou: everything is open."""


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a mosquitto that takes anybody."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed (make install, as root, installs it)")
    port = free_port()
    configuration = tmp_path_factory.mktemp("mosquitto") / "mosquitto.conf"
    configuration.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
        "max_inflight_messages 0\nmax_queued_messages 0\nlog_dest none\n"
    )
    with subprocess.Popen([program, "-c", str(configuration)]) as process:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
        process.terminate()
        process.wait(10)


def free_port() -> int:
    """A TCP port that nobody listens on just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """Port of a TCP server; at the end its connections are cut and its handlers waited for."""
    open_now: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await handler(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            open_now.discard(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        deadline = time.monotonic() + 5
        while open_now and time.monotonic() < deadline:
            for writer in open_now:
                writer.transport.abort()
            await asyncio.sleep(0.01)


@dataclass
class Proxy:
    """Passes bytes on; `swallow` drops what the server says, `cut` resets all connections."""

    port: int = 0
    swallow: bool = False
    to_server: bytearray = field(default_factory=bytearray)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()


@asynccontextmanager
async def proxy(target: int) -> AsyncIterator[Proxy]:
    """A proxy before 127.0.0.1:target."""
    one = Proxy()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_server: bool) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                if from_server and one.swallow:
                    continue
                if not from_server:
                    one.to_server += data
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", target)
        one.writers += [writer, up_writer]
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(pump(reader, up_writer, from_server=False))
                group.create_task(pump(up_reader, writer, from_server=True))
        finally:
            up_writer.close()
            with suppress(ConnectionError):
                await up_writer.wait_closed()

    async with serving(serve) as one.port:
        yield one


@dataclass
class Service:
    """A stand-in for the service's HTTP side: stores by key, may be away, knows its tokens."""

    port: int = 0
    token: str = "x" * 43
    away: int = 0
    """How many requests are still answered with 503."""
    cut: int = 0
    """How many requests are still stored, but their connection closed instead of an answer."""
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    """(path, token, facts) of each request."""
    stored: set[str] = field(default_factory=set)


@asynccontextmanager
async def service() -> AsyncIterator[Service]:
    """A running stand-in."""
    one = Service()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:] if line)}
            body = await reader.readexactly(int(headers["content-length"]))
            status, extra, answer = _answer(one, lines[0].split(" ")[1], headers["authorization"], body)
            if status == 0:
                writer.transport.abort()
                return
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(answer)}\r\n{extra}\r\n".encode() + answer)
            await writer.drain()

    async with serving(serve) as one.port:
        yield one


def _answer(one: Service, path: str, authorization: str, body: bytes) -> tuple[int, str, bytes]:
    facts = msgspec.json.decode(body)
    facts = facts if isinstance(facts, list) else [facts]
    token = authorization.removeprefix("Bearer ")
    one.requests.append((path, token, len(facts)))
    if token != one.token:
        return 401, "", b"{}"
    if one.away:
        one.away -= 1
        return 503, "Retry-After: 0\r\n", b"{}"
    keys = {f"{path} {fact.get('fixed_at')} {fact.get('at')} {fact.get('boot')} {fact.get('seq')}" for fact in facts}
    new = keys - one.stored
    one.stored |= keys
    if one.cut:
        one.cut -= 1
        return 0, "", b""
    told = {"stored": len(new), "duplicate": len(facts) - len(new), "rejected": []}
    return 200, "", msgspec.json.encode(told)


def city(handsets: int, terminals: int = 0, *, profiled: bool = False, now_ms: int = START_MS) -> Manifest:
    """Made-up devices on duty for 12 h from an hour before now_ms."""
    one = made_up(handsets, terminals, start=datetime.fromtimestamp(now_ms / 1000 - 3600, UTC), hours=12)
    known = [msgspec.structs.replace(terminal, profiled=profiled) for terminal in one.terminals]
    return msgspec.structs.replace(one, terminals=known)


def city_now(handsets: int, terminals: int = 0) -> Manifest:
    """Made-up devices on duty at present."""
    return city(handsets, terminals, now_ms=round(time.time() * 1000))


def write_manifest(path: Path, manifest: Manifest) -> Path:
    """The manifest as a file."""
    path.write_bytes(msgspec.json.encode(manifest))
    return path
