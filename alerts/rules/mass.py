"""DQ-01 mass silence: over 20 % of a division's devices of a kind fell silent within 2 min: one event, not hundreds.

It is the network or the power, not the devices. Facts come from alerts.absence, when absence rules find devices silent:
how many of those that were active shortly before have their last contact close together. Devices of it are hushed: they
get no event of their own for this silence. It is over when at most 20 % are still silent; those are then judged singly.
"""

import msgspec

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.data import DataSettings
from alerts.rules.evidence import ended
from core.event import Finding


class SilentTogether(msgspec.Struct, frozen=True, gc=False):
    """Devices of one kind that fell silent together. contact_ms: last contact of the first; active: before it."""

    kind: str
    contact_ms: int
    first: int
    silent: int
    active: int


class MassOf(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A mass silence that lasts. members: keys of the devices that were found silent so far."""

    kind: str
    key: str
    contact_ms: int
    active: int
    members: tuple[int, ...] = ()


class MassState(msgspec.Struct, frozen=True, array_like=True):
    """Mass silences that last, at most one a kind of device."""

    running: tuple[MassOf, ...] = ()


class Mass(Rule[MassState, SilentTogether]):
    """Driven by alerts.absence."""

    code = "DQ-01"

    def __init__(self, settings: DataSettings) -> None:
        self.start = MassState()
        self._settings = settings
        self.within_ms = round(settings.mass_within_s * 1000)

    def step(self, state: MassState, fact: SilentTogether, at: Context) -> tuple[MassState, Findings]:
        enough = max(self._settings.mass_least - 1, self._settings.mass_share * fact.active)
        if fact.silent <= enough or self.of(state, fact.kind) is not None:
            return state, NOTHING
        key = key_of(self.code, at.id, fact.contact_ms, fact.first, f"mass/{fact.kind}")
        causes: dict[str, object] = {
            "kind": "mass_silence",
            "devices": fact.kind,
            "silent": fact.silent,
            "active_before": fact.active,
        }
        running = (*state.running, MassOf(fact.kind, key, fact.contact_ms, fact.active))
        return MassState(running), (Finding("open", self.code, key, at.id, fact.contact_ms, causes=causes),)

    def of(self, state: MassState, kind: str) -> MassOf | None:
        """The mass silence of a kind of device that lasts."""
        return next((mass for mass in state.running if mass.kind == kind), None)

    def belongs(self, mass: MassOf, contact_ms: int) -> bool:
        """Whether a device with that last contact fell silent with the others."""
        return abs(contact_ms - mass.contact_ms) <= self.within_ms

    def joined(self, state: MassState, mass: MassOf, device: int) -> MassState:
        """The state with one more silent device."""
        grown = msgspec.structs.replace(mass, members=(*mass.members, device))
        return MassState(tuple(grown if m is mass else m for m in state.running))

    def is_over(self, mass: MassOf, still_silent: int) -> bool:
        """Whether so few are still silent that it is over."""
        return still_silent <= self._settings.mass_share * mass.active

    def finished(self, state: MassState, mass: MassOf, now_ms: int, at: Context) -> tuple[MassState, Findings]:
        """The state without it, and its end."""
        over = ended(self.code, mass.key, at.id, now_ms, {"silent_devices": len(mass.members)})
        return MassState(tuple(m for m in state.running if m is not mass)), (over,)
