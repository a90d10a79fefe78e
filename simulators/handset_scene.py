"""One running anomaly of a handset, and what every kind of anomaly may change.

`begin` is called at the first fix after the planned time, then `alter` for each fix (it returns what is really sent),
until `over`; `end` puts things right. A scene notes when its condition truly held.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from simulators.anomalies import Planned, Timing
from simulators.outgoing import FixDraft
from simulators.stage import Stage


@dataclass(slots=True)
class Scene:
    """One running anomaly of handset `i`. Times in epoch milliseconds; None: the condition has not begun or ended."""

    planned: Planned
    kind: HandsetKind
    stage: Stage
    rng: np.random.Generator
    interval_ms: int
    run_start_ms: int
    begun: bool = False
    finished: bool = False
    began_ms: int | None = None
    ended_ms: int | None = None
    figures: dict[str, float | str] = field(default_factory=dict)
    also: list[str] = field(default_factory=list)
    """Codes whose condition holds as well, e.g. TRK-03 with a home outside the grid."""
    memory: list[FixDraft] = field(default_factory=list)
    offset_m: tuple[float, float] = (0.0, 0.0)

    @property
    def i(self) -> int:
        """Index of the handset."""
        return self.planned.index

    def held_for_s(self, now_ms: int) -> float:
        """Seconds since the condition began; -1 before."""
        return -1.0 if self.began_ms is None else (now_ms - self.began_ms) / 1000

    @property
    def condition_s(self) -> float:
        """How long the condition is planned to hold."""
        return self.planned.lasts_s - self.kind.timing.lead_s

    def far_off(self, low_m: float, high_m: float) -> None:
        """Draw an offset of low_m to high_m metres in any direction."""
        bearing, distance = self.rng.uniform(0, 2 * np.pi), self.rng.uniform(low_m, high_m)
        self.offset_m = (float(distance * np.sin(bearing)), float(distance * np.cos(bearing)))


class HandsetKind:
    """Base of the kinds: the condition holds from the first altered fix for its planned time."""

    code: ClassVar[str]
    timing: ClassVar[Timing]
    needs_shift: ClassVar[bool] = False
    """Whether its rule needs a planned shift."""
    off_duty: ClassVar[bool] = False
    """Whether its rule holds outside the shift too."""

    def prepare(self, scene: Scene) -> None:
        """Called before the run, for what holds from its first fix on."""

    def begin(self, scene: Scene, draft: FixDraft) -> None:
        """Called once, with the fix that would be sent next."""
        scene.began_ms = draft.fixed_at

    def alter(self, scene: Scene, draft: FixDraft) -> list[FixDraft]:
        """What is sent instead of this fix; it may be nothing."""
        return [draft]

    def over(self, scene: Scene, now_ms: int) -> bool:
        """Whether the scene is done at this fix, which is then sent unaltered."""
        return scene.held_for_s(now_ms) >= scene.condition_s

    def end(self, scene: Scene) -> None:
        """Put the handset right again."""
