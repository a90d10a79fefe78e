"""Is a worker on duty? Pure computation over weekly plans and exceptions, in the site's time zone.

A plan row says "on this weekday from … to …" for days in [valid_from, valid_to); an end at or before the start means
the next day. Exceptions replace the plan of their day: `off`, or other times. A shift belongs to the day it begins on.
Once a worker's first plan has begun, time outside of shifts is off duty; before that (or without any plan) the time is
unplanned, which counts as on duty for keeping positions only.
"""

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from devices.records import Duty

_KEPT_DAYS = 64


class PlanRow(NamedTuple):
    """A line of the weekly plan. weekday 1 = Monday … 7; times in minutes of the day; days as proleptic ordinals."""

    weekday: int
    starts_min: int
    ends_min: int
    valid_from: int
    valid_to: int | None = None


class DayShift(NamedTuple):
    """Times of one shift of an exceptional day, in minutes of the day."""

    starts_min: int
    ends_min: int


class WorkerShifts:
    """Plan and exceptions of one worker (or of all workers who share a plan); answers are kept a day at a time.

    exceptions: day ordinal → shifts of that day (empty: off). Safe to share between threads.
    """

    __slots__ = ("_days", "_first_day", "exceptions", "plan", "zone")

    def __init__(self, plan: tuple[PlanRow, ...], exceptions: dict[int, tuple[DayShift, ...]], zone: ZoneInfo) -> None:
        self.plan = plan
        self.exceptions = exceptions
        self.zone = zone
        self._first_day = min((row.valid_from for row in plan), default=None)
        self._days: dict[int, tuple[Duty, ...]] = {}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WorkerShifts):
            return NotImplemented
        return (self.plan, self.exceptions, self.zone) == (other.plan, other.exceptions, other.zone)

    __hash__ = None  # type: ignore[assignment]

    def duty_at(self, at_ms: int) -> Duty:
        """The duty interval that holds at_ms."""
        day = day_of(at_ms, self.zone)
        duties = self._days.get(day)
        if duties is None:
            if len(self._days) >= _KEPT_DAYS:
                self._days = {}
            duties = self._days[day] = self._duties(day)
        for duty in duties:
            if at_ms < duty.until_ms:
                return duty
        raise AssertionError("the duties of a day reach its end")

    def shifts_between(self, since_ms: int, until_ms: int) -> list[tuple[int, int]]:
        """All planned shifts that overlap [since_ms, until_ms), whole, in order of their beginning."""
        days = range(day_of(since_ms, self.zone) - 1, day_of(until_ms, self.zone) + 1)
        found = [shift for day in days for shift in self.shifts_of(day)]
        return [shift for shift in found if shift[0] < until_ms and shift[1] > since_ms]

    def shifts_of(self, day: int) -> list[tuple[int, int]]:
        """The shifts that begin on a day (proleptic ordinal), as (start_ms, end_ms), sorted."""
        exception = self.exceptions.get(day)
        if exception is not None:
            times = [(shift.starts_min, shift.ends_min) for shift in exception]
        else:
            weekday = (day - 1) % 7 + 1
            times = [
                (row.starts_min, row.ends_min)
                for row in self.plan
                if row.weekday == weekday and row.valid_from <= day and (row.valid_to is None or day < row.valid_to)
            ]
        instants = [
            (instant_ms(day, starts, self.zone), instant_ms(day + (ends <= starts), ends, self.zone))
            for starts, ends in times
        ]
        return sorted(shift for shift in instants if shift[0] < shift[1])

    def _duties(self, day: int) -> tuple[Duty, ...]:
        """The duty intervals that touch a day of the site, in order, without holes."""
        shifts = [shift for near in range(day - 2, day + 2) for shift in self.shifts_of(near)]
        midnight, next_midnight = instant_ms(day, 0, self.zone), instant_ms(day + 1, 0, self.zone)
        edges = {edge for shift in shifts for edge in shift}
        free = self._free(day)
        duties = []
        at = midnight
        while at < next_midnight:
            if any(start <= at < end for start, end in shifts):
                since = max(edge for edge in edges if edge <= at)
                until = min(edge for edge in edges if edge > at)
                duties.append(Duty(True, True, since, until))
            else:
                since = max((edge for edge in edges if midnight <= edge <= at), default=midnight)
                until = min((edge for edge in edges if at < edge <= next_midnight), default=next_midnight)
                duties.append(Duty(*free, since, until))
            at = until
        return tuple(duties)

    def _free(self, day: int) -> tuple[bool, bool]:
        """(on, planned) of the time outside of shifts on a day."""
        planned = day in self.exceptions or (self._first_day is not None and day >= self._first_day)
        return (False, True) if planned else (True, False)


def day_of(at_ms: int, zone: ZoneInfo) -> int:
    """Proleptic ordinal of the site's day at an instant."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return at.astimezone(zone).toordinal()


def instant_ms(day: int, minute: int, zone: ZoneInfo) -> int:
    """Instant of a minute (0–1440) of a day (proleptic ordinal) on the site's clock."""
    base = date.fromordinal(day + minute // 1440)
    local = datetime(base.year, base.month, base.day, minute % 1440 // 60, minute % 60, tzinfo=zone)
    return int(local.timestamp()) * 1000
