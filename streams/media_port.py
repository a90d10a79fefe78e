"""A worker's internal HTTP port: live video, clips, playlists, pictures and its own state, for the console alone.

Every request shows the store's media key. No rights, no audit here: the console has settled them. Errors are problem
documents, as the console gives them.
"""

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from core.errors import Conflict, DecodeError, InvalidInput, NotAllowed, NotFound, StoreUnavailable, WanggeError
from core.media import STREAMS, StreamName
from store.footage_spans import StoredSegment
from streams.clips import HLS_MEDIA_TYPE, FootageGone, MediaResponse, TooBusy
from streams.live import NoPicture, NotPlayable, TooManyViewers
from streams.metrics import exposition
from streams.quality_settings import root_of_pictures
from streams.worker import Worker

PROBLEM = "application/problem+json"
MOST_SDP = 64 << 10
RETRY_AFTER_S = "2"
_STATUS: dict[type[WanggeError], int] = {
    NotAllowed: 403,
    FootageGone: 404,
    NotFound: 404,
    NotPlayable: 406,
    Conflict: 409,
    InvalidInput: 422,
    DecodeError: 500,
    NoPicture: 503,
    StoreUnavailable: 503,
    TooBusy: 503,
    TooManyViewers: 503,
}
_SEGMENT = re.compile(r"(?P<run>[0-9A-Z]{26})-(?P<n>[0-9]{1,6})\.mp4")
_PICTURE = re.compile(r"[A-Za-z0-9_.-]{1,80}\.jpg")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
Answer = Callable[[Worker, Request, int, str], Awaitable[Response]]
"""(worker, request, camera's key, camera's id) → answer."""


def create_app(worker: Worker) -> ASGIApp:
    """The application of one worker."""
    routes = [
        Route("/state", _state(worker)),
        Route("/metrics", _metrics(worker)),
        WebSocketRoute("/cameras/{camera}/mse", _mse(worker)),
        *(
            Route(f"/cameras/{{camera}}/{path}", _of(worker, answer), methods=methods)
            for path, answer, methods in (
                ("recordings", _recordings, ["GET"]),
                ("clip.mp4", _clip, ["GET", "HEAD"]),
                ("playlist.m3u8", _playlist, ["GET"]),
                ("segments/{segment}", _segment, ["GET", "HEAD"]),
                ("snapshot.jpg", _snapshot, ["GET"]),
                ("pictures/{day}/{name}", _picture, ["GET"]),
                ("whep", _whep, ["POST"]),
                ("whep/{session}", _whep_session, ["DELETE", "PATCH"]),
            )
        ),
    ]
    return _Guarded(Starlette(routes=routes, exception_handlers={WanggeError: _problem}), worker)


class _Guarded:
    """Lets in whoever shows the media key."""

    def __init__(self, app: ASGIApp, worker: Worker) -> None:
        self._app, self._worker = app, worker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            shown = HTTPConnection(scope).headers.get("authorization", "")
            if not hmac.compare_digest(shown.encode(), f"Bearer {self._worker.media_key}".encode()):
                refused = _problem_of(401, "unauthorized", "This port is for the console.")
                if scope["type"] == "http":
                    return await refused(scope, receive, send)
                return await WebSocket(scope, receive, send).send_denial_response(refused)
        return await self._app(scope, receive, send)


def _of(worker: Worker, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        camera = request.path_params["camera"]
        return await answer(worker, request, worker.key_of(camera), camera)

    return endpoint


async def _recordings(worker: Worker, request: Request, key: int, camera: str) -> Response:
    del camera
    from_us, to_us = _span(request)
    stream = _stream(request)
    found = next(one for one in await worker.clips.recordings(key, from_us, to_us) if one.stream == stream)
    spans = [
        {"from": _text_of(one.from_us), "to": _text_of(one.to_us), "bytes": one.length, "open": one.is_open}
        for one in found.spans
    ]
    gaps = [{"from": _text_of(one.from_us), "to": _text_of(one.to_us), "reason": one.reason} for one in found.gaps]
    return JSONResponse({"stream": stream, "spans": spans, "gaps": gaps, "bytes": found.length})


async def _clip(worker: Worker, request: Request, key: int, camera: str) -> Response:
    from_us, to_us = _span(request)
    if request.headers.get("range", "bytes=0-").startswith("bytes=0-"):
        await worker.catch_up(key, to_us)
    made = await worker.clips.respond_clip(key, _stream(request), from_us, to_us, request.method, request.headers)
    answer = _media(request, made)
    name = f"{camera}-{datetime.fromtimestamp(from_us / 1e6, UTC):%Y%m%dT%H%M%SZ}.mp4"
    kind = "attachment" if request.query_params.get("download") else "inline"
    answer.headers["content-disposition"] = f'{kind}; filename="{name.replace(":", "_")}"'
    return answer


async def _playlist(worker: Worker, request: Request, key: int, camera: str) -> Response:
    del camera
    from_us, to_us = _span(request)
    await worker.catch_up(key, to_us)

    def url_of(segment: StoredSegment) -> str:
        return f"segments/{segment.run}-{segment.n}.mp4"

    text = await worker.clips.playlist(key, _stream(request), from_us, to_us, url_of)
    return Response(text, media_type=HLS_MEDIA_TYPE)


async def _segment(worker: Worker, request: Request, key: int, camera: str) -> Response:
    del camera
    match = _SEGMENT.fullmatch(request.path_params["segment"])
    if match is None:
        raise NotFound("There is no such segment.")
    made = await worker.clips.respond_segment(key, match["run"], int(match["n"]), request.method, request.headers)
    return _media(request, made)


async def _snapshot(worker: Worker, request: Request, key: int, camera: str) -> Response:
    width = int(request.query_params.get("width", "640"))
    stream = _stream(request)
    if "at" in request.query_params:
        found = await worker.clips.snapshot(key, stream, _instant(request, "at"), width)
        headers = {"x-wangge-taken": _text_of(found.at_us)}
        return Response(found.jpeg, media_type="image/jpeg", headers=headers)
    live = await worker.live.snapshot(camera, stream, width)
    headers = {"x-wangge-taken": _text_of(live.taken_us), "etag": f'"{live.tag}"'}
    return Response(live.jpeg, media_type="image/jpeg", headers=headers)


async def _picture(worker: Worker, request: Request, key: int, camera: str) -> Response:
    del key
    day, name = request.path_params["day"], request.path_params["name"]
    if not (_DAY.fullmatch(day) and _PICTURE.fullmatch(name)):
        raise NotFound("There is no such picture.")
    path = root_of_pictures(worker.folder, camera) / day / name
    try:
        return Response(await asyncio.to_thread(path.read_bytes), media_type="image/jpeg")
    except OSError as error:
        raise NotFound("This picture is not there (any more).") from error


async def _whep(worker: Worker, request: Request, key: int, camera: str) -> Response:
    del key
    body = await request.body()
    if len(body) > MOST_SDP:
        raise InvalidInput(f"The offer is over {MOST_SDP} bytes.")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("The offer is no SDP: it is not UTF-8.") from error
    made = await worker.live.offer(camera, _stream(request), text)
    headers = {"location": f"/api/cameras/{camera}/whep/{made.session}", "x-wangge-shown": made.shown}
    return Response(made.sdp, 201, headers, media_type="application/sdp")


async def _whep_session(worker: Worker, request: Request, key: int, camera: str) -> Response:
    del key
    session = request.path_params["session"]
    if worker.live.whep.camera_of(session) != camera:
        raise NotFound("There is no such live session of this camera.")
    if request.method == "DELETE":
        worker.live.whep.delete(session)
        return Response(status_code=200)
    worker.live.whep.trickle(session, (await request.body()).decode("utf-8", "replace"))
    return Response(status_code=204)


def _mse(worker: Worker) -> Callable[[WebSocket], Awaitable[None]]:
    async def endpoint(socket: WebSocket) -> None:
        camera = socket.path_params["camera"]
        stream = socket.query_params.get("stream", "main")
        h265 = socket.query_params.get("h265") == "1"
        try:
            worker.key_of(camera)
            if stream not in STREAMS:
                raise InvalidInput("stream: main or sub.")
        except WanggeError as error:
            await socket.send_denial_response(await _problem(socket, error))
            return
        await socket.accept()
        await worker.live.mse.serve(socket, camera, stream, h265=h265)

    return endpoint


def _media(request: Request, made: MediaResponse) -> Response:
    headers = {_OWN.get(name, name): value for name, value in made.headers.items()}
    if request.method == "HEAD":
        return Response(None, made.status, headers)
    return StreamingResponse(made.body, made.status, headers)


_OWN = {name: f"x-wangge-{name}" for name in ("footage-from", "footage-to", "footage-gaps")}


def _stream(request: Request) -> StreamName:
    for name in STREAMS:
        if name == request.query_params.get("stream", "main"):
            return name
    raise InvalidInput("stream: main or sub.")


def _span(request: Request) -> tuple[int, int]:
    return _instant(request, "from"), _instant(request, "to")


def _instant(request: Request, name: str) -> int:
    """Epoch microseconds. Raises InvalidInput."""
    try:
        at = datetime.fromisoformat(request.query_params[name])
        if at.tzinfo is not None:
            return round(at.timestamp() * 1e6)
    except (KeyError, ValueError, OverflowError):
        pass
    raise InvalidInput(f"{name}: give an instant in RFC 3339 with its offset.")


def _text_of(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat().replace("+00:00", "Z")


def _state(worker: Worker) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_request: Request) -> Response:
        return Response(msgspec.json.encode(worker.shown()), media_type="application/json")

    return endpoint


def _metrics(worker: Worker) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_request: Request) -> Response:
        return Response(exposition(worker), media_type="text/plain; version=0.0.4")

    return endpoint


async def _problem(_connection: HTTPConnection, error: Exception) -> Response:
    assert isinstance(error, WanggeError)
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)
    return _problem_of(status, error.kind, str(error))


def _problem_of(status: int, kind: str, detail: str) -> Response:
    body = {"type": "about:blank", "status": status, "kind": kind, "detail": detail}
    headers = {"Retry-After": RETRY_AFTER_S} if status == 503 else {}
    return JSONResponse(body, status, headers, media_type=PROBLEM)
