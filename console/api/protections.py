"""Footage that must be kept beyond its days, and how good a camera's picture was hour by hour."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi import Path as FromPath
from psycopg.rows import class_row
from pydantic import AwareDatetime, BaseModel, Field

from console.api.cameras import CameraId, From, To
from console.caller import needs
from console.context import console_of
from console.footage import camera_in_scope
from console.rights import Operator
from core.errors import InvalidInput, NotFound
from store import protections as store
from store.audit import Entry, record

router = APIRouter(prefix="/cameras", tags=["cameras"])

Keeper = Annotated[Operator, needs("footage.protect")]


class Keep(BaseModel):
    """What to keep and why. until: absent: until it is taken back."""

    from_at: AwareDatetime = Field(alias="from", description="RFC 3339 with offset.")
    to_at: AwareDatetime = Field(alias="to", description="RFC 3339 with offset, not included.")
    reason: str = Field(min_length=1, max_length=200)
    event: str | None = Field(default=None, pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$", description="ULID of the grid event.")
    until: AwareDatetime | None = None


class Hour(BaseModel):
    """Quality of one hour: mean and least score, 0 (useless) to 1 (as good as the camera's own reference)."""

    hour: datetime
    samples: int
    score: float
    least_score: float | None


@router.get("/{camera_id}/quality")
async def quality(
    request: Request, caller: Annotated[Operator, needs("devices.read")], camera_id: CameraId, since: From, until: To
) -> list[Hour]:
    """One score an hour, at most 90 days of them."""
    console = console_of(request)
    camera = camera_in_scope(console.registry(), caller, camera_id)
    if not 0 < (until - since).total_seconds() <= 90 * 86_400:
        raise InvalidInput("to: later than from, by 90 days at most.")
    async with (
        console.store.connection() as connection,
        connection.cursor(row_factory=class_row(Hour)) as cursor,
    ):
        await cursor.execute(
            "SELECT hour, samples, score, least_score FROM camera_quality_per_hour "
            "WHERE device = %s AND hour >= %s AND hour < %s ORDER BY hour",
            [camera.key, since, until],
        )
        return await cursor.fetchall()


class Protection(BaseModel):
    """Footage that the cleaner leaves alone."""

    id: int
    from_at: datetime = Field(serialization_alias="from")
    to_at: datetime = Field(serialization_alias="to")
    reason: str
    who: str
    event: str | None
    made_at: datetime
    until: datetime | None


@router.get("/{camera_id}/protections")
async def list_protections(
    request: Request, caller: Annotated[Operator, needs("footage.read")], camera_id: CameraId
) -> list[Protection]:
    """Protections in force, newest first."""
    console = console_of(request)
    camera = camera_in_scope(console.registry(), caller, camera_id)
    async with console.store.connection() as connection:
        return [_shown(one) for one in await store.protections(connection, camera.key)]


@router.post("/{camera_id}/protections", status_code=201)
async def protect(request: Request, caller: Keeper, camera_id: CameraId, wish: Keep) -> Protection:
    """Keeps the footage of a time, both streams; refused beyond a fifth of the disk."""
    console = console_of(request)
    camera = camera_in_scope(console.registry(), caller, camera_id)
    details: dict[str, object] = {"from": wish.from_at.isoformat(), "to": wish.to_at.isoformat(), "event": wish.event}
    entry = Entry(caller.who, "footage.protect", caller.role, camera.id, camera.grid, wish.reason, caller.peer, details)
    async with console.store.transaction() as connection:
        made = await store.protect(
            connection,
            camera.key,
            _us(wish.from_at),
            _us(wish.to_at),
            reason=wish.reason,
            who=caller.who,
            event_id=wish.event,
            until_us=None if wish.until is None else _us(wish.until),
        )
        await record(connection, entry)
    return _shown(made)


@router.delete("/{camera_id}/protections/{protection}", status_code=204)
async def unprotect(
    request: Request,
    caller: Keeper,
    camera_id: CameraId,
    protection: Annotated[int, FromPath(ge=1, lt=1 << 62)],
    purpose: Annotated[str | None, Query(max_length=200, description="Why; kept in the audit log.")] = None,
) -> None:
    """Takes a protection back; what is past its days goes soon."""
    console = console_of(request)
    camera = camera_in_scope(console.registry(), caller, camera_id)
    async with console.store.transaction() as connection:
        ended = await store.unprotect(connection, protection)
        if ended.camera != camera.key:
            raise NotFound("There is no such protection of this camera.")
        details: dict[str, object] = {"protection": protection}
        await record(
            connection,
            Entry(caller.who, "footage.unprotect", caller.role, camera.id, camera.grid, purpose, caller.peer, details),
        )


def _us(at: datetime) -> int:
    return round(at.timestamp() * 1e6)


def _at(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us / 1e6, UTC)


def _shown(one: store.Protection) -> Protection:
    until = None if one.until_us is None else _at(one.until_us)
    return Protection(
        id=one.id,
        from_at=_at(one.from_us),
        to_at=_at(one.to_us),
        reason=one.reason,
        who=one.who,
        event=one.event_id,
        made_at=_at(one.made_us),
        until=until,
    )
