"""The board: how every part of this process is, since when and why. Read by /readyz, `wangge status` and metrics."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import structlog

from core.clock import Clock, SystemClock

log = structlog.get_logger()

State = Literal["ok", "degraded", "down"]
STARTING = "starting"
"""Why a part is down that has just been started: no news until it fails."""
_RANK: dict[State, int] = {"ok": 0, "degraded": 1, "down": 2}


@dataclass(frozen=True, slots=True)
class PartHealth:
    """One line of the board. since_ms: when this state began (a new `why` alone does not move it)."""

    part: str
    state: State
    why: str
    since_ms: int
    needed: bool = True
    restarts: int = 0


class Board:
    """Holds the newest state of each part; logs transitions (an orderly start: debug). Any thread may call it."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._parts: dict[str, PartHealth] = {}
        self._lock = threading.Lock()
        self._listeners: list[Callable[[PartHealth], None]] = []

    def set(self, part: str, state: State, why: str = "", *, needed: bool | None = None) -> None:
        """Records the state of `part`. why: a short sentence; empty when ok.

        needed: whether the service is ready without it; kept from before when None (True at first).
        """
        with self._lock:
            before = self._parts.get(part)
            changed = before is None or before.state != state
            since_ms = self._clock.now_ms() if before is None or changed else before.since_ms
            keep_needed = needed if needed is not None else before.needed if before else True
            now = PartHealth(part, state, why, since_ms, keep_needed, before.restarts if before else 0)
            self._parts[part] = now
            listeners = list(self._listeners) if now != before else []
        if changed and (before is not None or state != "ok"):
            begins = (
                why == STARTING if before is None else before.why == STARTING and (state == "ok" or why == STARTING)
            )
            tell = log.debug if begins else log.info if state == "ok" else log.warning
            tell("part.changed", part=part, state=state, why=why)
        for listener in listeners:
            listener(now)

    def count_restart(self, part: str) -> None:
        """One more restart of `part`; unknown parts are left alone."""
        with self._lock:
            if (before := self._parts.get(part)) is not None:
                self._parts[part] = replace(before, restarts=before.restarts + 1)

    def remove(self, part: str) -> None:
        """Takes a part that was stopped on purpose off the board."""
        with self._lock:
            self._parts.pop(part, None)

    def listen(self, listener: Callable[[PartHealth], None]) -> None:
        """Calls `listener` after each change, in the thread that made it; it must be quick and not raise."""
        with self._lock:
            self._listeners.append(listener)

    def get(self, part: str) -> PartHealth | None:
        """The line of one part."""
        with self._lock:
            return self._parts.get(part)

    def parts(self) -> list[PartHealth]:
        """Every line, sorted by name."""
        with self._lock:
            return sorted(self._parts.values(), key=lambda p: p.part)

    def worst(self) -> State:
        """The worst state of all parts; ok for an empty board."""
        return max((p.state for p in self.parts()), key=_RANK.__getitem__, default="ok")

    def unready(self) -> list[PartHealth]:
        """The needed parts that are down: /readyz is 200 when there are none (and the tree has started)."""
        return [p for p in self.parts() if p.needed and p.state == "down"]
