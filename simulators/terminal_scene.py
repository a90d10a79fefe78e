"""One running anomaly of a POS terminal, and what every kind of anomaly may change.

`records` sees a minute's drafts before they are numbered, `deliver` the numbered messages. A scene notes when its
condition truly held, in epoch milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from simulators.anomalies import Planned, Timing
from simulators.outgoing import Outgoing, Record

if TYPE_CHECKING:
    from simulators.terminals import TerminalModel

Draft = tuple[int, Record]
"""(at in epoch milliseconds, record without at, boot and seq)."""


@dataclass(slots=True)
class TerminalScene:
    """One running anomaly of one terminal; None: the condition has not begun or ended."""

    planned: Planned
    kind: TerminalKind
    run_start_ms: int
    begun: bool = False
    finished: bool = False
    begun_ms: int = 0
    began_ms: int | None = None
    ended_ms: int | None = None
    figures: dict[str, float | str] = field(default_factory=dict)
    schedule: list[Draft] = field(default_factory=list)
    kept: list[Outgoing] = field(default_factory=list)

    @property
    def near_miss(self) -> bool:
        """Whether a rule must not find this."""
        return self.planned.near_miss

    def active(self, now_ms: int) -> bool:
        """Whether the scene has a say in the minute from now_ms."""
        if not self.begun and now_ms - self.run_start_ms >= self.planned.begin_s * 1000:
            self.begun, self.begun_ms = True, now_ms
        return self.begun and not self.finished

    def elapsed_s(self, now_ms: int) -> float:
        """Seconds since the scene's first minute."""
        return (now_ms - self.begun_ms) / 1000


class TerminalKind:
    """Base of the kinds."""

    code: ClassVar[str]
    timing: ClassVar[Timing]
    momentary: ClassVar[bool] = False
    needs_profile: ClassVar[bool] = False
    needs_closed: ClassVar[bool] = False
    adds_transactions: ClassVar[bool] = False

    def records(self, scene: TerminalScene, model: TerminalModel, now_ms: int, drafts: list[Draft]) -> list[Draft]:
        """What the terminal records in this minute instead."""
        return drafts

    def deliver(
        self, scene: TerminalScene, model: TerminalModel, now_ms: int, messages: list[Outgoing]
    ) -> list[Outgoing]:
        """What it sends of this minute."""
        return messages

    def done(self, scene: TerminalScene, now_ms: int) -> bool:
        """Ends the condition when its planned time is over."""
        if scene.elapsed_s(now_ms) < scene.planned.lasts_s:
            return False
        scene.finished, scene.ended_ms = True, now_ms
        return True
