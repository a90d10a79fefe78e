"""Live view behind HTTP on a port of 127.0.0.1, with a page that looks: what media port and console do in service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from core.errors import WanggeError
from core.media import STREAMS, StreamName
from streams.hub import Hub
from streams.live import Live, LiveSettings

PAGE = Path(__file__).with_name("live_page.html")
Hubs = dict[tuple[str, StreamName], Hub]


@asynccontextmanager
async def live_port(hubs: Hubs, settings: LiveSettings | None = None) -> AsyncIterator[tuple[Live, str]]:
    """(live view, `http://127.0.0.1:port`) inside the block."""
    live = Live(settings or LiveSettings(), lambda camera, stream: hubs.get((camera, stream)))
    config = uvicorn.Config(
        _app(live), host="127.0.0.1", port=0, log_level="error", ws="websockets-sansio", lifespan="off"
    )
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(live.run())
        serving = tasks.create_task(server.serve())
        await live.started.wait()
        while not server.started:  # noqa: ASYNC110 uvicorn tells nobody
            await asyncio.sleep(0.01)
        try:
            port = server.servers[0].sockets[0].getsockname()[1]
            yield live, f"http://127.0.0.1:{port}"
        finally:
            running.cancel()
            server.should_exit = server.force_exit = True
            await asyncio.wait([running, serving], timeout=10)


def _stream(text: str) -> StreamName:
    return next(stream for stream in STREAMS if stream == text)


def _app(live: Live) -> Starlette:
    async def page(_: Request) -> Response:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))

    async def offer(request: Request) -> Response:
        path = request.path_params
        text = (await request.body()).decode()
        try:
            answer = await live.offer(path["camera"], _stream(path["stream"]), text)
        except WanggeError as error:
            return JSONResponse({"kind": error.kind, "message": str(error)}, 409)
        headers = {"Location": f"/whep/{answer.session}"}
        return Response(answer.sdp, 201, headers, "application/sdp")

    async def leave(request: Request) -> Response:
        live.whep.delete(request.path_params["session"])
        return Response(status_code=200)

    async def mse(socket: WebSocket) -> None:
        path = socket.path_params
        await socket.accept()
        await live.mse.serve(socket, path["camera"], _stream(path["stream"]))

    return Starlette(
        routes=[
            Route("/", page),
            Route("/whep/{camera}/{stream}", offer, methods=["POST"]),
            Route("/whep/{session}", leave, methods=["DELETE"]),
            WebSocketRoute("/mse/{camera}/{stream}", mse),
        ]
    )
