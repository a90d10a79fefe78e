"""The HTTP server on a real socket against senders that mean harm: silent, slow, endless heads, large bodies."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI, Request

from console.limits import HELD_MOST, Guards
from console.settings import HttpSettings
from core.health import Board
from core.supervise import Part
from wangge.http_server import HttpServer
from wangge.ports import listening, port_of

SETTINGS = HttpSettings(head_limit=8192, keep_alive_s=1, body_limit=4096, import_limit=1 << 20, body_wait_s=0.5)


def application() -> FastAPI:
    """A route, a slow one, and one that may take a large body; the guards as in the real application."""
    app = FastAPI()

    @app.post("/api/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @app.get("/api/slow")
    async def slow() -> str:
        await asyncio.sleep(2)
        return "done"

    @app.post("/api/import")
    async def refused(request: Request) -> int:
        return len(await request.body()) if request.headers.get("authorization") else 0

    app.add_middleware(
        Guards, limit=SETTINGS.body_limit, larger={"/api/import": SETTINGS.import_limit}, wait_s=SETTINGS.body_wait_s
    )
    return app


@pytest.fixture
async def port() -> AsyncIterator[int]:
    listener = listening("127.0.0.1", 0, "http.port")
    server = HttpServer(application(), SETTINGS, listener)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(server.run(Part("http", Board())))
        yield port_of(listener)
        server.stop()
        await asyncio.wait([running], timeout=6)
        running.cancel()
    listener.close()


async def talk(port: int, *pieces: bytes, wait_s: float = 5) -> bytes:
    """Sends the pieces, reads until the other side closes (or b"…" when it does not)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        try:
            async with asyncio.timeout(wait_s):
                return await reader.read()
        except ConnectionError:
            return b""
        except TimeoutError:
            return "…".encode()
    finally:
        writer.close()


async def test_a_connection_without_a_whole_request_is_closed(port: int) -> None:
    assert await talk(port) == b""
    assert await talk(port, b"GET /api/slow HTTP/1.1\r\nX-A: ") == b""
    answered = await talk(port, b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /")
    assert answered.startswith(b"HTTP/1.1 404")


async def test_a_slow_answer_is_not_cut_off(port: int) -> None:
    request = b"GET /api/slow HTTP/1.1\r\nHost: x\r\n\r\n"
    assert b'"done"' in await talk(port, request)
    assert (await talk(port, request + request, wait_s=8)).count(b'"done"') == 2


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET / HTTP/1.1\r\n"] + [b"X-A: " + b"a" * 5000 + b"\r\n"] * 50,
        [b"GET / HTTP/1.1\r\nX-A: "] + [b"a" * 5000] * 50,
        [b"GET /?"] + [b"a" * 5000] * 50,
        [b"GET /?" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"],
        [b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nX-A: "] + [b"a" * 5000] * 50,
    ],
)
async def test_the_head_of_a_request_is_bounded(port: int, pieces: list[bytes]) -> None:
    answered = await talk(port, *pieces)
    assert answered == b"" or b"HTTP/1.1 431 " in answered  # a reset may overtake the answer while we still write


async def test_a_large_head_within_the_limit_passes(port: int) -> None:
    request = b"POST /api/echo HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 7000 + b"\r\nContent-Length: 4000\r\n\r\n"
    assert (await talk(port, request, b"b" * 4000)).endswith(b"4000")


async def test_bodies_are_bounded_in_size_and_time(port: int) -> None:
    head = b"POST /api/echo HTTP/1.1\r\nHost: x\r\n"
    assert b" 413 " in await talk(port, head + b"Content-Length: 5000\r\n\r\n")
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + (b"3e8\r\n" + b"a" * 1000 + b"\r\n") * 5
    assert b" 413 " in await talk(port, chunked)
    slow = await talk(port, head + b"Content-Length: 100\r\n\r\nabc")
    assert b" 408 " in slow
    assert b"connection: close" in slow.lower()


async def test_a_large_body_is_not_read_before_the_caller_is_known(port: int) -> None:
    head = b"POST /api/import HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n"
    assert b" 200 " in await talk(port, head + b"\r\n")
    known = await talk(port, head + b"Authorization: x\r\nConnection: close\r\n\r\n" + b"a" * 900_000)
    assert known.endswith(b"900000")


async def test_bodies_of_all_requests_together_are_bounded() -> None:
    """Without a server: two requests hold half of the room each, a third is told to come again; then there is room."""
    status: list[int] = []
    going, done = asyncio.Event(), asyncio.Event()

    async def app(scope: object, receive: object, send: object) -> None:
        going.set()
        await done.wait()

    guards = Guards(app, limit=HELD_MOST)
    scope = {"type": "http", "path": "/api/x", "headers": [], "scheme": "http"}

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": bytes(HELD_MOST // 2), "more_body": False}

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        status.append(message.get("status", 0))

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(guards(scope, receive, send))
        await going.wait()
        await guards(scope, receive, send)
        assert status[0] == 503
        done.set()
    await guards(scope, receive, send)
    assert status.count(503) == 1


async def test_every_answer_has_the_headers(port: int) -> None:
    for path in (b"/", b"/nope", b"/api/slow"):
        answered = await talk(port, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"x-content-type-options: nosniff" in answered
        assert b"content-security-policy: default-src 'none'" in answered
