"""Which anomalies happen to whom and when: the plan that both fleets draw from the seed before the first step.

A device gets at most one anomaly in two hours (and none soon after a long one), so that every finding has one cause.
Kinds that cannot outlast their threshold within the run are left out unless they are asked for by name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np

from simulators.errors import SimulatorError
from simulators.truth import MARGIN_S

SETTLE_S = 12.0
"""No anomaly begins in the first seconds: the device has to be seen well first."""
WINDOW_S = 7200.0
EARLY_S = 40.0
OPENING_S = 4.0
"""The opening anomalies follow each other within so many seconds."""
TRIES = 60
"""Devices that are tried for an anomaly of one kind before the kind is left out."""

Suits = Callable[[str, int, float, float], bool]
"""(kind, device index, begin, end in seconds of the run): whether the device can have it then, e.g. is on duty."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When a kind's condition counts. lead_s: the longest way from the order to the condition (riding out of the grid).

    lasts_s: least and most seconds after the lead; near_s: the same of a near miss, None where there is none.
    delay_s: the longest time until the order is looked at, no part of lasts_s (terminals think in minutes).
    at_start: the condition exists from the first second of the run. never: it is always a near miss.
    settle_s: the device has to be seen well for so long before.
    """

    threshold_s: float
    lasts_s: tuple[float, float]
    near_s: tuple[float, float] | None = None
    lead_s: float = 0.0
    delay_s: float = 0.0
    at_start: bool = False
    never: bool = False
    settle_s: float = SETTLE_S


class Kind(Protocol):
    """What planning must know of a kind."""

    @property
    def code(self) -> str:
        """Event code, e.g. TRK-02."""

    @property
    def timing(self) -> Timing:
        """When it counts."""


@dataclass(frozen=True, slots=True)
class AnomalyMix:
    """rate: share of devices with an anomaly in each two hours (or in the run, when it is shorter), 0–1.

    kinds: only these (None: all that fit). near_miss: their share. early: share that begins within the first 40 s.
    opening: kinds that certainly happen once, as soon as the run begins (where the fleet has such a kind).
    """

    rate: float = 0.1
    kinds: frozenset[str] | None = None
    near_miss: float = 0.2
    early: float = 0.0
    opening: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "AnomalyMix":
        """`none`, `0.1`, or `0.1:sos,silent`. Raises SimulatorError."""
        if text == "none":
            return cls(0.0)
        rate, _, names = text.partition(":")
        try:
            share = float(rate)
        except ValueError:
            share = -1.0
        if not 0.0 <= share <= 1.0:
            raise SimulatorError(f"--anomalies takes none, a share from 0 to 1, or 0.1:sos,silent; not {text!r}")
        return cls(share, frozenset(names.split(",")) if names else None)


@dataclass(frozen=True, slots=True)
class Planned:
    """Anomaly `kind` of device `index`, from begin_s seconds after the run's start for lasts_s (lead included)."""

    kind: str
    index: int
    begin_s: float
    lasts_s: float
    near_miss: bool

    def end_s(self, seconds: float) -> float:
        """When it is over in a run of so many seconds."""
        return min(self.begin_s + self.lasts_s, seconds)


def plan(
    kinds: Mapping[str, Kind],
    eligible: Mapping[str, Sequence[int]],
    mix: AnomalyMix,
    seconds: float,
    rng: np.random.Generator,
    suits: Suits = lambda kind, index, begin_s, end_s: True,
) -> list[Planned]:
    """Draw the run's anomalies in order of begin_s; each kind gets about as many devices as every other.

    eligible: the device indices that a kind may happen to. Raises SimulatorError for an unknown kind.
    """
    for name in mix.kinds or ():
        if name not in kinds:
            raise SimulatorError(f"unknown anomaly {name!r}; known are {', '.join(sorted(kinds))}")
    planned: list[Planned] = []
    for window in range(max(1, int(seconds // WINDOW_S))):
        opens = window * WINDOW_S
        closes = seconds if opens + 2 * WINDOW_S > seconds else opens + WINDOW_S
        busy = {one.index for one in planned if one.begin_s + one.lasts_s + WINDOW_S / 2 > opens}
        planned += _plan_window(kinds, eligible, mix, (opens, closes, seconds), busy, rng, suits)
    return sorted(planned, key=lambda one: one.begin_s)


def _plan_window(
    kinds: Mapping[str, Kind],
    eligible: Mapping[str, Sequence[int]],
    mix: AnomalyMix,
    span: tuple[float, float, float],
    busy: set[int],
    rng: np.random.Generator,
    suits: Suits,
) -> list[Planned]:
    """Anomalies beginning within (opens, closes) of a run of so many seconds, of devices that are not busy."""
    opens, _, seconds = span
    usable = [
        name
        for name, kind in kinds.items()
        if not (opens and kind.timing.at_start)
        and (name in mix.kinds if mix.kinds else _fits(kind.timing, seconds - opens))
    ]
    everyone = sorted({index for name in usable for index in eligible[name]})
    free = [everyone[i] for i in rng.permutation(len(everyone)) if everyone[i] not in busy]
    wanted = round(mix.rate * len(everyone))
    allowed = {name: set(eligible[name]) for name in usable}
    planned: list[Planned] = []
    for name in (name for name in mix.opening if name in usable and not opens):
        tries = (_opening(name, i, kinds[name].timing, rng) for i in free if i in allowed[name])
        drawn = next((one for one in tries if suits(name, one.index, one.begin_s, one.end_s(seconds))), None)
        if drawn is not None:
            free.remove(drawn.index)
            planned.append(drawn)
    while usable and len(planned) < wanted:
        for name in list(usable):
            drawn = None
            if len(planned) < wanted:
                own = islice((i for i in free if i in allowed[name]), TRIES)
                tries = (_draw(name, i, kinds[name].timing, mix, span, rng) for i in own)
                drawn = next((one for one in tries if suits(name, one.index, one.begin_s, one.end_s(seconds))), None)
            if drawn is None:
                usable.remove(name)
                continue
            free.remove(drawn.index)
            planned.append(drawn)
    return planned


def _fits(timing: Timing, seconds: float) -> bool:
    start = 0.0 if timing.at_start else SETTLE_S
    return start + timing.delay_s + timing.lead_s + timing.threshold_s + MARGIN_S + SETTLE_S <= seconds


def _draw(
    name: str,
    index: int,
    timing: Timing,
    mix: AnomalyMix,
    span: tuple[float, float, float],
    rng: np.random.Generator,
) -> Planned:
    near = timing.never or (timing.near_s is not None and rng.random() < mix.near_miss)
    low, high = timing.near_s if near and timing.near_s is not None else timing.lasts_s
    lasts = timing.lead_s + float(rng.uniform(low, high))
    needs = timing.delay_s + (lasts if near else timing.lead_s + timing.threshold_s + MARGIN_S + SETTLE_S)
    opens, closes, seconds = span
    first = max(timing.settle_s, opens)
    last = EARLY_S if rng.random() < mix.early and not opens else min(closes, seconds - needs)
    begin = 0.0 if timing.at_start else float(rng.uniform(first, max(first, last)))
    return Planned(name, index, begin, lasts, near)


def _opening(name: str, index: int, timing: Timing, rng: np.random.Generator) -> Planned:
    """As soon as the device was seen well, and never a near miss."""
    lasts = timing.lead_s + float(rng.uniform(*timing.lasts_s))
    begin = timing.settle_s and timing.settle_s + float(rng.uniform(0.0, OPENING_S))
    return Planned(name, index, begin, lasts, near_miss=False)
