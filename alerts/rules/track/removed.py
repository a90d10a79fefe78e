"""TRK-04 handset removed: the handset says that it was taken off.

Handsets differ: some repeat `removed` in each fix until they are worn again, some say it once. Worn again: one that
repeated it sends `clear_fixes` fixes without it; or, for any, it has moved `carried_m` since.
"""

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.evidence import ended, of_fix
from alerts.rules.place import is_plausible, metres
from core.fix import AlarmCode, StoredFix

_REMOVED = int(AlarmCode.REMOVED)


class RemovedSettings(BaseModel):
    """TRK-04."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clear_fixes: int = Field(
        default=3, ge=1, description="Fixes without the alarm that show a repeating handset worn again."
    )
    carried_m: float = Field(
        default=100, gt=0, description="Moved this far since the alarm, the handset is worn again."
    )


class RemovedState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """key: the open event, '' for none. last_ms: newest alarm. clear: fixes without it since. lat/lon: of the alarm."""

    key: str = ""
    last_ms: int = 0
    repeated: bool = False
    clear: int = 0
    lat: float | None = None
    lon: float | None = None


class Removed(Rule[RemovedState, StoredFix]):
    """Opens at the first alarm fix, merges further ones silently, ends when worn again."""

    code = "TRK-04"

    def __init__(self, settings: RemovedSettings) -> None:
        self.start = RemovedState()
        self._settings = settings

    def step(self, state: RemovedState, fact: StoredFix, at: Context) -> tuple[RemovedState, Findings]:
        if fact.alarm == _REMOVED:
            return self._alarm(state, fact, at)
        if not state.key or fact.fixed_at_ms <= state.last_ms:
            return state, NOTHING
        clear = state.clear + 1
        moved_m = 0.0
        if state.lat is not None and state.lon is not None and is_plausible(fact):
            assert fact.lat is not None
            assert fact.lon is not None
            moved_m = metres(state.lat, state.lon, fact.lat, fact.lon)
        if (state.repeated and clear >= self._settings.clear_fixes) or moved_m > self._settings.carried_m:
            return RemovedState(last_ms=state.last_ms), (
                ended(self.code, state.key, at.id, fact.fixed_at_ms, {"moved_m": round(moved_m)}),
            )
        return msgspec.structs.replace(state, clear=clear), NOTHING

    def _alarm(self, state: RemovedState, fact: StoredFix, at: Context) -> tuple[RemovedState, Findings]:
        if state.key:
            last_ms = max(state.last_ms, fact.fixed_at_ms)
            return msgspec.structs.replace(state, last_ms=last_ms, repeated=True, clear=0), NOTHING
        if fact.fixed_at_ms <= state.last_ms:
            return state, NOTHING  # older than a condition that is over: it belonged to that one
        key = key_of(self.code, at.id, fact.fixed_at_ms, fact.digest)
        finding = of_fix(self.code, key, at.id, fact, {"alarm": "removed"})
        return RemovedState(key, fact.fixed_at_ms, False, 0, fact.lat, fact.lon), (finding,)
