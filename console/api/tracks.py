"""The track of a device: sensitive, so every query is audited, with its purpose, before the first byte goes out."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi import Path as FromPath
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from console import tracks
from console.caller import needs
from console.context import console_of
from console.rights import Operator
from console.track_formats import MEDIA_TYPES, WRITERS
from core.errors import NotFound
from core.fix import Datum

router = APIRouter(prefix="/devices", tags=["devices"])

DeviceId = Annotated[str, FromPath(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]
EXPORT_TIMEOUT_S = 600.0


@router.get(
    "/{device_id}/track", response_class=StreamingResponse, responses={200: {"content": {"application/geo+json": {}}}}
)
async def show_track(
    request: Request,
    caller: Annotated[Operator, needs("tracks.read")],
    device_id: DeviceId,
    since: Annotated[AwareDatetime, Query(alias="from", description="RFC 3339 with offset.")],
    until: Annotated[AwareDatetime, Query(alias="to", description="RFC 3339 with offset, not included.")],
    format: Annotated[tracks.Format, Query()] = "geojson",  # noqa: A002 - the word of the contract
    datum: Annotated[Datum, Query()] = "wgs84",
    purpose: Annotated[str | None, Query(max_length=200, description="Why; kept in the audit log.")] = None,
) -> StreamingResponse:
    """Every stored fix in order of its time, streamed. A worker sees the own track only."""
    console = console_of(request)
    registry = console.registry()
    device = registry.device(device_id)
    if device is None:
        raise NotFound(f"There is no device {device_id} in your scope.")
    grid = registry.grid_of(device.key, round(since.timestamp() * 1000))
    wanted = tracks.Wanted(device_id, since, until, datum, purpose)
    async with console.store.transaction() as connection:
        key = await tracks.permit(connection, caller, wanted, grid, "track.read")

    async def text() -> AsyncIterator[str]:
        async with AsyncExitStack() as stack:
            reading = await stack.enter_async_context(console.store.transaction(timeout_s=EXPORT_TIMEOUT_S))
            await reading.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            async for piece in WRITERS[format](device_id, lambda: tracks.points(reading, caller, key, wanted)):
                yield piece

    return StreamingResponse(text(), media_type=MEDIA_TYPES[format])
