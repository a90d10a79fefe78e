"""POS-07 missing records: a hole in a boot's seq that was not filled within 24 h of being noticed.

A hole lies between two seqs of one boot that arrived; what came before a boot's first seq is not judged. Duplicates and
records out of order change nothing but fill holes. A hole that is filled later ends its event.
"""

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.evidence import ended
from core.event import Finding
from core.reading import StoredReading

_MOST_BOOTS = 6
_MOST_HOLES = 64


class MissingSettings(BaseModel):
    """POS-07."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    after_s: float = Field(default=86_400, gt=0, description="A hole not filled for this long opens an event.")


class Hole(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Missing seqs [first, last]. at_ms: device time of the record behind it; noticed_ms: when that was received."""

    first: int
    last: int
    at_ms: int
    noticed_ms: int
    digest: int
    key: str = ""


class Boot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One power cycle: least and greatest seq that arrived, and the holes between."""

    id: str
    least: int
    greatest: int
    holes: tuple[Hole, ...] = ()


class MissingState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The newest boots (by first arrival), those with holes kept the longest."""

    boots: tuple[Boot, ...] = ()


class Missing(Rule[MissingState, StoredReading]):
    """`step` notes and fills holes, `tick` opens events."""

    code = "POS-07"

    def __init__(self, settings: MissingSettings) -> None:
        self.start = MissingState()
        self._after_ms = round(settings.after_s * 1000)

    def step(self, state: MissingState, fact: StoredReading, at: Context) -> tuple[MissingState, Findings]:
        boots = state.boots
        if boots and boots[-1].id == fact.boot:
            index, boot = len(boots) - 1, boots[-1]
        else:
            index, boot = next(
                ((i, b) for i, b in enumerate(boots) if b.id == fact.boot),
                (len(boots), Boot(fact.boot, fact.seq, fact.seq)),
            )
        grown, findings = self._arrived(boot, fact, at)
        if grown is boot and index < len(boots):
            return state, findings
        return MissingState(_kept((*boots[:index], grown, *boots[index + 1 :]))), findings

    def due_ms(self, state: MissingState) -> int | None:
        return min(
            (hole.noticed_ms + self._after_ms for boot in state.boots for hole in boot.holes if not hole.key),
            default=None,
        )

    def tick(self, state: MissingState, at: Context) -> tuple[MissingState, Findings]:
        findings: list[Finding] = []
        boots = []
        for boot in state.boots:
            holes = []
            for hole in boot.holes:
                if not hole.key and at.now_ms - hole.noticed_ms >= self._after_ms:
                    finding = self._finding(boot, hole, at)
                    findings.append(finding)
                    hole = msgspec.structs.replace(hole, key=finding.key)
                holes.append(hole)
            boots.append(msgspec.structs.replace(boot, holes=tuple(holes)))
        return MissingState(tuple(boots)), tuple(findings)

    def _finding(self, boot: Boot, hole: Hole, at: Context) -> Finding:
        key = key_of(self.code, at.id, hole.at_ms, hole.digest, f"{boot.id}/{hole.first}")
        causes: dict[str, object] = {
            "boot": boot.id,
            "first_missing": hole.first,
            "last_missing": hole.last,
            "missing": hole.last - hole.first + 1,
        }
        link: dict[str, object] = {"kind": "record", "at_ms": hole.at_ms, "boot": boot.id, "seq": hole.last + 1}
        return Finding("open", self.code, key, at.id, hole.at_ms, causes=causes, evidence=(link,))

    def _arrived(self, boot: Boot, fact: StoredReading, at: Context) -> tuple[Boot, Findings]:
        seq = fact.seq
        if boot.least <= seq <= boot.greatest:
            return self._filled(boot, fact, at) if boot.holes else (boot, NOTHING)
        first, last = (boot.greatest + 1, seq - 1) if seq > boot.greatest else (seq + 1, boot.least - 1)
        holes = boot.holes
        if first <= last:
            holes = (*holes, Hole(first, last, fact.at_ms, fact.received_at_ms, fact.digest))[-_MOST_HOLES:]
        return Boot(boot.id, min(boot.least, seq), max(boot.greatest, seq), holes), NOTHING

    def _filled(self, boot: Boot, fact: StoredReading, at: Context) -> tuple[Boot, Findings]:
        seq = fact.seq
        hole = next((h for h in boot.holes if h.first <= seq <= h.last), None)
        if hole is None:
            return boot, NOTHING
        parts = [
            msgspec.structs.replace(hole, first=first, last=last)
            for first, last in ((hole.first, seq - 1), (seq + 1, hole.last))
            if first <= last
        ]
        if len(parts) == 2 and hole.key:
            parts[1] = msgspec.structs.replace(parts[1], key=hole.key)
        holes = (*(h for h in boot.holes if h is not hole), *parts)
        still_missing = any(h.key == hole.key for h in holes)
        over = ended(self.code, hole.key, at.id, fact.received_at_ms, {"filled": True})
        findings = (over,) if hole.key and not still_missing else NOTHING
        return Boot(boot.id, boot.least, boot.greatest, holes), findings


def _kept(boots: tuple[Boot, ...]) -> tuple[Boot, ...]:
    """At most _MOST_BOOTS; the oldest without holes goes first, and never the newest."""
    while len(boots) > _MOST_BOOTS:
        gone = next((b for b in boots[:-1] if not b.holes), boots[0])
        boots = tuple(b for b in boots if b is not gone)
    return boots
