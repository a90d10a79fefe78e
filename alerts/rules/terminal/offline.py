"""POS-01 terminal offline: no record received for 5 min, counting only time in which we could listen.

Any record of any lane is a sign of life. A terminal that never sent anything is not judged.
"""

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.evidence import ended
from core.event import Finding
from core.reading import StoredReading


class OfflineSettings(BaseModel):
    """POS-01."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after_s: float = Field(default=300, gt=0, description="Without a record for this long opens an event.")


class OfflineState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """seen_ms: newest record received; digest: of that record. hushed: part of a mass silence. check_ms: not before."""

    seen_ms: int = 0
    digest: int = 0
    key: str = ""
    hushed: bool = False
    check_ms: int = 0


class Offline(Rule[OfflineState, StoredReading]):
    """An absence rule: `tick` opens, `step` ends."""

    code = "POS-01"

    def __init__(self, settings: OfflineSettings) -> None:
        self.start = OfflineState()
        self._after_ms = round(settings.after_s * 1000)

    def step(self, state: OfflineState, fact: StoredReading, at: Context) -> tuple[OfflineState, Findings]:
        received = fact.received_at_ms
        if received <= state.seen_ms:
            return state, NOTHING
        over = (ended(self.code, state.key, at.id, received),) if state.key else NOTHING
        return OfflineState(received, fact.digest), over

    def due_ms(self, state: OfflineState) -> int | None:
        if not state.seen_ms or state.key or state.hushed:
            return None
        return max(state.check_ms, state.seen_ms + self._after_ms)

    def tick(self, state: OfflineState, at: Context) -> tuple[OfflineState, Findings]:
        counted_ms = at.ready_ms(state.seen_ms, at.now_ms)
        if counted_ms < self._after_ms:
            later = at.now_ms + max(1000, self._after_ms - counted_ms)
            return msgspec.structs.replace(state, check_ms=later), NOTHING
        key = key_of(self.code, at.id, state.seen_ms, state.digest)
        causes: dict[str, object] = {"silent_s": (at.now_ms - state.seen_ms) // 1000}
        finding = Finding("open", self.code, key, at.id, state.seen_ms, causes=causes)
        return msgspec.structs.replace(state, key=key), (finding,)

    def contact_ms(self, state: OfflineState) -> int:
        """Newest contact; 0 for none. For judging a mass silence."""
        return state.seen_ms

    def hush(self, state: OfflineState, hushed: bool) -> OfflineState:
        """The state as part of a mass silence (nothing is said until the next contact), or no longer so."""
        return msgspec.structs.replace(state, hushed=hushed, check_ms=0)

    def is_hushed(self, state: OfflineState) -> bool:
        """Whether the device is silent as part of a mass silence."""
        return state.hushed
