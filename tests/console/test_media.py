"""What the console passes on from camera workers, over real sockets: whoever leaves early leaves nothing behind."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

from console.app import create_app
from console.media import Media, passed_on
from devices.equipment import DeviceRow, add_device, stand_at
from store.media_roots import register
from store.pool import Store
from tests.console.conftest import GRID, City

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\ncontent-length: 100000000\r\n\r\n"


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def known(store: Store, ports: Sequence[int]) -> None:
    """Rows of living camera workers with these media ports."""
    async with store.transaction() as connection:
        await register(connection, "0" * 26, "here", "/nowhere")
        for port in ports:
            await connection.execute(
                "INSERT INTO stream_workers VALUES (%s, %s, 'here', %s, %s, clock_timestamp() + interval '1 minute')",
                [f"h{port}", f"here/{port}", f"http://127.0.0.1:{port}", "0" * 26],
            )


async def until(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not claim():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[Server]:
    server = Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off", ws="websockets-sansio"))
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

        async with served(Starlette(routes=[Route("/", endpoint)])) as server:
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


async def test_live_video_ends_with_the_right_to_see_it(city: City) -> None:
    left = asyncio.Event()

    async def worker(socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send(b"picture")
                await asyncio.sleep(0.02)
        left.set()

    async with city.store.transaction() as connection:
        await add_device(connection, DeviceRow("c1", "camera", url="rtsp://10.0.0.9/main"))
        await stand_at(connection, "c1", GRID, datetime(2026, 1, 1, tzinfo=UTC))
    await city.keeper.load()
    async with serve(worker, "127.0.0.1", 0) as upstream, served(create_app(city.console)) as server:
        await known(city.store, [next(iter(upstream.sockets)).getsockname()[1]])
        port = server.servers[0].sockets[0].getsockname()[1]
        address = f"ws://127.0.0.1:{port}/api/cameras/c1/mse"
        with pytest.raises(InvalidStatus, match="403"):
            await connect(address, additional_headers=city.headers("viewer"), proxy=None)
        async with connect(address, additional_headers=city.headers("operator"), proxy=None) as socket:
            assert await socket.recv() == b"picture"
            await asyncio.sleep(3 * city.console.settings.stream_ping_s)  # the time in which it must go on
            assert await socket.recv() == b"picture"
            async with city.store.connection() as connection:
                await connection.execute("UPDATE operators SET disabled_at = now() WHERE name = 'operator'")
            async with asyncio.timeout(5):
                async for _picture in socket:
                    pass
                await left.wait()
    await city.console.media.close()


async def test_footage_is_asked_where_it_lies(store: Store) -> None:
    """A camera that moved to another machine left its older footage on the first one's disk."""
    async with store.transaction() as connection:
        key = await add_device(connection, DeviceRow("c1", "camera", url="rtsp://10.0.0.9/main"))
        for root in ("old", "new"):
            await register(connection, root, root, f"/{root}")
            await connection.execute(
                "INSERT INTO stream_workers (holder, worker, host, url, root, expires_at) "
                "VALUES (%s, %s, %s, %s, %s, now() + interval '1 minute')",
                (root, root, root, f"http://{root}", root),
            )
        await connection.execute(
            "INSERT INTO leases (name, holder, epoch, acquired_at, expires_at) "
            "VALUES (%s, 'new', 2, now(), now() + interval '1 minute')",
            (f"camera:{key}",),
        )
    media = Media(store)
    assert (await media.worker_of(key)).url == "http://new"

    async def found(roots: list[str]) -> str:
        async def find(_connection: object) -> list[str]:
            return roots

        return (await media.worker_with(key, find)).url

    assert await found(["old"]) == "http://old"
    assert await found(["new", "old"]) == "http://new"
    assert await found(["old", "new"]) == "http://old"
    assert await found([]) == "http://new"
    assert await found(["elsewhere"]) == "http://new"
