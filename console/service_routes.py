"""Routes about the service itself: `/healthz`, `/readyz`, `/metrics`, and `/api/health` for signed-in people."""

import json
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from console import metrics
from console.caller import needs
from console.context import Console, console_of
from console.rights import Operator
from core.errors import StoreUnavailable

router = APIRouter(tags=["service"])

_RANK = {"ok": 0, "degraded": 1, "down": 2}


class PartLine(BaseModel):
    """How one part is, since when and why."""

    part: str
    state: Literal["ok", "degraded", "down"]
    since: datetime
    why: str
    needed: bool
    restarts: int


class Readiness(BaseModel):
    """Whether store, collectors and engine can work."""

    ready: bool
    parts: list[PartLine]


class Health(Readiness):
    """Readiness, figures, and where devices connect."""

    rates: dict[str, float]
    addresses: dict[str, str]


class Alive(BaseModel):
    """The process lives."""

    status: Literal["ok"] = "ok"


@router.get("/healthz")
async def alive() -> Alive:
    """The process lives and its event loop turns; says nothing about the store."""
    return Alive()


@router.get("/readyz", responses={503: {"model": Readiness}})
async def ready(request: Request, response: Response) -> Readiness:
    """200 when store, collectors and engine are ready, else 503; the parts either way."""
    console = console_of(request)
    is_ready = console.is_ready()
    response.status_code = 200 if is_ready else 503
    return Readiness(ready=is_ready, parts=parts_of(console))


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def prometheus(request: Request) -> Response:
    """Prometheus text format, those of the camera workers with it."""
    console = console_of(request)
    for line in console.board.parts():
        metrics.PART_STATE.labels(line.part).set(_RANK[line.state])
        metrics.PART_RESTARTS.labels(line.part).set(line.restarts)
    metrics.LIVE_STREAMS.set(console.streams)
    try:
        of_cameras = await console.media.metrics()
    except StoreUnavailable:
        of_cameras = b""
    return Response(generate_latest() + of_cameras, media_type=CONTENT_TYPE_LATEST)


@router.get("/api/health")
async def health(request: Request, caller: Annotated[Operator, needs("health.read")]) -> Health:
    """Every part with state, since when and why; rates and addresses."""
    del caller
    console = console_of(request)
    return Health(
        ready=console.is_ready(), parts=parts_of(console), rates=console.rates(), addresses=console.addresses()
    )


@router.get("/api/openapi.json", include_in_schema=False)
async def description(request: Request) -> Response:
    """The OpenAPI document, written once."""
    state = request.app.state
    if not hasattr(state, "openapi_bytes"):
        state.openapi_bytes = json.dumps(request.app.openapi(), ensure_ascii=False).encode()
    return Response(state.openapi_bytes, media_type="application/json")


def parts_of(console: Console) -> list[PartLine]:
    """The board as it goes out."""
    return [
        PartLine(
            part=line.part,
            state=line.state,
            since=datetime.fromtimestamp(line.since_ms / 1000, UTC),
            why=line.why,
            needed=line.needed,
            restarts=line.restarts,
        )
        for line in console.board.parts()
    ]
