"""POS-02 tampered or moved: a tamper record at any age, or a location farther from the site than it may err."""

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.episodes import Episodes, occur
from alerts.rules.evidence import of_record
from core.place import distance_m
from core.reading import KindCode, StoredReading


class TamperSettings(BaseModel):
    """POS-02."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    moved_m: float = Field(default=200, gt=0, description="Farther from its site than this, a terminal was moved.")
    merge_s: float = Field(default=3600, ge=0, description="Occurrences within this time are one event.")


class TamperState(msgspec.Struct, frozen=True, array_like=True):
    """The last bursts, of tampering and of wrong places."""

    tampered: Episodes = ()
    moved: Episodes = ()


class Tamper(Rule[TamperState, StoredReading]):
    """Opens at once; never ends by itself."""

    code = "POS-02"

    def __init__(self, settings: TamperSettings) -> None:
        self.start = TamperState()
        self._moved_m = settings.moved_m
        self._merge_ms = round(settings.merge_s * 1000)

    def step(self, state: TamperState, fact: StoredReading, at: Context) -> tuple[TamperState, Findings]:
        if fact.kind == KindCode.TAMPER:
            key = key_of(self.code, at.id, fact.at_ms, fact.digest, "tamper")
            finding = of_record(self.code, key, at.id, fact, {"kind": "tamper", "sensor": fact.sensor})
            episodes, findings = occur(state.tampered, finding, self._merge_ms)
            return TamperState(episodes, state.moved), findings
        if fact.lat is None or fact.lon is None:
            return state, NOTHING
        site = at.site(fact.at_ms)
        if site is None or site.lat is None or site.lon is None:
            return state, NOTHING
        off_m = distance_m(site.lat, site.lon, fact.lat, fact.lon)
        if off_m <= self._moved_m:
            return state, NOTHING
        key = key_of(self.code, at.id, fact.at_ms, fact.digest, "moved")
        causes: dict[str, object] = {"kind": "moved", "moved_m": round(off_m), "allowed_m": self._moved_m}
        episodes, findings = occur(state.moved, of_record(self.code, key, at.id, fact, causes), self._merge_ms)
        return TamperState(state.tampered, episodes), findings
