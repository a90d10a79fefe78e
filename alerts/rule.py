"""What a rule is: frozen settings, a small state, and a pure step (state, fact, context) → (state, findings).

A step reads no clock and does no I/O; it returns the very state object it was given when nothing changed. States are
frozen msgspec structs (`array_like`: new fields go last, with defaults), one value a subject, saved with the cursor.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import msgspec

from core.event import CATALOGUE, Finding
from devices.geometry import Grid
from devices.records import Duty, Place, Site

Findings = tuple[Finding, ...]
NOTHING: Findings = ()

RULE_VERSION = 1
"""Raised when what the rules find changes; noted in every event's causes."""


class Context(Protocol):
    """What a step may ask about its subject. Answers are for the instant asked for, not for now."""

    @property
    def id(self) -> str:
        """Device id, or the name of another subject."""

    @property
    def settings(self) -> Mapping[str, object]:
        """The device's settings in the registry; empty for other subjects."""

    @property
    def now_ms(self) -> int:
        """The instant up to which all live facts have been read; only for `tick`."""

    def duty(self, at_ms: int) -> Duty:
        """Duty of the handset's worker."""

    def grids(self, at_ms: int) -> list[Grid]:
        """Grids that the device belongs to, the own one first."""

    def work_places(self, at_ms: int) -> tuple[Place, ...]:
        """Places of these grids where standing still is work."""

    def site(self, at_ms: int) -> Site | None:
        """Where a terminal stands."""

    def ready_ms(self, since_ms: int, until_ms: int) -> int:
        """How long a collector was ready in the interval, less the grace after each start."""


State = TypeVar("State", bound=msgspec.Struct)
Fact = TypeVar("Fact", contravariant=True)


class Rule(Generic[State, Fact]):
    """Base of the rules. `start`: the state of a subject that the rule knows nothing of yet; one shared object."""

    code: ClassVar[str]
    start: State

    def step(self, state: State, fact: Fact, at: Context) -> tuple[State, Findings]:
        """Takes one fact in commit order."""
        raise NotImplementedError

    def due_ms(self, state: State) -> int | None:
        """When `tick` wants to look at this state; None: not before the next fact."""
        return None

    def tick(self, state: State, at: Context) -> tuple[State, Findings]:
        """Looks at a state that is due, at `at.now_ms`."""
        return state, NOTHING


AnyRule = Rule[Any, Any]


def key_of(code: str, subject: str, at_ms: int, digest: int, part: str = "") -> str:
    """An event's key: the same from the same opening fact. part: which condition of a rule that has several."""
    middle = f"{subject}:{part}" if part else subject
    return f"{code}:{middle}:{at_ms}:{digest & 0xFFFF_FFFF_FFFF_FFFF:016x}"


def rule_name(code: str) -> str:
    """Who changed an event, for `event_changes.who`."""
    assert code in CATALOGUE
    return f"rule:{code}@{RULE_VERSION}"
