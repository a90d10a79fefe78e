"""REC-01 recording gap: footage is missing although the camera was sending, or nobody was there to record it.

Gaps of one camera within half an hour are one event. It ends when there was no further gap for so long; what is missing
stays missing, and says so in its causes. Gaps while the camera was away belong to CAM-01.
"""

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.camera.evidence import number, of_camera, word
from alerts.rules.camera.thresholds import one_section
from alerts.rules.episodes import as_repeat
from alerts.rules.evidence import ended
from core.camera import KindCode, StoredCameraFact


class GapSettings(BaseModel):
    """REC-01."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gap_s: float = Field(default=15, ge=0, description="Missing seconds of the main stream that open an event.")
    quiet_s: float = Field(default=1800, gt=0, description="Without a further gap for so long, the event ends.")


class GapState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The event of the newest gaps. to_ms: end of the last one; missing_ms: of all of them; due_ms: when it ends."""

    key: str = ""
    from_ms: int = 0
    to_ms: int = 0
    missing_ms: int = 0
    gaps: int = 0
    due_ms: int = 0


class Gap(Rule[GapState, StoredCameraFact]):
    """`step` opens and counts, `tick` ends."""

    code = "REC-01"

    def __init__(self, settings: GapSettings) -> None:
        self.start = GapState()
        self._settings = one_section("rec_01", settings)

    def step(self, state: GapState, fact: StoredCameraFact, at: Context) -> tuple[GapState, Findings]:
        from_ms, to_ms, reason = number(fact, "from_ms"), number(fact, "to_ms"), word(fact, "reason")
        if fact.kind != KindCode.GAP or reason == "signal" or from_ms is None or to_ms is None:
            return state, NOTHING
        settings = self._settings.of(at)
        if fact.figures.get("stream", "main") != "main" or to_ms - from_ms < settings.gap_s * 1000:
            return state, NOTHING
        since_ms, until_ms, quiet_ms = round(from_ms), round(to_ms), round(settings.quiet_s * 1000)
        joins = state.key and state.from_ms - quiet_ms <= until_ms and since_ms <= state.to_ms + quiet_ms
        before = state if joins else GapState()
        key = before.key or key_of(self.code, at.id, since_ms, fact.digest)
        missing_ms, gaps = before.missing_ms + until_ms - since_ms, before.gaps + 1
        causes: dict[str, object] = {
            "reason": reason,
            "from_ms": since_ms,
            "to_ms": until_ms,
            "missing_s": missing_ms // 1000,
            "gaps": gaps,
        }
        opening = of_camera(self.code, key, at.id, fact, causes, since_ms)
        findings: Findings = (as_repeat(opening, key),) if before.key else (opening,)
        if state.key and not joins:
            findings = (ended(self.code, state.key, at.id, state.to_ms), *findings)
        new_from = min(before.from_ms or since_ms, since_ms)
        new_to = max(before.to_ms, until_ms)
        return GapState(key, new_from, new_to, missing_ms, gaps, new_to + quiet_ms), findings

    def due_ms(self, state: GapState) -> int | None:
        return state.due_ms or None

    def tick(self, state: GapState, at: Context) -> tuple[GapState, Findings]:
        causes: dict[str, object] = {"missing_s": state.missing_ms // 1000, "gaps": state.gaps}
        return GapState(), (ended(self.code, state.key, at.id, state.to_ms, causes),)
