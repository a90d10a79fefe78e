"""Due times on the working calendar, and the time in which silence counts."""

from datetime import date, datetime, time

import pytest
from pydantic import ValidationError

from alerts.limits import WorkingCalendar, due_ms
from alerts.ready_time import ReadyTime
from tests.support.city import ZONE

CALENDAR = WorkingCalendar()


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp() * 1000)


@pytest.mark.parametrize(
    ("start", "limit", "due"),
    [
        ("2026-11-24T23:50", (30, "min"), "2026-11-25T00:20"),
        ("2026-11-24T10:00", (4, "h"), "2026-11-24T14:00"),
        ("2026-11-24T10:00", (1, "wh"), "2026-11-24T11:00"),
        ("2026-11-24T11:30", (1, "wh"), "2026-11-24T13:30"),
        ("2026-11-24T16:30", (1, "wh"), "2026-11-25T09:30"),
        ("2026-11-24T03:00", (1, "wh"), "2026-11-24T10:00"),
        ("2026-11-27T16:00", (4, "wh"), "2026-11-30T12:00"),
        ("2026-11-24T10:00", (1, "wd"), "2026-11-25T10:00"),
        ("2026-11-27T10:00", (1, "wd"), "2026-11-30T10:00"),
        ("2026-11-28T10:00", (2, "wd"), "2026-12-01T17:00"),
    ],
)
def test_due(start: str, limit: tuple[int, str], due: str) -> None:
    assert due_ms(ms(start), limit, CALENDAR, ZONE) == ms(due)  # type: ignore[arg-type]


def test_days_off_and_adjusted_workdays() -> None:
    calendar = WorkingCalendar(days_off=(date(2026, 10, 1), date(2026, 10, 2)), extra_days=(date(2026, 10, 3),))
    assert due_ms(ms("2026-09-30T16:30"), (1, "wh"), calendar, ZONE) == ms("2026-10-03T09:30")


def test_hours_must_be_in_order() -> None:
    with pytest.raises(ValidationError):
        WorkingCalendar(hours=((time(9), time(12)), (time(11), time(17))))


def test_ready_time_counts_unions_without_their_first_two_minutes() -> None:
    minute = 60_000
    ready = ReadyTime([(0, 10 * minute), (5 * minute, 20 * minute), (60 * minute, 80 * minute)])
    assert ready.counted_ms(0, 100 * minute) == 18 * minute + 18 * minute
    assert ready.counted_ms(15 * minute, 63 * minute) == 5 * minute + 1 * minute
    assert ready.counted_ms(30 * minute, 62 * minute) == 0
    assert ReadyTime().counted_ms(0, minute) == 0
