"""POS-06 repeated charge: same card, service and amount within 5 min at a terminal, both approved and not reversed.

A reversal is a record with result `reversed` for the same card, service and amount, and usually follows at once: a
pair waits `settle_s` for it before it becomes an event. Records may arrive in any order.
"""

import hashlib

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.evidence import LATE_MS
from core.event import Finding
from core.reading import ResultCode, ServiceCode, StoredReading

_KEPT = 64


class RepeatedSettings(BaseModel):
    """POS-06."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    within_s: float = Field(default=300, gt=0, description="The same charge again within this time is a repeated one.")
    settle_s: float = Field(default=30, ge=0, description="Wait this long for a reversal before an event is opened.")


class Charge(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An approved charge. what: digest of card, service and amount (the card's token itself is not kept here)."""

    what: int
    at_ms: int
    digest: int
    seq: int


class Pair(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Two equal charges that wait for a reversal until due_ms (our time)."""

    what: int
    first: Charge
    second: Charge
    due_ms: int
    amount_fen: int
    service: str
    boot: str
    late: bool


class RepeatedState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """charges: the newest approved ones, by time; reversals: (what, at) of the newest; pairs: waiting."""

    charges: tuple[Charge, ...] = ()
    reversals: tuple[tuple[int, int], ...] = ()
    pairs: tuple[Pair, ...] = ()


class Repeated(Rule[RepeatedState, StoredReading]):
    """`step` finds pairs, `tick` opens those that were not reversed."""

    code = "POS-06"

    def __init__(self, settings: RepeatedSettings) -> None:
        self.start = RepeatedState()
        self._within_ms = round(settings.within_s * 1000)
        self._settle_ms = round(settings.settle_s * 1000)

    def step(self, state: RepeatedState, fact: StoredReading, at: Context) -> tuple[RepeatedState, Findings]:
        if fact.card_ref is None or fact.amount_fen is None:
            return state, NOTHING
        if fact.result == ResultCode.REVERSED:
            return self._reversed(state, fact), NOTHING
        if fact.result == ResultCode.APPROVED:
            return self._approved(state, fact), NOTHING
        return state, NOTHING

    def due_ms(self, state: RepeatedState) -> int | None:
        return min((pair.due_ms for pair in state.pairs), default=None)

    def tick(self, state: RepeatedState, at: Context) -> tuple[RepeatedState, Findings]:
        ripe = [pair for pair in state.pairs if pair.due_ms <= at.now_ms]
        waiting = tuple(pair for pair in state.pairs if pair.due_ms > at.now_ms)
        return msgspec.structs.replace(state, pairs=waiting), tuple(self._finding(pair, at) for pair in ripe)

    def _finding(self, pair: Pair, at: Context) -> Finding:
        key = key_of(self.code, at.id, pair.second.at_ms, pair.second.digest)
        causes: dict[str, object] = {
            "amount_fen": pair.amount_fen,
            "service": pair.service,
            "apart_s": (pair.second.at_ms - pair.first.at_ms) / 1000,
        }
        evidence: tuple[dict[str, object], ...] = tuple(
            {"kind": "record", "at_ms": charge.at_ms, "boot": pair.boot, "seq": charge.seq}
            for charge in (pair.first, pair.second)
        )
        return Finding(
            "open", self.code, key, at.id, pair.second.at_ms, late=pair.late, causes=causes, evidence=evidence
        )

    def _reversed(self, state: RepeatedState, fact: StoredReading) -> RepeatedState:
        """Takes back one charge: the later one of the newest waiting pair, whose first stands alone again, else one."""
        what = _what(fact)
        reversals = (*state.reversals, (what, fact.at_ms))[-_KEPT:]
        pair = next((p for p in reversed(state.pairs) if p.what == what and self._near(p.second, fact)), None)
        if pair is not None:
            others = (c for c in state.charges if c not in (pair.first, pair.second))
            charges = sorted((*others, pair.first), key=lambda c: c.at_ms)
            return RepeatedState(tuple(charges), reversals, tuple(p for p in state.pairs if p is not pair))
        gone = next((c for c in reversed(state.charges) if c.what == what and self._near(c, fact)), None)
        return RepeatedState(tuple(c for c in state.charges if c is not gone), reversals, state.pairs)

    def _near(self, charge: Charge, fact: StoredReading) -> bool:
        return abs(charge.at_ms - fact.at_ms) <= self._within_ms

    def _approved(self, state: RepeatedState, fact: StoredReading) -> RepeatedState:
        what = _what(fact)
        for reversal in state.reversals:
            if reversal[0] == what and 0 <= reversal[1] - fact.at_ms <= self._within_ms:
                kept = tuple(r for r in state.reversals if r is not reversal)
                return RepeatedState(state.charges, kept, state.pairs)  # its reversal arrived before it
        new = Charge(what, fact.at_ms, fact.digest, fact.seq)
        others = [c for c in state.charges if c.what == what and self._near(c, fact)]
        pairs = state.pairs
        charges = list(state.charges)
        if others:
            other = min(others, key=lambda c: abs(c.at_ms - new.at_ms))
            first, second = sorted((other, new), key=lambda c: c.at_ms)
            late = fact.received_at_ms - fact.at_ms > LATE_MS
            service = ServiceCode(fact.service).name.lower() if fact.service is not None else "other"
            due_ms = fact.received_at_ms + self._settle_ms
            pair = Pair(what, first, second, due_ms, fact.amount_fen or 0, service, fact.boot, late)
            pairs = (*pairs, pair)[-_KEPT:]
            charges.remove(other)
        charges.append(new)
        charges.sort(key=lambda c: c.at_ms)
        newest = charges[-1].at_ms
        kept_charges = tuple(c for c in charges[-_KEPT:] if newest - c.at_ms <= 2 * self._within_ms)
        return RepeatedState(kept_charges, state.reversals, pairs)


def _what(fact: StoredReading) -> int:
    text = f"{fact.card_ref}|{fact.service}|{fact.amount_fen}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "big")
