"""Live video for browsers without WebRTC: fMP4 over a WebSocket for Media Source Extensions, passed on from the worker.

The first message is JSON (`{"mime": …}`), then the initialisation section, then fragments. A browser sends the session
cookie by itself, so its `Origin` must be our own; programs send a bearer token. A client that is too slow is the
worker's affair: it leaves out pictures up to the next key frame.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Annotated
from urllib.parse import urlsplit

import websockets
from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect
from starlette.responses import Response

from console.caller import caller_of, maybe_caller
from console.context import console_of
from console.footage import camera_in_scope, look
from console.problems import NobodyServes, NotSignedIn, of_error
from console.rights import Operator, require
from core.errors import NotAllowed, StoreUnavailable, WanggeError
from core.media import StreamName

router = APIRouter(prefix="/cameras", tags=["cameras"])

OPEN_S = 5.0
MOST_MESSAGE = 16 << 20
GOING_AWAY = 1001


@router.websocket("/{camera_id}/mse")
async def mse(
    socket: WebSocket,
    camera_id: str,
    stream: Annotated[StreamName, Query()] = "main",
    h265: Annotated[bool, Query(description="The browser plays H.265.")] = False,
) -> None:
    """Live video until one side leaves. Refusals are problem documents before the handshake is done."""
    console = console_of(socket)
    try:
        caller = await caller_of(socket)
        if caller is None:
            raise NotSignedIn("Sign in first, or send a bearer token.")
        _check_origin(socket)
        require(caller, "footage.read")
        camera = camera_in_scope(console.registry(), caller, camera_id)
        worker = await console.media.worker_of(camera.key)
        await look(console, caller, camera, "footage.live", None, {"stream": stream})
        headers = await console.media.headers()
        url = f"ws{worker.url.removeprefix('http')}/cameras/{camera.id}/mse?stream={stream}&h265={h265:d}"
        try:
            upstream = await websockets.connect(
                url, additional_headers=headers, open_timeout=OPEN_S, max_size=MOST_MESSAGE, max_queue=4, proxy=None
            )
        except websockets.InvalidStatus as error:
            answer = error.response
            refused = Response(answer.body or b"", answer.status_code, media_type="application/problem+json")
            await socket.send_denial_response(refused)
            return
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            raise NobodyServes("The camera worker does not answer; try again in a moment.") from error
    except WanggeError as error:
        await socket.send_denial_response(of_error(error))
        return
    async with upstream:
        await socket.accept()
        await _relay(socket, upstream, _until_forbidden(socket, caller))


def _check_origin(socket: WebSocket) -> None:
    """Raises NotAllowed for a page of another site that rides on the session cookie."""
    origin = socket.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != socket.headers.get("Host"):
        raise NotAllowed("Only pages of this service may open live video.")


async def _until_forbidden(socket: WebSocket, caller: Operator) -> None:
    """Until the caller signed out, was disabled or moved to another scope. A store that is away forbids nothing."""
    console = console_of(socket)
    while True:
        await asyncio.sleep(console.settings.stream_ping_s)
        with suppress(StoreUnavailable):
            if await maybe_caller(socket) != caller:
                return


async def _relay(socket: WebSocket, upstream: websockets.ClientConnection, forbidden: Awaitable[None]) -> None:
    """Passes messages on until either side leaves, or the caller may look no longer."""

    async def down() -> None:
        with suppress(websockets.ConnectionClosed):
            async for message in upstream:
                if isinstance(message, str):
                    await socket.send_text(message)
                else:
                    await socket.send_bytes(message)

    async def until_it_leaves() -> None:
        while True:
            await socket.receive_bytes()

    try:
        async with asyncio.TaskGroup() as group:
            leaving = group.create_task(_gone(until_it_leaves()))
            sending = group.create_task(_gone(down()))
            lapsing = group.create_task(_gone(forbidden))
            await asyncio.wait({leaving, sending, lapsing}, return_when=asyncio.FIRST_COMPLETED)
            for half in (leaving, sending, lapsing):
                half.cancel()
    finally:
        with suppress(RuntimeError, WebSocketDisconnect):
            await socket.close(GOING_AWAY)


async def _gone(work: Awaitable[None]) -> None:
    """A side that left ends its half quietly."""
    with suppress(WebSocketDisconnect, RuntimeError, KeyError):
        await work
