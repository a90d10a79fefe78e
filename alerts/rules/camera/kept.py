"""REC-02 kept under 30 days: at the measured rate, footage younger than it must be kept will have to go, said ahead.

The subject is a media root. Ends when what is wanted fits again.
"""

import msgspec
from pydantic import Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.camera.counting import Counts, appended, ends, opens
from alerts.rules.camera.evidence import is_older, number, of_camera
from alerts.rules.evidence import ended
from core.camera import KindCode, StoredCameraFact

_FIGURES = (
    "days_left",
    "days_possible",
    "days_wanted",
    "kept_days",
    "free_bytes",
    "total_bytes",
    "written_bytes_per_s",
)


class KeptSettings(Counts):
    """REC-02."""

    bad: int = Field(default=2, ge=1, le=16, description="Measurements that open, of the last `of`.")
    of: int = Field(default=3, ge=1, le=16, description="Measurements that are looked at.")
    warn_days: float = Field(
        default=3, ge=0, le=30, description="Days ahead that too little room is said, before footage has to go."
    )
    back_days: float = Field(
        default=1, ge=0, le=30, description="Days more than `warn_days` that must be left before it ends."
    )


class KeptState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """marks: 1 too little room, 0 enough, 2 between (says nothing). since_ms: first of those that count."""

    heard_ms: int = 0
    marks: tuple[int, ...] = ()
    since_ms: int = 0
    key: str = ""


class Kept(Rule[KeptState, StoredCameraFact]):
    """Judges measurements in order of their time."""

    code = "REC-02"

    def __init__(self, settings: KeptSettings) -> None:
        self.start = KeptState()
        self._settings = settings

    def step(self, state: KeptState, fact: StoredCameraFact, at: Context) -> tuple[KeptState, Findings]:
        if fact.kind != KindCode.STORAGE or is_older(fact, state.heard_ms):
            return state, NOTHING
        marks = appended(state.marks, self._mark(fact))
        since_ms = (state.since_ms or fact.at_ms) if 1 in marks[-self._settings.of :] else 0
        key, findings = state.key, NOTHING
        figures = {name: _short(value) for name in _FIGURES if (value := number(fact, name)) is not None}
        if not key and opens(marks, 1, self._settings):
            key = key_of(self.code, at.id, since_ms, fact.digest)
            causes: dict[str, object] = {**figures, "warn_days": self._settings.warn_days}
            findings = (of_camera(self.code, key, at.id, fact, causes, since_ms),)
        elif key and ends(marks, self._settings):
            findings = (ended(self.code, key, at.id, fact.at_ms, {f"{n}_at_end": v for n, v in figures.items()}),)
            key, marks, since_ms = "", (), 0
        return KeptState(fact.at_ms, marks, since_ms, key), findings

    def _mark(self, fact: StoredCameraFact) -> int:
        left = number(fact, "days_left")
        if left is None:
            return 0
        if left <= self._settings.warn_days:
            return 1
        return 0 if left > self._settings.warn_days + self._settings.back_days else 2


def _short(value: float) -> object:
    return int(value) if value == int(value) else round(value, 3)
