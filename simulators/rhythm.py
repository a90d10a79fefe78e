"""What is usual at a terminal: its services, amounts, and how many transactions each hour of its week sees.

The profile depends on the terminal's id alone, not on a run's seed: the past that `history` makes up and the present
that `terminals` sends are of the same terminal. Hours are local (UTC+8, no daylight saving).
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

LOCAL_OFFSET_MS = 8 * 3_600_000
WEEK_HOURS = 168

AMOUNTS_FEN: dict[str, tuple[int, ...] | tuple[int, float]] = {
    "electricity": (5_000, 10_000, 10_000, 15_000, 20_000, 30_000),
    "water": (4_500, 0.4),
    "gas": (6_200, 0.4),
    "phone": (3_000, 5_000, 5_000, 10_000, 20_000),
    "tv": (2_600, 5_200, 26_000, 31_200),
    "insurance": (35_000, 38_000, 40_000),
    "pension": (10_000, 20_000, 30_000, 50_000),
    "cash": (10_000, 20_000, 50_000, 100_000),
    "other": (2_000, 0.6),
}
"""Fixed denominations, or (median, sigma of the logarithm) of metered amounts."""

_MONDAY_MS = 4 * 86_400_000
"""1970-01-05 was a Monday."""


@dataclass(frozen=True, slots=True)
class Profile:
    """services with their shares (sum 1); per_hour: expected transactions in each of 168 local hours of the week."""

    services: tuple[str, ...]
    shares: tuple[float, ...]
    per_hour: tuple[float, ...]

    def rate_per_hour(self, at_ms: int) -> float:
        """Expected transactions an hour at an instant (epoch milliseconds)."""
        return self.per_hour[hour_of_week(at_ms)]

    def largest_fen(self) -> int:
        """No usual amount of this terminal's services is larger."""
        return max(_largest_fen(service) for service in self.services)

    def service(self, rng: random.Random) -> str:
        """A service as often as it is used here."""
        return rng.choices(self.services, self.shares)[0]


def hour_of_week(at_ms: int) -> int:
    """0 = Monday 00:00–01:00 local time, to 167."""
    return (at_ms + LOCAL_OFFSET_MS - _MONDAY_MS) // 3_600_000 % WEEK_HOURS


def profile_of(terminal_id: str, services: Sequence[str]) -> Profile:
    """The terminal's profile: 50–300 transactions a working day, two daily peaks, closed from 21:00 to 07:00."""
    rng = random.Random(f"rhythm:{terminal_id}")
    offered = tuple(services) or ("electricity", "water", "phone")
    raw = [rng.uniform(0.3, 1.0) for _ in offered]
    daily = rng.uniform(50.0, 300.0)
    morning, afternoon = rng.uniform(8.5, 10.5), rng.uniform(14.5, 18.5)
    opens, closes = rng.choice((7, 8)), rng.choice((19, 20, 21))
    weekend = rng.uniform(0.4, 1.1)
    shape = [
        (0.15 + _peak(hour, morning) + 0.8 * _peak(hour, afternoon)) if opens <= hour < closes else 0.0
        for hour in range(24)
    ]
    scale = daily / sum(shape)
    per_hour = tuple(shape[h % 24] * scale * (weekend if h >= 120 else 1.0) for h in range(WEEK_HOURS))
    return Profile(offered, tuple(value / sum(raw) for value in raw), per_hour)


def _peak(hour: int, centre: float) -> float:
    return float(1.0 / (1.0 + ((hour + 0.5 - centre) / 1.5) ** 2))


def _largest_fen(service: str) -> int:
    amounts = AMOUNTS_FEN[service]
    spread = amounts[1]
    return math.ceil(amounts[0] * math.exp(2.5 * spread)) if isinstance(spread, float) else int(max(amounts))


def amount_fen(service: str, rng: random.Random) -> int:
    """A usual amount of a service, in fen; metered amounts stay within e^±2.5σ of their median."""
    amounts = AMOUNTS_FEN[service]
    spread = amounts[1]
    if isinstance(spread, float):
        return round(amounts[0] * math.exp(spread * max(-2.5, min(2.5, rng.gauss(0.0, 1.0)))))
    return int(rng.choice(amounts))


def card_ref(rng: random.Random) -> str:
    """An opaque token of letters only, so that no card check can take it for a number."""
    return "tok_" + "".join(rng.choices("abcdefghijkmnpqrstuvwxyz", k=20))
