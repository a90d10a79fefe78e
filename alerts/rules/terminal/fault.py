"""POS-03 fault or out of paper: one event a failing part; ends when the terminal says that the part is well.

Well means: paper `ok` or `low` after `out`; a fault record of the part with one of the codes in `ok_codes`; or the
terminal goes on reporting for `quiet_s` without repeating the fault (terminals repeat a fault while it lasts).
"""

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.evidence import ended, of_record
from core.reading import KindCode, PaperCode, StoredReading

_PAPER = "paper"
_MOST_PARTS = 16


class FaultSettings(BaseModel):
    """POS-03."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ok_codes: tuple[str, ...] = Field(
        default=("ok", "none", "clear", "cleared", "0", "00", ""), description="Fault codes that say: well again."
    )
    quiet_s: float = Field(default=1800, gt=0, description="Reporting for this long without the fault, a part is well.")


class Failing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A part that fails. last_ms: newest record that says so."""

    part: str
    key: str
    last_ms: int


class FaultState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """failing: open ones. ended: part → when it was last well (older records say nothing)."""

    failing: tuple[Failing, ...] = ()
    well: tuple[tuple[str, int], ...] = ()


class Fault(Rule[FaultState, StoredReading]):
    """Judges records in order of their time, part by part."""

    code = "POS-03"

    def __init__(self, settings: FaultSettings) -> None:
        self.start = FaultState()
        self._ok = frozenset(code.lower() for code in settings.ok_codes)
        self._quiet_ms = settings.quiet_s * 1000

    def step(self, state: FaultState, fact: StoredReading, at: Context) -> tuple[FaultState, Findings]:
        findings: Findings = NOTHING
        if fact.kind == KindCode.FAULT:
            part = (fact.component or "terminal").lower()
            ok = fact.code is not None and fact.code.strip().lower() in self._ok
            state, findings = self._say(state, fact, at, part, ok)
        elif fact.paper is not None and (state.failing or fact.paper == PaperCode.OUT):
            state, findings = self._say(state, fact, at, _PAPER, fact.paper != PaperCode.OUT)
        for failing in state.failing:
            if failing.part != _PAPER and fact.at_ms - failing.last_ms > self._quiet_ms:
                state = _without(state, failing.part, failing.last_ms)
                findings = (*findings, ended(self.code, failing.key, at.id, fact.at_ms, {"not_repeated": True}))
        return state, findings

    def _say(
        self, state: FaultState, fact: StoredReading, at: Context, part: str, ok: bool
    ) -> tuple[FaultState, Findings]:
        now = next((failing for failing in state.failing if failing.part == part), None)
        if ok:
            if now is None or fact.at_ms <= now.last_ms:
                return state, NOTHING
            return _without(state, part, fact.at_ms), (ended(self.code, now.key, at.id, fact.at_ms),)
        if fact.at_ms <= dict(state.well).get(part, 0):
            return state, NOTHING
        others = tuple(failing for failing in state.failing if failing.part != part)
        if now is not None:
            again = Failing(part, now.key, max(now.last_ms, fact.at_ms))
            return FaultState((*others, again), state.well), NOTHING
        key = key_of(self.code, at.id, fact.at_ms, fact.digest, part)
        causes: dict[str, object] = {"part": part, "code": fact.code} if part != _PAPER else {"paper": "out"}
        failing = Failing(part, key, fact.at_ms)
        return FaultState((*others, failing)[-_MOST_PARTS:], state.well), (
            of_record(self.code, key, at.id, fact, causes),
        )


def _without(state: FaultState, part: str, well_ms: int) -> FaultState:
    well = {**dict(state.well), part: well_ms}
    newest = sorted(well.items(), key=lambda item: item[1])[-_MOST_PARTS:]
    return FaultState(tuple(f for f in state.failing if f.part != part), tuple(newest))
