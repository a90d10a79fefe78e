"""Cameras: which there are and how they are, live pictures, recordings, clips. The workers that hold them are asked.

Every route first finds the camera in the caller's scope, then writes the audit row of the look (one a viewing session),
then passes on what the worker answers: `Range`, `If-Range`, `ETag` and lengths are the worker's, exactly.
"""

import time
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi import Path as FromPath
from pydantic import AwareDatetime, BaseModel

from console.caller import needs
from console.context import Console, console_of
from console.footage import Camera, camera_in_scope, look, same_scope_cameras
from console.media import passed_on
from console.rights import Operator
from core.errors import InvalidInput
from core.media import STREAMS, StreamName
from devices import equipment
from store.audit import Entry, record
from store.media_roots import MediaWorker, root_of_run, roots_of_span

router = APIRouter(prefix="/cameras", tags=["cameras"])

Viewer = Annotated[Operator, needs("footage.read")]
CameraId = Annotated[str, FromPath(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$", description="Id of the camera.")]
From = Annotated[AwareDatetime, Query(alias="from", description="RFC 3339 with offset.")]
To = Annotated[AwareDatetime, Query(alias="to", description="RFC 3339 with offset, not included.")]
Stream = Annotated[StreamName, Query(description="main or sub; a camera without a sub-stream has main only.")]
Purpose = Annotated[str | None, Query(max_length=200, description="Why; kept in the audit log.")]
Session = Annotated[str, FromPath(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="From the Location of the answer.")]
SegmentName = Annotated[str, FromPath(pattern=r"^[0-9A-Z]{26}-[0-9]{1,6}\.mp4$")]
_VIDEO: dict[int | str, dict[str, Any]] = {200: {"content": {"video/mp4": {}}}, 206: {"content": {"video/mp4": {}}}}
_JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {}}}}
_HLS: dict[int | str, dict[str, Any]] = {200: {"content": {"application/vnd.apple.mpegurl": {}}}}
MOST_SDP = 64 << 10


class CameraLine(BaseModel):
    """A camera as lists show it. streams: what the worker knows of each, empty while no worker has the camera."""

    id: str
    name: str | None
    grid: str | None
    lat: float | None
    lon: float | None
    has_sub: bool
    streams: dict[str, dict[str, Any]]


@router.get("")
async def list_cameras(request: Request, caller: Annotated[Operator, needs("devices.read")]) -> list[CameraLine]:
    """The cameras in the caller's scope with the state of their streams."""
    console = console_of(request)
    states = await console.media.states()
    return [_line(camera, states) for camera in same_scope_cameras(console.registry(), caller)]


@router.get("/{camera_id}")
async def show_camera(
    request: Request, caller: Annotated[Operator, needs("devices.read")], camera_id: CameraId
) -> CameraLine:
    """One camera."""
    console = console_of(request)
    camera = camera_in_scope(console.registry(), caller, camera_id)
    return _line(camera, await console.media.states())


def _line(camera: Camera, states: dict[str, dict[str, dict[str, Any]]]) -> CameraLine:
    return CameraLine(
        id=camera.id,
        name=camera.name,
        grid=camera.grid,
        lat=camera.lat,
        lon=camera.lon,
        has_sub=camera.has_sub,
        streams=states.get(camera.id, {}),
    )


@router.get("/{camera_id}/recordings")
async def recordings(
    request: Request, caller: Viewer, camera_id: CameraId, since: From, until: To, stream: Stream = "main"
) -> Response:
    """What there is of a time: spans and gaps with their reasons, in order."""
    return await _ask(request, caller, camera_id, "recordings", _span(since, until, stream), "footage.list")


@router.head("/{camera_id}/clip.mp4", include_in_schema=False)
@router.get("/{camera_id}/clip.mp4", response_class=Response, responses=_VIDEO)
async def clip(
    request: Request,
    caller: Viewer,
    camera_id: CameraId,
    since: From,
    until: To,
    stream: Stream = "main",
    purpose: Purpose = None,
    download: Annotated[bool, Query(description="Offer it as a file to keep.")] = False,
) -> Response:
    """The footage of a time as one MP4 that seeks; gaps are skipped (see recordings). Nothing is copied for it."""
    if download and not purpose:
        raise InvalidInput("purpose: say what the file is for; it is kept in the audit log.")
    query = _span(since, until, stream) | ({"download": "1"} if download else {})
    return await _ask(request, caller, camera_id, "clip.mp4", query, "footage.clip", purpose)


@router.get("/{camera_id}/playlist.m3u8", response_class=Response, responses=_HLS)
async def playlist(
    request: Request, caller: Viewer, camera_id: CameraId, since: From, until: To, stream: Stream = "main"
) -> Response:
    """The footage of a time as an HLS playlist (fMP4, byte ranges of the segments); a span up to now grows."""
    return await _ask(request, caller, camera_id, "playlist.m3u8", _span(since, until, stream), "footage.play")


@router.head("/{camera_id}/segments/{segment}", include_in_schema=False)
@router.get("/{camera_id}/segments/{segment}", response_class=Response, responses=_VIDEO)
async def segment(request: Request, caller: Viewer, camera_id: CameraId, segment: SegmentName) -> Response:
    """A file that a playlist names."""
    return await _ask(request, caller, camera_id, f"segments/{segment}", {}, "footage.segment")


@router.get("/{camera_id}/snapshot.jpg", response_class=Response, responses=_JPEG)
async def snapshot(
    request: Request,
    caller: Viewer,
    camera_id: CameraId,
    at: Annotated[AwareDatetime | None, Query(description="Of the recording at that instant; absent: live.")] = None,
    width: Annotated[int, Query(ge=16, le=3840, description="At most so many pixels wide.")] = 640,
    stream: Stream = "main",
) -> Response:
    """One picture."""
    query = {"width": str(width), "stream": stream} | ({"at": at.isoformat()} if at is not None else {})
    return await _ask(request, caller, camera_id, "snapshot.jpg", query, "footage.snapshot")


@router.get("/{camera_id}/pictures/{day}/{name}", response_class=Response, responses=_JPEG)
async def picture(
    request: Request,
    caller: Viewer,
    camera_id: CameraId,
    day: Annotated[str, FromPath(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")],
    name: Annotated[str, FromPath(pattern=r"^[A-Za-z0-9_.-]{1,80}\.jpg$")],
) -> Response:
    """A picture that shows a fault: the evidence of an event."""
    return await _ask(request, caller, camera_id, f"pictures/{day}/{name}", {}, "footage.picture")


@router.post(
    "/{camera_id}/whep", status_code=201, response_class=Response, responses={201: {"content": {"application/sdp": {}}}}
)
async def whep(
    request: Request,
    caller: Viewer,
    camera_id: CameraId,
    content_type: Annotated[str, Header()] = "",
    stream: Stream = "main",
) -> Response:
    """Live video by WHEP (RFC 9725): an SDP offer in, the answer out; DELETE its Location to leave."""
    if content_type.partition(";")[0].strip().lower() != "application/sdp":
        raise InvalidInput("Content-Type: send the offer as application/sdp.")
    return await _ask(request, caller, camera_id, "whep", {"stream": stream}, "footage.live")


@router.delete("/{camera_id}/whep/{session}", response_class=Response)
async def leave(request: Request, caller: Viewer, camera_id: CameraId, session: Session) -> Response:
    """Ends a live session."""
    return await _ask(request, caller, camera_id, f"whep/{session}", {}, "footage.live")


@router.post("/{camera_id}/relearn", status_code=204, response_class=Response)
async def relearn(
    request: Request, caller: Annotated[Operator, needs("footage.protect")], camera_id: CameraId
) -> Response:
    """The picture as it is now is right: the camera was turned or cleaned on purpose; its reference is learned anew.

    A word in the registry, so that it holds whichever worker has the camera, and after every restart.
    """
    console = console_of(request)
    camera = camera_in_scope(console.registry(), caller, camera_id)
    async with console.store.transaction() as connection:
        present = (await equipment.settings_of(connection, [camera.id]))[camera.id].get("quality")
        own = present if isinstance(present, dict) else {}
        now_ms = round(time.time() * 1000)
        await equipment.change_settings(connection, camera.id, {"quality": {**own, "relearned_at_ms": now_ms}})
        await record(
            connection, Entry(caller.who, "camera.relearn", caller.role, camera.id, camera.grid, peer=caller.peer)
        )
    return Response(status_code=204)


def _span(since: AwareDatetime, until: AwareDatetime, stream: Literal["main", "sub"]) -> dict[str, str]:
    if until <= since:
        raise InvalidInput("to: it must be later than from.")
    return {"from": since.isoformat(), "to": until.isoformat(), "stream": stream}


async def _worker(console: Console, camera: Camera, path: str, query: dict[str, str]) -> MediaWorker:
    """The worker that has the asked footage; for everything live the one that reads the camera."""
    kind, _, name = path.partition("/")
    if kind == "segments":
        return await console.media.worker_with(camera.key, lambda connection: root_of_run(connection, name[:26]))
    if "from" in query:
        span = [round(datetime.fromisoformat(query[edge]).timestamp() * 1e6) for edge in ("from", "to")]
        stream = STREAMS.index("sub" if query["stream"] == "sub" else "main")
        return await console.media.worker_with(
            camera.key, lambda connection: roots_of_span(connection, camera.key, stream, span[0], span[1])
        )
    return await console.media.worker_of(camera.key)


async def _ask(
    request: Request,
    caller: Operator,
    camera_id: str,
    path: str,
    query: dict[str, str],
    action: str,
    purpose: str | None = None,
) -> Response:
    """Scope, audit row, then the worker."""
    console: Console = console_of(request)
    camera = camera_in_scope(console.registry(), caller, camera_id)
    await look(console, caller, camera, action, purpose, query)
    wanted = {name: request.headers[name] for name in ("range", "if-range", "if-none-match") if name in request.headers}
    if "content-type" in request.headers:
        wanted["content-type"] = request.headers["content-type"]
    body = await request.body()
    if len(body) > MOST_SDP:
        raise InvalidInput(f"The body is over {MOST_SDP} bytes.")
    worker = await _worker(console, camera, path, query)
    answer = await console.media.ask(
        worker, request.method, f"/cameras/{camera.id}/{path}", query=query, headers=wanted, body=body
    )
    return await passed_on(answer, is_head=request.method == "HEAD")
