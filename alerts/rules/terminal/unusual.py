"""POS-05 unusual for this terminal: an amount, a rate or an hour that its own last weeks do not know.

Quiet until four weeks are known. A city sees 200,000 transactions in 1,000 terminal-days, so each figure is set to be
wrong less than once in a million: amount over 4 × its third largest of the last weeks; rate in 10 min over
λ + 8·√(λ + 1 + spread²), λ from the same hours of the four weeks before (and at least 3 λ, at least 25); hour: at least
three transactions within an hour in which nothing was sold on any of the last 28 days, where those saw 500 sales in all
(of a terminal that sells less, an empty hour of the day may be chance).
"""

from bisect import insort
from math import sqrt

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.episodes import Episodes, occur
from alerts.rules.evidence import of_record
from alerts.rules.terminal.profile import (
    HOUR_MS,
    WEEK,
    Profile,
    counted,
    ever_at_this_hour,
    in_days_before,
    usual_largest_fen,
    usual_rate,
)
from core.reading import KindCode, StoredReading

_RECENT = 96


class UnusualSettings(BaseModel):
    """POS-05."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    known_weeks: float = Field(default=4.0, ge=1, description="History that a terminal needs before it is judged.")
    known_transactions: int = Field(default=200, ge=1, description="Transactions that it needs as well.")
    amount_times: float = Field(default=4.0, gt=1, description="Times its third largest amount that is unusual.")
    rate_sigmas: float = Field(default=8.0, gt=0, description="Spreads above the usual rate that are unusual.")
    rate_times: float = Field(default=3.0, gt=1, description="Times the usual rate that it must be at least.")
    rate_least: int = Field(
        default=25, ge=2, description="Least number of transactions in ten minutes for an unusual rate."
    )
    hour_transactions: int = Field(
        default=3, ge=1, description="Transactions within a never used hour that are unusual."
    )
    hour_known: int = Field(default=500, ge=1, description="Sales in 28 days that make an unused hour mean something.")
    merge_s: float = Field(default=3600, ge=0, description="Occurrences of a kind within this time are one event.")


class UnusualState(msgspec.Struct, frozen=True, array_like=True):
    """recent: device times of the newest transactions, sorted."""

    profile: Profile = Profile()
    recent: tuple[int, ...] = ()
    episodes: dict[str, Episodes] = {}


class Unusual(Rule[UnusualState, StoredReading]):
    """Judges each transaction against the profile before it, then adds it."""

    code = "POS-05"

    def __init__(self, settings: UnusualSettings) -> None:
        self.start = UnusualState()
        self._settings = settings
        self._merge_ms = round(settings.merge_s * 1000)

    def step(self, state: UnusualState, fact: StoredReading, at: Context) -> tuple[UnusualState, Findings]:
        if fact.kind != KindCode.TRANSACTION:
            return state, NOTHING
        recent = list(state.recent)
        insort(recent, fact.at_ms)
        profile, episodes, findings = state.profile, state.episodes, NOTHING
        if self.is_known(profile, fact.at_ms):
            for what, causes in self._unusual(profile, recent, fact):
                key = key_of(self.code, at.id, fact.at_ms, fact.digest, what)
                finding = of_record(self.code, key, at.id, fact, {"unusual": what, **causes})
                burst, found = occur(episodes.get(what, ()), finding, self._merge_ms)
                episodes, findings = {**episodes, what: burst}, (*findings, *found)
        profile = counted(profile, fact.at_ms, fact.amount_fen or 0)
        return UnusualState(profile, tuple(recent[-_RECENT:]), episodes), findings

    def is_known(self, profile: Profile, at_ms: int) -> bool:
        """Whether enough is known of the terminal to judge it."""
        weeks = (at_ms // HOUR_MS - profile.first_hour) / WEEK
        enough = profile.transactions >= self._settings.known_transactions
        return bool(profile.first_hour) and enough and weeks >= self._settings.known_weeks

    def _unusual(self, profile: Profile, recent: list[int], fact: StoredReading) -> list[tuple[str, dict[str, object]]]:
        wanted, hour = self._settings, fact.at_ms // HOUR_MS
        found: list[tuple[str, dict[str, object]]] = []
        largest = usual_largest_fen(profile)
        amount = fact.amount_fen or 0
        if largest and amount > wanted.amount_times * largest:
            times = round(amount / largest, 1)
            found.append(("amount", {"amount_fen": amount, "usual_largest_fen": largest, "times": times}))
        in_ten_min = sum(fact.at_ms - 600_000 < t <= fact.at_ms for t in recent)
        if in_ten_min >= wanted.rate_least:
            usual, spread = usual_rate(profile, hour)
            usual, spread = usual / 6, spread / 6
            limit = max(wanted.rate_times * usual, usual + wanted.rate_sigmas * sqrt(usual + 1 + spread**2))
            if in_ten_min > limit:
                causes: dict[str, object] = {"in_10_min": in_ten_min, "usual_in_10_min": round(usual, 1)}
                found.append(("rate", {**causes, "limit_in_10_min": round(limit, 1)}))
        in_hour = sum(t // HOUR_MS == hour for t in recent)
        known = in_hour >= wanted.hour_transactions and in_days_before(profile, hour) >= wanted.hour_known
        if known and not ever_at_this_hour(profile, hour):
            found.append(("hour", {"transactions": in_hour, "usual_transactions": 0, "hour_utc": hour % 24}))
        return found
