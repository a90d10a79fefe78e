"""TRK-01 SOS pressed or fall: every alarm fix, at any age. Presses close to each other are one event with a count."""

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.episodes import Episodes, occur
from alerts.rules.evidence import battery_share, of_fix
from core.fix import AlarmCode, StoredFix

_ALARMS = {int(AlarmCode.SOS): "sos", int(AlarmCode.FALL): "fall"}


class SosSettings(BaseModel):
    """TRK-01."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    merge_s: float = Field(default=600, ge=0, description="Presses within this time of each other are one event.")


class SosState(msgspec.Struct, frozen=True, array_like=True):
    """episodes: the last bursts of presses."""

    episodes: Episodes = ()


class Sos(Rule[SosState, StoredFix]):
    """Opens at once; never ends by itself."""

    code = "TRK-01"

    def __init__(self, settings: SosSettings) -> None:
        self.start = SosState()
        self._merge_ms = round(settings.merge_s * 1000)

    def step(self, state: SosState, fact: StoredFix, at: Context) -> tuple[SosState, Findings]:
        alarm = _ALARMS.get(fact.alarm or 0)
        if alarm is None:
            return state, NOTHING
        key = key_of(self.code, at.id, fact.fixed_at_ms, fact.digest)
        finding = of_fix(self.code, key, at.id, fact, {"alarm": alarm, "battery": battery_share(fact)})
        episodes, findings = occur(state.episodes, finding, self._merge_ms)
        return SosState(episodes), findings
