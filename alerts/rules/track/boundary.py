"""TRK-03 out of grid: beyond 200 m of every own grid for 10 min of a planned shift, by plausible live fixes.

A fix that is inaccurate, simulated or impossible says nothing, neither way. One fix back inside (or outside) is an
outlier; `confirm_fixes` running are needed to end it. A hole in the fixes longer than `longest_hole_s` begins anew.
"""

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.evidence import ended, fix_link
from alerts.rules.place import is_plausible
from core.event import Finding
from core.fix import StoredFix


class BoundarySettings(BaseModel):
    """TRK-03."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    beyond_m: float = Field(default=200, ge=0, description="Farther from the own grid than this counts as outside.")
    for_s: float = Field(default=600, gt=0, description="Outside for this long opens an event.")
    confirm_fixes: int = Field(default=2, ge=1, description="Fixes running that are needed to believe a return.")
    longest_hole_s: float = Field(
        default=300, gt=0, description="Without plausible fixes for longer, counting begins anew."
    )


class BoundaryState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """at_ms: newest judged fix. since_ms: first fix outside, 0 inside; its digest, place. inside: fixes back inside."""

    at_ms: int = 0
    since_ms: int = 0
    digest: int = 0
    lat: float = 0.0
    lon: float = 0.0
    inside: int = 0
    key: str = ""
    farthest_m: float = 0.0
    fixes: int = 0
    until_ms: int = 0
    """End of the shift in which the event was opened."""


class Boundary(Rule[BoundaryState, StoredFix]):
    """Judges fixes in order of their time."""

    code = "TRK-03"

    def __init__(self, settings: BoundarySettings) -> None:
        self.start = BoundaryState()
        self._settings = settings
        self._beyond_m = settings.beyond_m
        self._hole_ms = settings.longest_hole_s * 1000
        self._for_ms = settings.for_s * 1000

    def step(self, state: BoundaryState, fact: StoredFix, at: Context) -> tuple[BoundaryState, Findings]:
        at_ms = fact.fixed_at_ms
        if at_ms <= state.at_ms or not is_plausible(fact):
            return state, NOTHING
        duty = at.duty(at_ms)
        if not (duty.on and duty.planned):
            return self._off_duty(state, at, duty.since_ms)
        grids = at.grids(at_ms)
        if not grids:
            return state, NOTHING
        assert fact.lat is not None
        assert fact.lon is not None
        outside_m = min(grid.distance_outside_m(fact.lat, fact.lon) for grid in grids)
        if outside_m <= self._beyond_m:
            return self._inside(state, fact, at) if state.since_ms else (state, NOTHING)
        return self._outside(state, fact, at, outside_m)

    def due_ms(self, state: BoundaryState) -> int | None:
        return state.until_ms if state.key else None

    def tick(self, state: BoundaryState, at: Context) -> tuple[BoundaryState, Findings]:
        duty = at.duty(at.now_ms)
        if duty.on and duty.planned:
            return msgspec.structs.replace(state, until_ms=duty.until_ms), NOTHING
        return self._off_duty(state, at, duty.since_ms)

    def _off_duty(self, state: BoundaryState, at: Context, since_ms: int) -> tuple[BoundaryState, Findings]:
        if not state.since_ms:
            return state, NOTHING
        over = (ended(self.code, state.key, at.id, since_ms, {"ended_with_shift": True}),) if state.key else NOTHING
        return BoundaryState(since_ms), over

    def _inside(self, state: BoundaryState, fact: StoredFix, at: Context) -> tuple[BoundaryState, Findings]:
        at_ms, inside = fact.fixed_at_ms, state.inside + 1
        if inside < self._settings.confirm_fixes:
            return msgspec.structs.replace(state, at_ms=at_ms, inside=inside), NOTHING
        if not state.key:
            return BoundaryState(at_ms), NOTHING
        causes: dict[str, object] = {"farthest_m": round(state.farthest_m)}
        return BoundaryState(at_ms), (ended(self.code, state.key, at.id, at_ms, causes),)

    def _outside(
        self, state: BoundaryState, fact: StoredFix, at: Context, outside_m: float
    ) -> tuple[BoundaryState, Findings]:
        at_ms = fact.fixed_at_ms
        assert fact.lat is not None
        assert fact.lon is not None
        if not state.since_ms or (not state.key and at_ms - state.at_ms > self._hole_ms):
            first = BoundaryState(at_ms, at_ms, fact.digest, fact.lat, fact.lon, 0, "", outside_m, 1)
            return first, NOTHING
        farthest, fixes = max(state.farthest_m, outside_m), state.fixes + 1
        state = BoundaryState(
            at_ms, state.since_ms, state.digest, state.lat, state.lon, 0, state.key, farthest, fixes, state.until_ms
        )
        if state.key or at_ms - state.since_ms < self._for_ms or fixes < 3:
            return state, NOTHING
        key = key_of(self.code, at.id, state.since_ms, state.digest)
        causes: dict[str, object] = {
            "outside_s": (at_ms - state.since_ms) // 1000,
            "farthest_m": round(farthest),
            "beyond_m": self._beyond_m,
            "fixes": fixes,
        }
        finding = Finding(
            "open", self.code, key, at.id, state.since_ms, fact.lat, fact.lon, causes=causes, evidence=(fix_link(fact),)
        )
        return msgspec.structs.replace(state, key=key, until_ms=at.duty(at_ms).until_ms), (finding,)
