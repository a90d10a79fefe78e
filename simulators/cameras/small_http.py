"""A small HTTP/1.1 server for what simulators are told and asked on 127.0.0.1. One request a connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

MOST_BODY = 1 << 20
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Header names in lower case; path without its percent signs."""

    method: str
    path: str
    target: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What is sent back."""

    status: int
    body: bytes = b""
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[HttpRequest], Awaitable[HttpAnswer]]


@asynccontextmanager
async def serving(handler: Handler, host: str, port: int) -> AsyncIterator[int]:
    """The port that answers until the end of the block; open connections end with it."""
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    request = await read(reader)
                answer = HttpAnswer(400) if request is None else await handler(request)
                writer.write(_bytes(answer))
                await writer.drain()
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, host, port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in tuple(writers):
            writer.transport.abort()


async def read(reader: asyncio.StreamReader) -> HttpRequest | None:
    """The next request; None where it is none, or too large."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    words = head[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MOST_BODY:
        return None
    body = await reader.readexactly(int(length))
    parts = urlsplit(words[1])
    return HttpRequest(words[0], unquote(parts.path), words[1], dict(parse_qsl(parts.query)), headers, body)


def _bytes(answer: HttpAnswer) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", f"Content-Type: {answer.kind}"]
    lines += [f"Content-Length: {len(answer.body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body
