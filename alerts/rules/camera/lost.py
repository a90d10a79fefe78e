"""CAM-01 signal lost: the main stream is away for longer than a few seconds; ends when it is back.

Several cameras of a division that go together are one mass silence (alerts.absence): a switch, a line, the power.
"""

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.camera.evidence import is_older, number, of_camera, word
from alerts.rules.camera.thresholds import one_section
from alerts.rules.evidence import ended
from core.camera import KindCode, StoredCameraFact
from core.event import Finding

CONNECTED_MS = 1 << 62
"""Contact of a camera that is there: later than that of any that is lost."""


class LostSettings(BaseModel):
    """CAM-01."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after_s: float = Field(default=10, ge=0, le=86_400, description="Seconds without a signal that open an event.")


class LostState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """heard_ms: newest signal fact. lost_ms: since when the main stream is away, 0 while it is there.

    gap: footage that is missing for it, (from, to). last_key, last_lost_ms: the newest loss that is over, whose gap may
    still be told. hushed: part of a mass silence. after_ms: what `after_s` was for this camera when it was lost.
    """

    heard_ms: int = 0
    lost_ms: int = 0
    after_ms: int = 0
    digest: int = 0
    reason: str = ""
    key: str = ""
    gap: tuple[int, int] = (0, 0)
    last_key: str = ""
    last_lost_ms: int = 0
    hushed: bool = False


class Lost(Rule[LostState, StoredCameraFact]):
    """An absence rule: `tick` opens, `step` ends."""

    code = "CAM-01"

    def __init__(self, settings: LostSettings) -> None:
        self.start = LostState()
        self._settings = one_section("cam_01", settings)

    def step(self, state: LostState, fact: StoredCameraFact, at: Context) -> tuple[LostState, Findings]:
        if fact.figures.get("stream", "main") != "main":
            return state, NOTHING
        if fact.kind == KindCode.GAP:
            return self._gap(state, fact, at)
        if fact.kind != KindCode.SIGNAL or is_older(fact, state.heard_ms):
            return state, NOTHING
        if word(fact, "state") == "up":
            return self._up(state, fact, at)
        return self._lost(state, fact, at)

    def _lost(self, state: LostState, fact: StoredCameraFact, at: Context) -> tuple[LostState, Findings]:
        reason = word(fact, "reason")
        if state.lost_ms:
            return msgspec.structs.replace(state, heard_ms=fact.at_ms, reason=reason or state.reason), NOTHING
        since_ms = round(number(fact, "since_ms") or fact.at_ms)
        return LostState(
            heard_ms=fact.at_ms,
            lost_ms=max(1, min(since_ms, fact.at_ms)),
            after_ms=round(self._settings.of(at).after_s * 1000),
            digest=fact.digest,
            reason=reason,
            last_key=state.last_key,
            last_lost_ms=state.last_lost_ms,
        ), NOTHING

    def _up(self, state: LostState, fact: StoredCameraFact, at: Context) -> tuple[LostState, Findings]:
        if not state.lost_ms:
            return msgspec.structs.replace(state, heard_ms=fact.at_ms), NOTHING
        findings: Findings = NOTHING
        key = state.key
        if not key and not state.hushed and fact.at_ms - state.lost_ms >= state.after_ms:
            key = self._key(state, at)  # told together: nobody could look in between
            causes: dict[str, object] = {"reason": state.reason}
            findings = (of_camera(self.code, key, at.id, fact, causes, state.lost_ms),)
        if key:
            over: dict[str, object] = {"lost_s": (fact.at_ms - state.lost_ms) // 1000, **_gap_causes(state.gap)}
            findings = (*findings, ended(self.code, key, at.id, fact.at_ms, over))
        return LostState(heard_ms=fact.at_ms, last_key=key, last_lost_ms=state.lost_ms if key else 0), findings

    def _gap(self, state: LostState, fact: StoredCameraFact, at: Context) -> tuple[LostState, Findings]:
        """Footage that is missing because the camera was away: noted with the loss."""
        from_ms, to_ms = number(fact, "from_ms"), number(fact, "to_ms")
        if word(fact, "reason") != "signal" or from_ms is None or to_ms is None:
            return state, NOTHING
        gap = (round(from_ms), round(to_ms))
        if state.lost_ms and gap[1] >= state.lost_ms:
            return msgspec.structs.replace(state, gap=_joined(state.gap, gap)), NOTHING
        if state.last_key and gap[1] >= state.last_lost_ms:
            note = Finding("correct", self.code, state.last_key, at.id, state.last_lost_ms, causes=_gap_causes(gap))
            return state, (note,)
        return state, NOTHING

    def due_ms(self, state: LostState) -> int | None:
        if not state.lost_ms or state.key or state.hushed:
            return None
        return state.lost_ms + state.after_ms

    def tick(self, state: LostState, at: Context) -> tuple[LostState, Findings]:
        key = self._key(state, at)
        causes: dict[str, object] = {"reason": state.reason}
        finding = Finding("open", self.code, key, at.id, state.lost_ms, causes=causes)
        return msgspec.structs.replace(state, key=key), (finding,)

    def _key(self, state: LostState, at: Context) -> str:
        return key_of(self.code, at.id, state.lost_ms, state.digest)

    def contact_ms(self, state: LostState) -> int:
        """When the signal went; for judging a mass silence."""
        if state.lost_ms:
            return state.lost_ms
        return CONNECTED_MS if state.heard_ms else 0

    def hush(self, state: LostState, hushed: bool) -> LostState:
        """The state as part of a mass silence (nothing is said until the camera is back), or no longer so."""
        return msgspec.structs.replace(state, hushed=hushed)

    def is_hushed(self, state: LostState) -> bool:
        """Whether it is lost as part of a mass silence."""
        return state.hushed


def _joined(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    return (min(first[0] or second[0], second[0]), max(first[1], second[1]))


def _gap_causes(gap: tuple[int, int]) -> dict[str, object]:
    if not gap[1]:
        return {}
    return {"gap_from_ms": gap[0], "gap_to_ms": gap[1], "gap_s": (gap[1] - gap[0]) // 1000}
