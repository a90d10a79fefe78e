"""TRK-07 not patrolling: on planned duty, still for 60 min, away from every place where standing still is work.

Still means within max(50 m, 2.5 × median accuracy) of the place where the stay began (mean of its first 30 fixes): GNSS
scatter of a phone at rest reaches about twice its reported 68 % radius, more between buildings. The median is running
(Robbins–Monro, steps of 5 %). Two fixes running outside end the stay, one is an outlier. Holes over 15 min begin anew.
"""

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.evidence import ended, fix_link
from alerts.rules.place import is_plausible, metres
from core.event import Finding
from core.fix import StoredFix

_MEAN_OF = 30
_USUAL_ACCURACY_M = 10.0


class IdleSettings(BaseModel):
    """TRK-07."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    for_s: float = Field(default=3600, gt=0, description="Still for this long opens an event.")
    radius_m: float = Field(default=50, gt=0, description="Least radius within which a handset counts as still.")
    accuracies: float = Field(
        default=2.5, gt=0, description="The radius is at least this many times the median accuracy."
    )
    longest_hole_s: float = Field(
        default=900, gt=0, description="Without plausible fixes for longer, counting begins anew."
    )


class IdleState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """at_ms: newest fix. since_ms: first fix of the stay; its digest. lat/lon: its place. fixes: up to _MEAN_OF."""

    at_ms: int = 0
    since_ms: int = 0
    digest: int = 0
    lat: float = 0.0
    lon: float = 0.0
    fixes: int = 0
    accuracy_m: float = _USUAL_ACCURACY_M
    away: int = 0
    key: str = ""
    excused: bool = False
    until_ms: int = 0
    """End of the shift in which the event was opened."""


class Idle(Rule[IdleState, StoredFix]):
    """Judges fixes in order of their time."""

    code = "TRK-07"

    def __init__(self, settings: IdleSettings) -> None:
        self.start = IdleState()
        self._settings = settings
        self._for_ms = settings.for_s * 1000
        self._hole_ms = settings.longest_hole_s * 1000

    def step(self, state: IdleState, fact: StoredFix, at: Context) -> tuple[IdleState, Findings]:
        at_ms, lat, lon = fact.fixed_at_ms, fact.lat, fact.lon
        if at_ms <= state.at_ms or lat is None or lon is None or not is_plausible(fact):
            return state, NOTHING
        accuracy_m = fact.accuracy_m or _USUAL_ACCURACY_M
        median_m = state.accuracy_m * (1.05 if accuracy_m > state.accuracy_m else 1 / 1.05)
        if at_ms - state.at_ms > self._hole_ms:
            return self._begin(state, fact, at, median_m)
        radius_m = max(self._settings.radius_m, self._settings.accuracies * median_m)
        if metres(state.lat, state.lon, lat, lon) > radius_m:
            if not state.away:
                return IdleState(
                    at_ms,
                    state.since_ms,
                    state.digest,
                    state.lat,
                    state.lon,
                    state.fixes,
                    median_m,
                    1,
                    state.key,
                    state.excused,
                    state.until_ms,
                ), NOTHING
            return self._begin(state, fact, at, median_m)
        fixes, mean_lat, mean_lon = state.fixes, state.lat, state.lon
        if fixes < _MEAN_OF:
            fixes += 1
            mean_lat += (lat - mean_lat) / fixes
            mean_lon += (lon - mean_lon) / fixes
        stay = IdleState(
            at_ms,
            state.since_ms,
            state.digest,
            mean_lat,
            mean_lon,
            fixes,
            median_m,
            0,
            state.key,
            state.excused,
            state.until_ms,
        )
        if state.excused or at_ms - state.since_ms < self._for_ms:
            return stay, NOTHING
        return self._long_stay(stay, fact, at, radius_m)

    def due_ms(self, state: IdleState) -> int | None:
        return state.until_ms if state.key else None

    def tick(self, state: IdleState, at: Context) -> tuple[IdleState, Findings]:
        duty = at.duty(at.now_ms)
        if duty.on and duty.planned:
            return msgspec.structs.replace(state, until_ms=duty.until_ms), NOTHING
        return self._off_duty(state, at, duty.since_ms)

    def _off_duty(self, state: IdleState, at: Context, since_ms: int) -> tuple[IdleState, Findings]:
        if not state.key:
            return state, NOTHING
        over = ended(self.code, state.key, at.id, since_ms, {"ended_with_shift": True})
        return msgspec.structs.replace(state, key=""), (over,)

    def _begin(self, state: IdleState, fact: StoredFix, at: Context, median_m: float) -> tuple[IdleState, Findings]:
        """A new stay at this fix; what was before is over."""
        at_ms = fact.fixed_at_ms
        assert fact.lat is not None
        assert fact.lon is not None
        over = (ended(self.code, state.key, at.id, at_ms),) if state.key else NOTHING
        return IdleState(at_ms, at_ms, fact.digest, fact.lat, fact.lon, 1, median_m), over

    def _long_stay(self, stay: IdleState, fact: StoredFix, at: Context, radius_m: float) -> tuple[IdleState, Findings]:
        at_ms = fact.fixed_at_ms
        duty = at.duty(at_ms)
        if not (duty.on and duty.planned):
            return self._off_duty(stay, at, duty.since_ms)
        began_ms = max(stay.since_ms, duty.since_ms)
        if stay.key or at_ms - began_ms < self._for_ms:
            return stay, NOTHING
        for place in at.work_places(at_ms):
            if metres(place.lat, place.lon, stay.lat, stay.lon) <= place.radius_m + radius_m:
                return msgspec.structs.replace(stay, excused=True), NOTHING
        key = key_of(self.code, at.id, began_ms, stay.digest)
        causes: dict[str, object] = {
            "still_s": (at_ms - began_ms) // 1000,
            "radius_m": round(radius_m, 1),
            "median_accuracy_m": round(stay.accuracy_m, 1),
        }
        finding = Finding(
            "open", self.code, key, at.id, began_ms, stay.lat, stay.lon, causes=causes, evidence=(fix_link(fact),)
        )
        return msgspec.structs.replace(stay, key=key, until_ms=duty.until_ms), (finding,)
