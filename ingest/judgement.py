"""What admission judges by, and how it judges times and ranges, in words for a device's developer. Pure.

Sources: design §4 (retention, 5 min), handsets §4. A GPS receiver's week counter has 10 bits, so a broken one reports
dates 1024 weeks (7168 days) or twice that early; a time that lies within a day of such a distance is repaired.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, ClassVar, Final

import msgspec

from core.errors import InvalidInput
from ingest.settings import AdmissionSettings
from store.settings import RetentionSettings

DAY_MS: Final = 86_400_000
_ROLL_OVERS_MS: Final = (7168 * DAY_MS, 14_336 * DAY_MS)

Range = tuple[str, float, float]


class Inadmissible(InvalidInput):
    """A record that is decoded but cannot be stored as a fact. `why`: class of the reason, counted by metrics."""

    kind: ClassVar[str] = "inadmissible"

    def __init__(self, why: str, reason: str) -> None:
        super().__init__(reason)
        self.why = why


class Row(msgspec.Struct, frozen=True, gc=False):
    """A packed row on its way to the store, and what else is asked of it. lat/lon: as stored (None when stripped)."""

    data: bytes
    lane: int
    at_ms: int
    flags: int
    lat: float | None
    lon: float | None
    battery: float | None


@dataclass(frozen=True, slots=True)
class Judge:
    """The policy of admission with times in milliseconds. digest_key: the store's, at most 64 bytes."""

    digest_key: bytes
    fix_retention_ms: int
    pos_retention_ms: int
    future_ms: int
    backfill_ms: int
    sos_keeps_ms: int
    strips: bool
    south: float
    west: float
    north: float
    east: float
    _keyed: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_keyed", blake2b(digest_size=8, key=self.digest_key))

    def digest(self, content: bytes) -> bytes:
        """The keyed 64-bit digest of a decoded content, as core.ids.digest64; the key is hashed in once only."""
        keyed = self._keyed.copy()
        keyed.update(content)
        digest: bytes = keyed.digest()
        return digest

    @classmethod
    def of(cls, settings: AdmissionSettings, retention: RetentionSettings, digest_key: bytes) -> "Judge":
        """The policy that the settings say; what retention would drop at once is not taken."""
        south, west, north, east = settings.country
        return cls(
            digest_key=digest_key[:64],
            fix_retention_ms=retention.fixes_days * DAY_MS,
            pos_retention_ms=retention.pos_days * DAY_MS,
            future_ms=round(settings.future_s * 1000),
            backfill_ms=round(settings.backfill_after_s * 1000),
            sos_keeps_ms=round(settings.sos_keeps_min * 60_000),
            strips=settings.off_duty == "strip",
            south=south,
            west=west,
            north=north,
            east=east,
        )

    def repaired_ms(self, name: str, sent_ms: int, received_ms: int, retention_ms: int) -> int:
        """The true time of one outside [received - retention, received + future]; raises Inadmissible if unknown."""
        for roll_over_ms in _ROLL_OVERS_MS:
            true_ms = sent_ms + roll_over_ms
            if abs(received_ms - true_ms) <= DAY_MS and true_ms <= received_ms + self.future_ms:
                return true_ms
        since_ms, until_ms = received_ms - retention_ms, received_ms + self.future_ms
        for unit, times_ms in (("seconds", sent_ms * 1000), ("microseconds", sent_ms // 1000)):
            if since_ms <= times_ms <= until_ms:
                raise Inadmissible("time_unit", f"{name} looks like {unit}; send epoch milliseconds")
        if since_ms <= sent_ms // 1_000_000 <= until_ms:
            raise Inadmissible("time_unit", f"{name} looks like nanoseconds; send epoch milliseconds")
        if sent_ms > until_ms:
            ahead = _span(sent_ms - received_ms)
            raise Inadmissible("time_future", f"{name} is {ahead} in the future; set the device's clock")
        raise Inadmissible(
            "time_past",
            f"{name} is {_span(received_ms - sent_ms)} old; records are taken for {retention_ms // DAY_MS} days",
        )


def instant_ms(name: str, value: int | datetime) -> int:
    """Epoch milliseconds of a time as sent (floored); raises Inadmissible for a time without offset."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise Inadmissible("time_naive", f"{name} has no offset; send RFC 3339 with Z or +08:00, or milliseconds")
        try:
            return round(value.replace(microsecond=0).timestamp()) * 1000 + value.microsecond // 1000
        except OverflowError:
            raise Inadmissible("time_past", f"{name} is out of range") from None
    return value


def range_fault(record: msgspec.Struct, ranges: Iterable[Range]) -> Inadmissible:
    """The first field of `record` outside its range (NaN is outside), as the error to raise."""
    for name, least, most in ranges:
        value = getattr(record, name)
        if value is not None and not least <= value <= most:
            return Inadmissible("range", f"{name}: expected {_number(least)} to {_number(most)}")
    return Inadmissible("range", "a value is out of range")


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() else f"{value:g}"


def _span(milliseconds: int) -> str:
    for name, size_ms in (("days", DAY_MS), ("hours", 3_600_000), ("minutes", 60_000)):
        if milliseconds >= 2 * size_ms:
            return f"{milliseconds // size_ms} {name}"
    return f"{milliseconds // 1000} seconds"
