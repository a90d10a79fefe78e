"""TRK-05 low power: battery below 15 % in two fixes running, or the handset's own alarm; over at 20 % (hysteresis).

A handset that reports no battery ends it by sending fixes without the alarm for `quiet_s`.
"""

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.evidence import battery_share, ended, of_fix
from core.fix import AlarmCode, StoredFix

_LOW_POWER = int(AlarmCode.LOW_POWER)


class PowerSettings(BaseModel):
    """TRK-05."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    below: float = Field(default=0.15, gt=0, lt=1, description="Battery share below which power is low.")
    over_at: float = Field(default=0.20, gt=0, le=1, description="Battery share from which it is over.")
    readings: int = Field(default=2, ge=1, description="Low readings running that are needed without an alarm.")
    quiet_s: float = Field(
        default=1800, gt=0, description="Without battery readings: over after this time without the alarm."
    )


class PowerState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """key: the open event, '' for none. at_ms: newest fix. low_ms: newest low one. low: low readings running."""

    key: str = ""
    at_ms: int = 0
    low_ms: int = 0
    low: int = 0


class Power(Rule[PowerState, StoredFix]):
    """Judges fixes in order of their time; older ones say nothing about now."""

    code = "TRK-05"

    def __init__(self, settings: PowerSettings) -> None:
        self.start = PowerState()
        self._settings = settings

    def step(self, state: PowerState, fact: StoredFix, at: Context) -> tuple[PowerState, Findings]:
        battery, at_ms = fact.battery, fact.fixed_at_ms
        alarm = fact.alarm == _LOW_POWER
        if not alarm and not state.low and not state.key and (battery is None or battery >= self._settings.below):
            return state, NOTHING  # the usual case leaves the state untouched
        if at_ms <= state.at_ms:
            return state, NOTHING
        if alarm or (battery is not None and battery < self._settings.below):
            return self._low(state, fact, at, alarm)
        if battery is None and not (state.key and self._is_quiet(state, at_ms)):
            return state, NOTHING  # an SOS without a reading must not hide the live fix just before it
        over = battery is None or battery >= self._settings.over_at
        if state.key and over:
            causes: dict[str, object] = {"battery_at_end": battery_share(fact)}
            return PowerState("", at_ms), (ended(self.code, state.key, at.id, at_ms, causes),)
        return PowerState(state.key, at_ms, state.low_ms, 0), NOTHING

    def _is_quiet(self, state: PowerState, at_ms: int) -> bool:
        return at_ms - state.low_ms > self._settings.quiet_s * 1000

    def _low(self, state: PowerState, fact: StoredFix, at: Context, alarm: bool) -> tuple[PowerState, Findings]:
        at_ms, low = fact.fixed_at_ms, state.low + 1
        if state.key or not (alarm or low >= self._settings.readings):
            return PowerState(state.key, at_ms, at_ms, low), NOTHING
        key = key_of(self.code, at.id, at_ms, fact.digest)
        causes: dict[str, object] = {"battery": battery_share(fact), "below": self._settings.below, "alarm": alarm}
        return PowerState(key, at_ms, at_ms, low), (of_fix(self.code, key, at.id, fact, causes),)
