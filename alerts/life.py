"""The six steps (六步闭环) as a table: which action takes an event from which steps to which, and applying it.

`next_step` is pure; `move` runs in the caller's transaction with optimistic versions, so that of two people who act at
the same time one is told to look again. Limits, postponement and escalation come with the working calendar.
"""

from dataclasses import dataclass
from typing import Literal

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from core.errors import Conflict, InvalidInput
from core.event import FINAL_STEPS, Step
from store.event_queries import Event
from store.events import announce, lock_changes, set_step

Connection = AsyncConnection[TupleRow]
Action = Literal["accept", "reject", "dispatch", "start", "answer", "verify", "rework", "archive"]


@dataclass(frozen=True, slots=True)
class Transition:
    """From which steps to which. needs_text: a reason or an answer must be given."""

    before: frozenset[str]
    step: Step
    what: str
    needs_text: bool = False


TRANSITIONS: dict[Action, Transition] = {
    "accept": Transition(frozenset({"reported"}), "accepted", "accepted"),
    "reject": Transition(frozenset({"reported", "accepted"}), "rejected", "rejected", needs_text=True),
    "dispatch": Transition(frozenset({"accepted", "dispatched"}), "dispatched", "dispatched"),
    "start": Transition(frozenset({"dispatched"}), "in_progress", "started"),
    "answer": Transition(frozenset({"dispatched", "in_progress"}), "answered", "answered", needs_text=True),
    "verify": Transition(frozenset({"answered"}), "verified", "verified"),
    "rework": Transition(frozenset({"answered"}), "in_progress", "rework", needs_text=True),
    "archive": Transition(frozenset({"verified"}), "archived", "archived"),
}


def next_step(step: str, action: Action) -> Step:
    """The step that the action leads to. Raises Conflict where it is not allowed."""
    transition = TRANSITIONS[action]
    if step in FINAL_STEPS:
        raise Conflict(f"The event is {step}; nothing changes it any more.")
    if step not in transition.before:
        raise Conflict(f"The event is {step}; {action} needs it to be {' or '.join(sorted(transition.before))}.")
    return transition.step


async def move(connection: Connection, event: Event, action: Action, who: str, text: str | None = None) -> None:
    """Takes the event one step on and wakes those who follow.

    who: `operator:NAME` or `worker:ID`. Raises Conflict (not allowed from here, or somebody was quicker) and
    InvalidInput (a reason or answer is missing).
    """
    transition = TRANSITIONS[action]
    step = next_step(event.step, action)
    if transition.needs_text and not (text or "").strip():
        raise InvalidInput(f"text: {action} needs a reason or an answer.")
    details: dict[str, object] = {"text": text} if text else {}
    await lock_changes(connection)
    if not await set_step(connection, event.id, event.version, step, transition.what, who, details):
        raise Conflict("Somebody changed the event just now; look at it again.")
    await announce(connection, event.id)
