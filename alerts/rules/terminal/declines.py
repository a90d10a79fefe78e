"""POS-04 declines in a burst: at least 5 within 10 min by the records' own time, in whatever order they arrive."""

from bisect import bisect_left, bisect_right, insort

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.episodes import Episodes, occur
from alerts.rules.evidence import of_record
from core.event import Finding
from core.reading import ResultCode, StoredReading

_KEPT = 64


class DeclinesSettings(BaseModel):
    """POS-04."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(default=5, ge=2, description="So many declines …")
    within_s: float = Field(default=600, gt=0, description="… within this time open an event.")


class DeclinesState(msgspec.Struct, frozen=True, array_like=True):
    """times: device times of the newest declines, sorted."""

    times: tuple[int, ...] = ()
    episodes: Episodes = ()


class Declines(Rule[DeclinesState, StoredReading]):
    """Opens with the decline that completes a burst; further ones of the burst count up."""

    code = "POS-04"

    def __init__(self, settings: DeclinesSettings) -> None:
        self.start = DeclinesState()
        self._count = settings.count
        self._within_ms = round(settings.within_s * 1000)

    def step(self, state: DeclinesState, fact: StoredReading, at: Context) -> tuple[DeclinesState, Findings]:
        if fact.result != ResultCode.DECLINED:
            return state, NOTHING
        times = list(state.times)
        insort(times, fact.at_ms)
        burst = self._burst(times, fact.at_ms)
        kept = tuple(times[-_KEPT:])
        if len(burst) < self._count:
            return DeclinesState(kept, state.episodes), NOTHING
        key = key_of(self.code, at.id, fact.at_ms, fact.digest)
        causes: dict[str, object] = {
            "declines": len(burst),
            "within_s": (burst[-1] - burst[0]) // 1000,
            "last_code": fact.decline_code,
        }
        found = of_record(self.code, key, at.id, fact, causes)
        finding = Finding(
            found.kind, found.code, key, at.id, burst[0], found.lat, found.lon, found.late, causes, found.evidence
        )
        episodes, findings = occur(state.episodes, finding, self._within_ms)
        return DeclinesState(kept, episodes), findings

    def _burst(self, times: list[int], at_ms: int) -> list[int]:
        """The most times within one window that holds `at_ms`."""
        best: list[int] = []
        for start in times[bisect_left(times, at_ms - self._within_ms) : bisect_right(times, at_ms)]:
            window = times[bisect_left(times, start) : bisect_right(times, start + self._within_ms)]
            if len(window) > len(best):
                best = window
        return best
