"""REC-03 disk fault or full: footage cannot be written to a media root; ends when writing has gone well for a while."""

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.camera.evidence import is_older, number, of_camera, word
from alerts.rules.evidence import ended
from core.camera import KindCode, StoredCameraFact


class DiskSettings(BaseModel):
    """REC-03."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ok_s: float = Field(default=60, ge=0, description="Writing must have gone well for so long before it ends.")


class DiskState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """heard_ms: newest word about it. well_ms: since when it writes again, while the event is open."""

    heard_ms: int = 0
    key: str = ""
    well_ms: int = 0


class Disk(Rule[DiskState, StoredCameraFact]):
    """`step` opens, `tick` ends: a disk that fails again within `ok_s` has never been well."""

    code = "REC-03"

    def __init__(self, settings: DiskSettings) -> None:
        self.start = DiskState()
        self._ok_ms = round(settings.ok_s * 1000)

    def step(self, state: DiskState, fact: StoredCameraFact, at: Context) -> tuple[DiskState, Findings]:
        if fact.kind != KindCode.DISK or is_older(fact, state.heard_ms):
            return state, NOTHING
        if word(fact, "state") == "ok":
            well_ms = (state.well_ms or fact.at_ms) if state.key else 0
            return DiskState(fact.at_ms, state.key, well_ms), NOTHING
        if state.key:
            return DiskState(fact.at_ms, state.key), NOTHING
        since_ms = min(round(number(fact, "since_ms") or fact.at_ms), fact.at_ms)
        key = key_of(self.code, at.id, since_ms, fact.digest)
        causes: dict[str, object] = {"error": word(fact, "error")}
        return DiskState(fact.at_ms, key), (of_camera(self.code, key, at.id, fact, causes, since_ms),)

    def due_ms(self, state: DiskState) -> int | None:
        return state.well_ms + self._ok_ms if state.well_ms else None

    def tick(self, state: DiskState, at: Context) -> tuple[DiskState, Findings]:
        return DiskState(state.heard_ms), (ended(self.code, state.key, at.id, state.well_ms),)
