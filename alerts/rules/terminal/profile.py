"""What is usual at a terminal: transactions in each hour of the last five weeks, and its largest amounts.

Hours are absolute (hours since the epoch) in a ring of 5 × 168 one-byte counters, so "the same hour of the week" is a
step of 168; there is no daylight saving in China, and elsewhere the error is one hour twice a year. Large amounts are
kept as the `LARGEST` biggest of each half of the time, so that one outlier never is the yardstick.
"""

import statistics

import msgspec

HOUR_MS = 3_600_000
WEEK = 168
RING = 5 * WEEK
LARGEST = 8
_HALF_HOURS = 4 * WEEK


class Profile(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """first_hour/last_hour: range of hours that was seen (0: nothing yet). hours: ring by hour % RING.

    large/older: biggest amounts in fen, of the running and of the finished four weeks, ascending.
    """

    first_hour: int = 0
    last_hour: int = 0
    hours: bytes = bytes(RING)
    transactions: int = 0
    large: tuple[int, ...] = ()
    older: tuple[int, ...] = ()
    half_since_hour: int = 0


def counted(profile: Profile, at_ms: int, amount_fen: int, count: int = 1) -> Profile:
    """The profile with `count` more transactions in that hour, the largest of `amount_fen`."""
    hour = at_ms // HOUR_MS
    first, last, hours = profile.first_hour or hour, profile.last_hour or hour, profile.hours
    if hour <= last - RING:
        return profile
    if hour > last:
        ring = bytearray(hours)
        for skipped in range(max(last + 1, hour - RING + 1), hour + 1):
            ring[skipped % RING] = 0
        hours, last = bytes(ring), hour
    index = hour % RING
    hours = hours[:index] + bytes((min(255, hours[index] + count),)) + hours[index + 1 :]
    large, older, since = profile.large, profile.older, profile.half_since_hour or hour
    if hour - since >= _HALF_HOURS:
        large, older, since = (), large, hour
    if len(large) < LARGEST or amount_fen > large[0]:
        large = tuple(sorted((*large, amount_fen))[-LARGEST:])
    return Profile(min(first, hour), last, hours, profile.transactions + count, large, older, since)


def hour_count(profile: Profile, hour: int) -> int:
    """Transactions in an absolute hour; 0 outside of what is kept."""
    if not profile.last_hour - RING < hour <= profile.last_hour or hour < profile.first_hour:
        return 0
    return profile.hours[hour % RING]


def same_hours(profile: Profile, hour: int) -> list[int]:
    """Transactions in this hour of the week and its neighbours, in each of the four weeks before."""
    return [hour_count(profile, hour - week * WEEK + near) for week in range(1, 5) for near in (-1, 0, 1)]


def usual_rate(profile: Profile, hour: int) -> tuple[float, float]:
    """(a high but usual count an hour, its robust spread): third largest of `same_hours`, and their scaled MAD."""
    counts = sorted(same_hours(profile, hour))
    median = statistics.median(counts)
    spread = 1.4826 * statistics.median(abs(count - median) for count in counts)
    return float(counts[-3]), spread


def ever_at_this_hour(profile: Profile, hour: int) -> bool:
    """Whether the terminal sold anything at this hour of the day in the 28 days before."""
    return any(hour_count(profile, hour - 24 * day) for day in range(1, 29))


def in_days_before(profile: Profile, hour: int) -> int:
    """Transactions in the 28 days before an hour."""
    return sum(hour_count(profile, h) for h in range(hour - 4 * WEEK, hour))


def usual_largest_fen(profile: Profile) -> int | None:
    """Third largest amount of the last four to eight weeks; None while there are too few."""
    amounts = sorted((*profile.large, *profile.older))
    return amounts[-3] if len(amounts) >= LARGEST else None
