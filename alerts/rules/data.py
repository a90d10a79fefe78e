"""DQ-01 bad data of a division: over 5 % refused of at least 100 in 10 min. (Mass silence: alerts.absence; stuck
cursors: alerts.cursors.)

The facts are tallies that the engine makes of each slice; minutes are by our own receiving time.
"""

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.evidence import ended
from core.event import Finding

_MINUTE_MS = 60_000


class DataSettings(BaseModel):
    """DQ-01."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    refused_share: float = Field(
        default=0.05, gt=0, lt=1, description="Refused share above which a division's data is bad."
    )
    least: int = Field(default=100, ge=1, description="Least number of inputs in the window.")
    window_min: int = Field(default=10, ge=1, le=120, description="Window in minutes.")
    mass_share: float = Field(
        default=0.20, gt=0, lt=1, description="Share of a division's devices silent together: mass."
    )
    mass_least: int = Field(default=3, ge=2, description="Least number of devices of a mass silence.")
    mass_within_s: float = Field(
        default=120, gt=0, description="Devices that fell silent within this time belong together."
    )
    stuck_s: float = Field(
        default=600, gt=0, description="A cursor with waiting facts that has not moved for so long is stuck."
    )


class Tally(msgspec.Struct, frozen=True, gc=False):
    """Inputs of one division in one slice. at_ms: receiving time of the newest."""

    at_ms: int
    accepted: int
    refused: int


class DataState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """minutes: (minute, accepted, refused), newest last."""

    minutes: tuple[tuple[int, int, int], ...] = ()
    key: str = ""


class Data(Rule[DataState, Tally]):
    """Opens when the share passes the limit, ends when it is below half of it (or the window is empty)."""

    code = "DQ-01"

    def __init__(self, settings: DataSettings) -> None:
        self.start = DataState()
        self._settings = settings

    def step(self, state: DataState, fact: Tally, at: Context) -> tuple[DataState, Findings]:
        minute = fact.at_ms // _MINUTE_MS
        counts = {m: (a, r) for m, a, r in state.minutes}
        accepted, refused = counts.get(minute, (0, 0))
        counts[minute] = (accepted + fact.accepted, refused + fact.refused)
        newest = max(counts)
        kept = tuple(sorted((m, a, r) for m, (a, r) in counts.items() if m > newest - self._settings.window_min))
        return self._judge(kept, state.key, fact.at_ms, at)

    def due_ms(self, state: DataState) -> int | None:
        if not state.key or not state.minutes:
            return None
        return (state.minutes[-1][0] + self._settings.window_min) * _MINUTE_MS

    def tick(self, state: DataState, at: Context) -> tuple[DataState, Findings]:
        over = (ended(self.code, state.key, at.id, at.now_ms),) if state.key else NOTHING
        return DataState(), over

    def _judge(
        self, minutes: tuple[tuple[int, int, int], ...], key: str, at_ms: int, at: Context
    ) -> tuple[DataState, Findings]:
        accepted, refused = sum(a for _, a, _ in minutes), sum(r for _, _, r in minutes)
        total, limit = accepted + refused, self._settings.refused_share
        if not key and total >= self._settings.least and refused > limit * total:
            key = key_of(self.code, at.id, at_ms // _MINUTE_MS * _MINUTE_MS, 0, "refused")
            causes: dict[str, object] = {"kind": "refused", "refused": refused, "of": total, "limit_share": limit}
            return DataState(minutes, key), (
                Finding("open", self.code, key, at.id, minutes[0][0] * _MINUTE_MS, causes=causes),
            )
        if key and refused <= limit * total / 2:
            return DataState(minutes), (
                ended(self.code, key, at.id, at_ms, {"refused_at_end": refused, "of_at_end": total}),
            )
        return DataState(minutes, key), NOTHING
