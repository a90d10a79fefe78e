"""When an event is due: clock hours, or working hours and days on a minimal calendar of settings."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

_CLOCK_MS = {"min": 60_000, "h": 3_600_000}
_LONGEST_SEARCH_DAYS = 400


class WorkingCalendar(BaseModel):
    """When people work, in the site's time zone. A working day ("wd") is the length of `hours`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hours: tuple[tuple[time, time], ...] = Field(
        default=((time(9), time(12)), (time(13), time(17))), description="Working hours of a day, in order."
    )
    weekdays: tuple[int, ...] = Field(default=(1, 2, 3, 4, 5), description="Working weekdays, 1 = Monday.")
    days_off: tuple[date, ...] = Field(default=(), description="Days off that would be working days.")
    extra_days: tuple[date, ...] = Field(default=(), description="Adjusted workdays (调休) that would be days off.")

    @model_validator(mode="after")
    def _in_order(self) -> "WorkingCalendar":
        edges = [edge for begin, end in self.hours for edge in (begin, end)]
        if not edges or any(a >= b for a, b in pairwise(edges)):
            raise ValueError("working hours must be spans in order that do not touch, such as [['09:00','17:00']]")
        if not self.weekdays and not self.extra_days:
            raise ValueError("there must be a working day")
        return self

    def is_workday(self, day: date) -> bool:
        """Whether people work on that day."""
        if day in self.extra_days:
            return True
        return day.isoweekday() in self.weekdays and day not in self.days_off


def due_ms(
    from_ms: int, limit: tuple[int, Literal["min", "h", "wh", "wd"]], calendar: WorkingCalendar, zone: ZoneInfo
) -> int:
    """The instant (epoch milliseconds) at which a limit that starts at `from_ms` is over."""
    amount, unit = limit
    if unit in _CLOCK_MS:
        return from_ms + amount * _CLOCK_MS[unit]
    day_s = sum(_seconds(end) - _seconds(begin) for begin, end in calendar.hours)
    return _after_working_ms(from_ms, amount * (day_s if unit == "wd" else 3600), calendar, zone)


def _seconds(at: time) -> int:
    return at.hour * 3600 + at.minute * 60 + at.second


def _after_working_ms(from_ms: int, seconds: float, calendar: WorkingCalendar, zone: ZoneInfo) -> int:
    start = datetime.fromtimestamp(from_ms / 1000, UTC).astimezone(zone)
    left = timedelta(seconds=seconds)
    for ahead in range(_LONGEST_SEARCH_DAYS):
        day = start.date() + timedelta(days=ahead)
        if not calendar.is_workday(day):
            continue
        for begin, end in calendar.hours:
            opens = max(datetime.combine(day, begin, zone), start)
            closes = datetime.combine(day, end, zone)
            if opens >= closes:
                continue
            if left <= closes - opens:
                return round((opens + left).timestamp() * 1000)
            left -= closes - opens
    return from_ms + round(seconds * 1000)  # a calendar without work for a year: the clock alone
