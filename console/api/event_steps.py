"""Working events off: one route a step of the closed loop."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from alerts.life import Action
from console import event_reading, transitions
from console.api.events import EventId
from console.caller import needs
from console.context import console_of
from console.event_reading import GridEvent
from console.rights import Operator

router = APIRouter(prefix="/events", tags=["events"])


class Note(BaseModel):
    """A reason, an answer, a remark."""

    text: str | None = Field(None, max_length=2000)


class Reason(BaseModel):
    """Why; required."""

    text: str = Field(min_length=1, max_length=2000)


class Dispatch(Note):
    """To whom: `worker:ID`, `team:NAME`, `department:ID`; absent: the event's own worker."""

    to: str | None = Field(None, max_length=100, pattern=r"^(worker|team|department):.+$")


class Verification(Note):
    """Whether it holds; `passed` false sends it back (返工), with a reason."""

    passed: bool = True


@router.post("/{event_id}/accept")
async def accept(
    request: Request, caller: Annotated[Operator, needs("events.accept")], event_id: EventId, body: Note
) -> GridEvent:
    """受理: the command centre takes it on."""
    return await _move(request, caller, event_id, transitions.Wish("accept", body.text))


@router.post("/{event_id}/reject")
async def reject(
    request: Request, caller: Annotated[Operator, needs("events.reject")], event_id: EventId, body: Reason
) -> GridEvent:
    """不予受理, with the reason; the event stays searchable."""
    return await _move(request, caller, event_id, transitions.Wish("reject", body.text))


@router.post("/{event_id}/dispatch")
async def dispatch(
    request: Request, caller: Annotated[Operator, needs("events.dispatch")], event_id: EventId, body: Dispatch
) -> GridEvent:
    """派遣: a worker gets it as a task on the handset."""
    return await _move(request, caller, event_id, transitions.Wish("dispatch", body.text, body.to))


@router.post("/{event_id}/start")
async def begin(
    request: Request, caller: Annotated[Operator, needs("events.answer")], event_id: EventId, body: Note
) -> GridEvent:
    """处置中: the assignee is on it. A worker starts the own tasks only."""
    return await _move(request, caller, event_id, transitions.Wish("start", body.text))


@router.post("/{event_id}/answer")
async def answer(
    request: Request, caller: Annotated[Operator, needs("events.answer")], event_id: EventId, body: Reason
) -> GridEvent:
    """处置反馈: what was done. A worker answers the own tasks only."""
    return await _move(request, caller, event_id, transitions.Wish("answer", body.text))


@router.post("/{event_id}/verify")
async def verify(
    request: Request, caller: Annotated[Operator, needs("events.verify")], event_id: EventId, body: Verification
) -> GridEvent:
    """任务核查 by another person than the one who answered: passed, or back to handling."""
    action: Action = "verify" if body.passed else "rework"
    return await _move(request, caller, event_id, transitions.Wish(action, body.text))


@router.post("/{event_id}/archive")
async def archive(
    request: Request, caller: Annotated[Operator, needs("events.archive")], event_id: EventId, body: Note
) -> GridEvent:
    """归档: no more changes."""
    return await _move(request, caller, event_id, transitions.Wish("archive", body.text))


async def _move(request: Request, caller: Operator, event_id: str, wish: transitions.Wish) -> GridEvent:
    async with console_of(request).store.transaction() as connection:
        found = await event_reading.event(connection, caller, event_id)
        await transitions.apply(connection, caller, found, wish)
        return await event_reading.event(connection, caller, event_id)
