"""TRK-06 implausible track: mock location, teleport, two handsets as one, frozen coordinates, a track sent again.

Thresholds, with a real phone in mind. Teleport: implied speed over 200 km/h after taking twice both accuracies off,
over at least 500 m, and the following fix agrees with the new place; a single outlier goes back and is none. Four such
outliers in 5 min are two handsets under one id. Frozen: coordinates equal to 7 decimals (1 cm), where a real receiver
scatters, for 10 min while the handset claims to move; many chips pin the position of a phone at rest (static hold), so
without claimed movement it takes 2 h and 200 fixes on duty. Sent again: see replay.py.
"""

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.episodes import Episodes, occur
from alerts.rules.evidence import of_fix
from alerts.rules.place import MOCK, is_plausible, metres
from alerts.rules.track.replay import NO_TRAIL, Trail, retrace
from core.fix import StoredFix
from core.lane import Lane

_USUAL_ACCURACY_M = 20.0
_QUIET_MS = 60_000


class ImplausibleSettings(BaseModel):
    """TRK-06."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    merge_s: float = Field(default=3600, ge=0, description="Occurrences of a kind within this time are one event.")
    speed_mps: float = Field(default=200 / 3.6, gt=0, description="Implied speed that no grid worker reaches.")
    jump_m: float = Field(default=500, gt=0, description="Least length of a jump.")
    outliers: int = Field(default=4, ge=2, description="Jumps there and back that mean two handsets under one id, …")
    outliers_s: float = Field(default=300, gt=0, description="… within this time.")
    frozen_s: float = Field(
        default=600, gt=0, description="Identical coordinates for this long while claiming to move."
    )
    frozen_moving_mps: float = Field(default=0.5, gt=0, description="Claimed speed that counts as moving.")
    frozen_moving_fixes: int = Field(default=20, ge=2, description="Least number of fixes that claim to move.")
    pinned_s: float = Field(
        default=7200, gt=0, description="Identical coordinates for this long on duty, whatever is claimed."
    )
    pinned_fixes: int = Field(default=200, ge=2, description="Least number of such fixes.")
    replayed_marks: int = Field(default=4, ge=2, description="Marks of the own track met again in order (see replay).")


class Spot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A plausible fix as far as jumps need it."""

    at_ms: int
    lat: float
    lon: float
    accuracy_m: float


class ImplausibleState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """last: newest believed place; jump: a fix far from it, not yet confirmed; outliers: times of jumps taken back.

    frozen_*: since when, how many fixes and moving ones had the same raw coordinates.
    """

    last: Spot | None = None
    jump: Spot | None = None
    outliers: tuple[int, ...] = ()
    lat: float | None = None
    lon: float | None = None
    frozen_since_ms: int = 0
    frozen_fixes: int = 0
    frozen_moving: int = 0
    trail: Trail = NO_TRAIL
    episodes: dict[str, Episodes] = {}


class Implausible(Rule[ImplausibleState, StoredFix]):
    """Mock is judged in every lane, the rest on urgent and live fixes in order of their time."""

    code = "TRK-06"

    def __init__(self, settings: ImplausibleSettings) -> None:
        self.start = ImplausibleState()
        self._settings = settings
        self._merge_ms = round(settings.merge_s * 1000)

    def step(self, state: ImplausibleState, fact: StoredFix, at: Context) -> tuple[ImplausibleState, Findings]:
        if fact.flags & MOCK:
            return self._found(state, fact, at, "mock", {})
        if fact.lane == Lane.BACKFILL or fact.lat is None or fact.lon is None:
            return state, NOTHING
        state, findings = self._stillness(state, fact, at)
        last = state.last
        if not is_plausible(fact) or (last is not None and fact.fixed_at_ms <= last.at_ms):
            return state, findings
        spot = Spot(fact.fixed_at_ms, fact.lat, fact.lon, fact.accuracy_m or _USUAL_ACCURACY_M)
        if last is None or (state.jump is None and not self._impossible(last, spot)):
            return _moved(state, spot, None), findings
        state, jumped = self._jumps(state, last, spot, fact, at)
        return state, findings + jumped

    def _jumps(
        self, state: ImplausibleState, last: Spot, spot: Spot, fact: StoredFix, at: Context
    ) -> tuple[ImplausibleState, Findings]:
        jump = state.jump
        if jump is None:
            return _moved(state, last, spot), NOTHING
        jumped_m = metres(last.lat, last.lon, jump.lat, jump.lon)
        back_m = metres(last.lat, last.lon, spot.lat, spot.lon)
        if back_m > jumped_m / 2 and not self._impossible(jump, spot):
            state = _moved(state, spot, None)
            took_s = (jump.at_ms - last.at_ms) / 1000
            causes: dict[str, object] = {"jump_m": round(jumped_m), "took_s": took_s}
            return self._found(state, fact, at, "teleport", causes, quiet_ms=0)
        if self._impossible(last, spot):
            return _moved(state, last, spot), NOTHING
        since = spot.at_ms - self._settings.outliers_s * 1000
        outliers = (*(t for t in state.outliers if t > since), spot.at_ms)
        if len(outliers) < self._settings.outliers:
            return msgspec.structs.replace(_moved(state, spot, None), outliers=outliers), NOTHING
        state = msgspec.structs.replace(_moved(state, spot, None), outliers=())
        return self._found(state, fact, at, "two_handsets", {"apart_m": round(jumped_m), "jumps": len(outliers)})

    def _impossible(self, a: Spot, b: Spot) -> bool:
        """Whether nobody gets from a to b in that time, GNSS error allowed for."""
        if abs(a.lat - b.lat) < 0.004 and abs(a.lon - b.lon) < 0.004:
            return False  # under 500 m; the usual case
        jump_m = metres(a.lat, a.lon, b.lat, b.lon)
        sure_m = jump_m - 2 * (a.accuracy_m + b.accuracy_m)
        seconds = max(1.0, (b.at_ms - a.at_ms) / 1000)
        return jump_m >= self._settings.jump_m and sure_m > self._settings.speed_mps * seconds

    def _stillness(self, state: ImplausibleState, fact: StoredFix, at: Context) -> tuple[ImplausibleState, Findings]:
        """Frozen coordinates, and a track sent again."""
        if fact.lat != state.lat or fact.lon != state.lon:
            assert fact.lat is not None
            assert fact.lon is not None
            trail = retrace(state.trail, fact.lat, fact.lon)
            state = ImplausibleState(
                state.last,
                state.jump,
                state.outliers,
                fact.lat,
                fact.lon,
                fact.fixed_at_ms,
                1,
                0,
                trail,
                state.episodes,
            )
            if trail.run >= self._settings.replayed_marks:
                return self._found(state, fact, at, "replayed", {"marks": trail.run})
            return state, NOTHING
        if fact.fixed_at_ms <= state.frozen_since_ms:
            return state, NOTHING
        moving = state.frozen_moving + ((fact.speed_mps or 0.0) >= self._settings.frozen_moving_mps)
        state = msgspec.structs.replace(state, frozen_fixes=state.frozen_fixes + 1, frozen_moving=moving)
        if not self._is_frozen(state, fact, at):
            return state, NOTHING
        causes: dict[str, object] = {
            "frozen_s": (fact.fixed_at_ms - state.frozen_since_ms) // 1000,
            "fixes": state.frozen_fixes,
            "fixes_claiming_to_move": moving,
        }
        return self._found(state, fact, at, "frozen", causes)

    def _is_frozen(self, state: ImplausibleState, fact: StoredFix, at: Context) -> bool:
        wanted, lasts_ms = self._settings, fact.fixed_at_ms - state.frozen_since_ms
        if lasts_ms >= wanted.frozen_s * 1000 and state.frozen_moving >= wanted.frozen_moving_fixes:
            return state.frozen_moving * 2 >= state.frozen_fixes
        if lasts_ms < wanted.pinned_s * 1000 or state.frozen_fixes < wanted.pinned_fixes:
            return False
        duty = at.duty(fact.fixed_at_ms)
        return duty.on and duty.planned

    def _found(
        self,
        state: ImplausibleState,
        fact: StoredFix,
        at: Context,
        what: str,
        causes: dict[str, object],
        quiet_ms: int = _QUIET_MS,
    ) -> tuple[ImplausibleState, Findings]:
        key = key_of(self.code, at.id, fact.fixed_at_ms, fact.digest, what)
        finding = of_fix(self.code, key, at.id, fact, {"kind": what, **causes})
        episodes, findings = occur(state.episodes.get(what, ()), finding, self._merge_ms, quiet_ms)
        return msgspec.structs.replace(state, episodes={**state.episodes, what: episodes}), findings


def _moved(state: ImplausibleState, last: Spot, jump: Spot | None) -> ImplausibleState:
    return ImplausibleState(
        last,
        jump,
        state.outliers,
        state.lat,
        state.lon,
        state.frozen_since_ms,
        state.frozen_fixes,
        state.frozen_moving,
        state.trail,
        state.episodes,
    )
