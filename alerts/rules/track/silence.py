"""TRK-02 silent on duty: no contact for 15 min inside a planned shift, counting only time in which we could listen.

Contact is when we received something (any lane); the silence began with the last fix before, or with the shift. It ends
with the next contact or with the shift. Back-filled fixes never open or end one in hindsight; when they leave no hole
of 15 min in a silence, the event is marked: it was only a gap in coverage. A handset that never sent is not judged.
"""

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.evidence import ended
from core.event import Finding
from core.fix import StoredFix

Spans = tuple[tuple[int, int], ...]


class SilenceSettings(BaseModel):
    """TRK-02."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after_s: float = Field(default=900, gt=0, description="Silence on duty for this long opens an event.")


class Gap(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A silence that back-fill may explain. ended_ms: 0 while it lasts. cover: spans of fixes, no hole of after_s."""

    key: str
    began_ms: int
    ended_ms: int = 0
    cover: Spans = ()


class SilenceState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """seen_ms: newest contact (received). fixed_ms, digest: newest fix by its own time. open: a silence lasts.

    hushed: this silence is part of a mass silence (DQ-01). check_ms: not before then. lat/lon: newest known place.
    """

    seen_ms: int = 0
    fixed_ms: int = 0
    digest: int = 0
    open: bool = False
    hushed: bool = False
    check_ms: int = 0
    gap: Gap | None = None
    lat: float | None = None
    lon: float | None = None


class Silence(Rule[SilenceState, StoredFix]):
    """An absence rule: `tick` opens, `step` ends."""

    code = "TRK-02"

    def __init__(self, settings: SilenceSettings) -> None:
        self.start = SilenceState()
        self._after_ms = round(settings.after_s * 1000)

    def step(self, state: SilenceState, fact: StoredFix, at: Context) -> tuple[SilenceState, Findings]:
        received, fixed = fact.received_at_ms, fact.fixed_at_ms
        gap = state.gap
        if gap is not None and gap.began_ms < fixed and (not gap.ended_ms or fixed < gap.ended_ms):
            gap = self._covered(gap, fixed)
        findings: Findings = NOTHING
        is_open = state.open
        if received > state.seen_ms and is_open and gap is not None:
            is_open = False
            gap = msgspec.structs.replace(gap, ended_ms=received)
            findings = (ended(self.code, gap.key, at.id, received),)
        if gap is not state.gap and gap is not None and gap.ended_ms and self._explains(gap):
            correction = Finding("correct", self.code, gap.key, at.id, gap.began_ms, causes={"coverage_gap": True})
            findings, gap = (*findings, correction), None
        if received <= state.seen_ms and gap is state.gap:
            return state, NOTHING
        hushed, check_ms, digest = False, 0, fact.digest
        if received <= state.seen_ms:
            received, hushed, check_ms = state.seen_ms, state.hushed, state.check_ms
        if fixed < state.fixed_ms:
            fixed, digest = state.fixed_ms, state.digest
        lat, lon = (fact.lat, fact.lon) if fact.lat is not None else (state.lat, state.lon)
        return SilenceState(received, fixed, digest, is_open, hushed, check_ms, gap, lat, lon), findings

    def due_ms(self, state: SilenceState) -> int | None:
        if not state.seen_ms or state.hushed:
            return None
        return max(state.check_ms, 0 if state.open else state.seen_ms + self._after_ms)

    def tick(self, state: SilenceState, at: Context) -> tuple[SilenceState, Findings]:
        now = at.now_ms
        duty = at.duty(now)
        judged = duty.on and duty.planned
        if state.open:
            if judged or state.gap is None:
                return msgspec.structs.replace(state, check_ms=duty.until_ms), NOTHING
            gap = msgspec.structs.replace(state.gap, ended_ms=duty.since_ms)
            over = ended(self.code, gap.key, at.id, duty.since_ms, {"ended_with_shift": True})
            return msgspec.structs.replace(state, open=False, gap=gap, check_ms=duty.until_ms), (over,)
        if not judged:
            return msgspec.structs.replace(state, check_ms=duty.until_ms), NOTHING
        counted_ms = at.ready_ms(max(state.seen_ms, duty.since_ms), now)
        if counted_ms < self._after_ms:
            later = now + max(1000, self._after_ms - counted_ms)
            return msgspec.structs.replace(state, check_ms=min(later, duty.until_ms)), NOTHING
        spoken_for_ms = 0 if state.gap is None else state.gap.ended_ms  # by the silence before, which old fixes ended
        began_ms = max(min(state.fixed_ms, state.seen_ms), duty.since_ms, spoken_for_ms)
        return self._open(state, at, began_ms, duty.until_ms)

    def _open(self, state: SilenceState, at: Context, began_ms: int, until_ms: int) -> tuple[SilenceState, Findings]:
        key = key_of(self.code, at.id, began_ms, state.digest)
        causes: dict[str, object] = {"silent_s": (at.now_ms - began_ms) // 1000, "last_contact_ms": state.seen_ms}
        opened = msgspec.structs.replace(state, open=True, gap=Gap(key, began_ms), check_ms=until_ms)
        return opened, (Finding("open", self.code, key, at.id, began_ms, state.lat, state.lon, causes=causes),)

    def contact_ms(self, state: SilenceState) -> int:
        """Newest contact; 0 for none. For judging a mass silence."""
        return state.seen_ms

    def hush(self, state: SilenceState, hushed: bool) -> SilenceState:
        """The state as part of a mass silence (nothing is said until the next contact), or no longer so."""
        return msgspec.structs.replace(state, hushed=hushed, check_ms=0)

    def is_hushed(self, state: SilenceState) -> bool:
        """Whether the device is silent as part of a mass silence."""
        return state.hushed

    def _covered(self, gap: Gap, at_ms: int) -> Gap:
        """The gap with one more fix in it; the same object where that changes nothing."""
        for since, until in gap.cover:
            if since <= at_ms <= until:
                return gap
        reach = self._after_ms
        near = [span for span in gap.cover if span[0] - reach <= at_ms <= span[1] + reach]
        far = [span for span in gap.cover if span not in near]
        grown = (min([at_ms, *(s for s, _ in near)]), max([at_ms, *(u for _, u in near)]))
        return msgspec.structs.replace(gap, cover=tuple(sorted((*far, grown))))

    def _explains(self, gap: Gap) -> bool:
        """Whether the fixes leave no hole of `after_s`."""
        if len(gap.cover) != 1:
            return False
        since, until = gap.cover[0]
        return since - gap.began_ms <= self._after_ms and gap.ended_ms - until <= self._after_ms
