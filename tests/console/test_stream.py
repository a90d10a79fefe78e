"""Live changes: only new ones, resumed by Last-Event-ID, in scope, on a real server (test transports cannot stream)."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn

from console.api import stream
from console.app import create_app
from tests.console.conftest import City


@asynccontextmanager
async def served(city: City) -> AsyncIterator[str]:
    config = uvicorn.Config(create_app(city.console), log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server._serve([listener]))
            following = group.create_task(stream.follow(city.console))
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                city.console.changed.close()
                server.should_exit = True
                await serving
                following.cancel()


async def messages(url: str, headers: dict[str, str], count: int, query: str = "") -> list[tuple[int, dict[str, Any]]]:
    """The first so many changes of one connection."""
    found: list[tuple[int, dict[str, Any]]] = []
    async with (
        asyncio.timeout(10),
        httpx.AsyncClient(trust_env=False) as client,
        client.stream("GET", f"{url}/api/stream{query}", headers=headers, timeout=10) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        number = 0
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                number = int(line[4:])
            elif line.startswith("data: "):
                found.append((number, json.loads(line[6:])))
                if len(found) == count:
                    return found
    return found


async def test_resumed_by_the_last_id(city: City) -> None:
    async with served(city) as url:
        headers = city.headers("local")
        first = await messages(url, headers | {"Last-Event-ID": "0"}, 4)
        assert [body["event"]["id"] for _, body in first] == city.events
        assert [number for number, _ in first] == sorted(number for number, _ in first)
        again = await messages(url, headers | {"Last-Event-ID": str(first[1][0])}, 2)
        assert again == first[2:]
        other = await messages(url, city.headers("other") | {"Last-Event-ID": "0"}, 1)
        assert other[0][1]["event"]["id"] == city.events[3]
        chosen = await messages(url, headers, 1, "?after=0&code=POS-02")
        assert chosen[0][1]["event"]["id"] == city.events[2]


async def test_only_new_ones_without_an_id(city: City) -> None:
    async with served(city) as url, asyncio.TaskGroup() as group:
        waiting = group.create_task(messages(url, city.headers("local"), 1))
        await until_streaming(city)
        accept = f"/api/events/{city.events[0]}/accept"
        assert (await city.client.post(accept, json={}, headers=city.headers("local"))).status_code == 200
        ((_, body),) = await waiting
        assert body["change"]["what"] == "accepted"
        assert body["event"]["step"] == "accepted"


async def until_streaming(city: City) -> None:
    async with asyncio.timeout(5):
        while not city.console.streams:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_bad_ids_and_too_many(city: City) -> None:
    for value in ("abc", "-1", "99999999999999999999"):
        answer = await city.client.get("/api/stream", headers=city.headers("local") | {"Last-Event-ID": value})
        assert answer.status_code == 422
    city.console.streams = 10_000
    answer = await city.client.get("/api/stream", headers=city.headers("local"))
    assert answer.status_code == 429
