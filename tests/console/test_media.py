"""What the console passes on from camera workers, over real sockets: whoever leaves early leaves nothing behind."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.media import Media, passed_on
from store.media_roots import register
from store.pool import Store

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\ncontent-length: 100000000\r\n\r\n"


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def until(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not claim():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def served(endpoint: Callable[[Request], Awaitable[Response]]) -> AsyncIterator[Server]:
    """An application of one route."""
    config = uvicorn.Config(Starlette(routes=[Route("/", endpoint)]), port=0, log_config=None, lifespan="off")
    server = Server(config)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        await until(lambda: server.started)
        try:
            yield server
        finally:
            server.should_exit = True


@pytest.mark.parametrize("leaves_early", [True, False], ids=["before the answer", "in the middle"])
async def test_who_leaves_early_gives_the_workers_connection_back(leaves_early: bool) -> None:
    asked, go_on, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def worker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await go_on.wait()
        with contextlib.suppress(OSError):
            writer.write(HEAD + bytes(100_000))
            await writer.drain()
            await reader.read()
        gone.set()
        writer.close()

    upstream = await asyncio.start_server(worker, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{upstream.sockets[0].getsockname()[1]}/"
    async with upstream, httpx.AsyncClient(trust_env=False) as client:

        async def endpoint(_request: Request) -> Response:
            return await passed_on(await client.send(client.build_request("GET", address), stream=True))

        async with served(endpoint) as server:
            reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname())
            writer.write(b"GET / HTTP/1.1\r\nhost: console\r\n\r\n")
            await asked.wait()
            if leaves_early:
                writer.close()
                await until(lambda: not server.server_state.connections)
                go_on.set()
            else:
                go_on.set()
                await reader.readuntil(b"\r\n\r\n")
                writer.close()
            async with asyncio.timeout(5):
                await gone.wait()


async def test_a_worker_that_hangs_or_refuses_holds_up_and_spoils_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.media.QUICK_S", 0.3)

    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    def answers(head: bytes, body: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def worker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (head, len(body), body))
            await writer.drain()
            writer.close()

        return worker

    kinds = [hangs, answers(b"401 Unauthorized", b'{"kind": "unauthorized"}'), answers(b"200 OK", b'{"c1": {}}')]
    servers = [await asyncio.start_server(kind, "127.0.0.1", 0) for kind in kinds]
    async with store.transaction() as connection:
        await register(connection, "0" * 26, "here", "/nowhere")
        for number, server in enumerate(servers):
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            await connection.execute(
                "INSERT INTO stream_workers VALUES (%s, %s, 'here', %s, %s, clock_timestamp() + interval '1 minute')",
                [f"h{number}", f"here/{number}", url, "0" * 26],
            )
    media = Media(store)
    try:
        async with asyncio.timeout(5):
            assert await media.states() == {"c1": {}}
            assert b"unauthorized" not in await media.metrics()
    finally:
        await media.close()
        for server in servers:
            server.close()
