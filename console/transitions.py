"""The six steps as people walk them: who may not take one, the audit row, and the task that goes to a handset.

Which step follows which is `alerts.life`. Functions run in the caller's transaction.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from alerts.life import TRANSITIONS, Action, next_step
from console import reach
from console.event_reading import GridEvent
from console.rights import Operator
from core.errors import Conflict, InvalidInput, NotAllowed
from store import events as event_store
from store.audit import Entry, record
from store.event_queries import event_history

Connection = AsyncConnection[Any]
TASK_LIFE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for. to: `worker:ID`, `team:ID` or `department:ID` (dispatch only)."""

    action: Action
    text: str | None = None
    to: str | None = None


async def apply(connection: Connection, caller: Operator, event: GridEvent, wish: Wish) -> None:
    """Moves an event one step on, writes the change and the audit row, and sends the task where one is dispatched.

    Raises Conflict (the step does not allow it, or somebody was quicker), InvalidInput (text or addressee missing),
    NotAllowed (a worker answers another's event, or the one who handled it verifies it).
    """
    transition = TRANSITIONS[wish.action]
    step = next_step(event.step, wish.action)
    if transition.needs_text and not (wish.text or "").strip():
        raise InvalidInput(f"text: {wish.action} needs a reason or an answer.")
    details: dict[str, object] = {"text": wish.text} if wish.text else {}
    if wish.action == "dispatch":
        details["to"] = await _addressee(connection, caller, event, wish.to)
    if wish.action in ("start", "answer", "verify"):
        await _check_person(connection, caller, event, wish.action)
    await event_store.lock_changes(connection)
    moved = await event_store.set_step(connection, event.id, event.version, step, transition.what, caller.who, details)
    if not moved:
        raise Conflict("Somebody changed the event just now; look at it again.")
    scope = event.grid or event.division
    await record(
        connection, Entry(caller.who, f"event.{wish.action}", caller.role, event.id, scope, None, caller.peer, details)
    )
    if str(details.get("to", "")).startswith("worker:"):
        await _send_task(connection, event, str(details["to"]).removeprefix("worker:"), wish.text)
    await event_store.announce(connection, event.id)


async def _addressee(connection: Connection, caller: Operator, event: GridEvent, to: str | None) -> str:
    """To whom the event goes: as named, else the event's own worker. Raises InvalidInput."""
    chosen = to or (f"worker:{event.worker}" if event.worker else None)
    if chosen is None:
        raise InvalidInput("to: name worker:ID, team:NAME or department:ID; the event has no worker of its own.")
    kind, _, name = chosen.partition(":")
    if kind == "worker":
        is_there = await reach.has_worker(connection, caller, worker=name)
    elif kind == "team":
        is_there = await reach.has_worker(connection, caller, team=name)
    elif kind == "department":
        found = await connection.execute("SELECT 1 FROM departments WHERE id = %s", [name])
        is_there = await found.fetchone() is not None
    else:
        raise InvalidInput("to: it is worker:ID, team:NAME or department:ID.")
    if not is_there:
        raise InvalidInput(f"to: there is no {kind} {name} in your scope.")
    return chosen


async def _check_person(connection: Connection, caller: Operator, event: GridEvent, action: str) -> None:
    """A worker answers what was dispatched to the own name; who answered does not verify."""
    history = await event_history(connection, event.id)
    if action != "verify" and caller.role == "worker":
        sent = [change.details.get("to") for change in history if change.what == "dispatched"]
        if not sent or sent[-1] != f"worker:{caller.worker}":
            raise NotAllowed("The event was dispatched to somebody else.")
    if action == "verify":
        answered = [change.who for change in history if change.what == "answered"]
        if answered and answered[-1] == caller.who:
            raise NotAllowed("Who answered an event does not verify it; ask another person.")


async def _send_task(connection: Connection, event: GridEvent, worker: str, text: str | None) -> None:
    """The task as a down-link message to every handset that the worker has now."""
    payload = json.dumps({"event": event.model_dump(mode="json"), "text": text}, ensure_ascii=False).encode()
    await connection.execute(
        """INSERT INTO downlink (device, topic, payload, expires_at)
           SELECT d.key, 'wangge/v1/' || d.id || '/task', %s, now() + %s
           FROM handset_workers h JOIN devices d ON d.key = h.handset
           WHERE h.worker = %s AND d.retired_at IS NULL AND h.valid_from <= now()
             AND (h.valid_to IS NULL OR h.valid_to > now())""",
        [payload, TASK_LIFE, worker],
    )
