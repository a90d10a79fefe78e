"""SEC-01 credential abuse: 10 refusals in 5 min of one device, claimed id or peer; or a card number was sent.

Each refusal counts for who was claimed (the device, else the claimed id) and for the peer's address. While the claimed
one is over the limit, the peer is not reported for the same refusals. Subjects are chosen by attackers: the engine
forgets those that were quiet (`forget_ms`).
"""

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.episodes import Episodes, occur
from core.event import Finding
from store.facts import StoredSecurityFact

_QUIET_MS = 60_000


class SecuritySettings(BaseModel):
    """SEC-01."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    refusals: int = Field(default=10, ge=2, description="So many refusals …")
    within_s: float = Field(default=300, gt=0, description="… within this time open an event.")
    merge_s: float = Field(default=3600, ge=0, description="Further refusals within this time are the same event.")


class SecurityState(msgspec.Struct, frozen=True, array_like=True):
    """times: of the newest refusals, at most as many as the limit."""

    times: tuple[int, ...] = ()
    refused: Episodes = ()
    cards: Episodes = ()


class Security(Rule[SecurityState, StoredSecurityFact]):
    """Opens at once; never ends by itself."""

    code = "SEC-01"

    def __init__(self, settings: SecuritySettings) -> None:
        self.start = SecurityState()
        self._settings = settings
        self._within_ms = settings.within_s * 1000
        self._merge_ms = round(settings.merge_s * 1000)

    def step(self, state: SecurityState, fact: StoredSecurityFact, at: Context) -> tuple[SecurityState, Findings]:
        about: dict[str, object] = {"kind": fact.kind, "peer": fact.peer, "claimed": fact.claimed, "via": fact.via}
        if is_card(fact):
            key = key_of(self.code, at.id, fact.at_ms, fact.id, "card")
            finding = Finding("open", self.code, key, at.id, fact.at_ms, causes={**about, "kind": "card_number"})
            cards, findings = occur(state.cards, finding, self._merge_ms)
            return SecurityState(state.times, state.refused, cards), findings
        times = tuple(sorted((*state.times, fact.at_ms))[-self._settings.refusals :])
        if len(times) < self._settings.refusals or times[-1] - times[0] > self._within_ms:
            return SecurityState(times, state.refused, state.cards), NOTHING
        key = key_of(self.code, at.id, fact.at_ms, fact.id, "refused")
        causes = {**about, "refusals": len(times), "within_s": (times[-1] - times[0]) // 1000}
        finding = Finding("open", self.code, key, at.id, times[0], causes=causes)
        refused, findings = occur(state.refused, finding, self._merge_ms, _QUIET_MS)
        return SecurityState(times, refused, state.cards), findings

    def is_over(self, state: SecurityState, at_ms: int) -> bool:
        """Whether this subject is over the limit now, so that its peer need not be reported too."""
        return bool(state.refused) and at_ms - state.refused[-1].last_ms <= self._within_ms

    def forget_ms(self, state: SecurityState) -> int:
        """When nothing of this state matters any more."""
        newest = [*state.times[-1:], *(e.last_ms for e in (*state.refused, *state.cards))]
        return max(newest, default=0) + self._merge_ms


def is_card(fact: StoredSecurityFact) -> bool:
    """Whether the fact says that a card number was sent."""
    return fact.kind.startswith("card")


def subjects_of(fact: StoredSecurityFact, device_id: str | None) -> tuple[str, ...]:
    """Whom a fact counts for: who was claimed first, then the peer's address (without its port)."""
    claimed = device_id or fact.claimed
    names = [] if claimed is None else [claimed]
    if fact.peer and not is_card(fact):
        host = fact.peer.rsplit(":", 1)[0] if fact.peer.count(":") == 1 else fact.peer
        names.append(f"peer:{host}")
    return tuple(names)  # none: a sum of refusals that ingestion counted together, each named before
