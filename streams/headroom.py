"""Room on the disk of a media root: what there is, what footage leaves alone, and for how many days the rest lasts."""

import os
from dataclasses import dataclass
from pathlib import Path

from streams.cleaner_settings import LAW_DAYS, CleanerSettings

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system. free: bytes that we may still write (without what is reserved for root)."""

    free: int
    total: int


def disk_of(folder: Path) -> Disk:
    """The file system that a folder lies on; blocking for some microseconds. Raises OSError."""
    found = os.statvfs(folder)
    return Disk(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def headroom(total: int, settings: CleanerSettings) -> int:
    """Bytes that footage never takes of a file system of `total` bytes: recorders stop before it."""
    return max(settings.headroom_bytes, round(total * settings.headroom_share))


@dataclass(frozen=True, slots=True)
class Stock:
    """What a root holds and how fast it grows. Bytes, bytes a second."""

    main_bytes: int
    sub_bytes: int
    protected_bytes: int
    main_rate: float
    sub_rate: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """days_possible: of main footage that the disk can hold, None while nothing is recorded. days_left: until main
    footage younger than wanted must go; None: never at this rate."""

    days_possible: float | None
    days_left: float | None


def outlook(disk: Disk, stock: Stock, settings: CleanerSettings) -> Outlook:
    """How long footage can be kept at the present rate; pure.

    What goes first when room is short (streams.cleaner) decides: sub-stream footage gives way to main footage of the
    days that the law wants, not to older one.
    """
    usable = max(0, disk.free - headroom(disk.total, settings))
    capacity = usable + max(0, stock.main_bytes + stock.sub_bytes - stock.protected_bytes)
    main_day, sub_day = stock.main_rate * DAY_S, stock.sub_rate * DAY_S
    if not main_day:
        return Outlook(None, None)
    beside_sub = (capacity - sub_day * settings.sub_days) / main_day
    law = min(LAW_DAYS, settings.main_days)
    possible = max(beside_sub, min(law, capacity / main_day))
    if possible >= settings.main_days:
        return Outlook(possible, None)
    most = max(possible * main_day, 0.0)
    return Outlook(possible, max(0.0, (most - stock.main_bytes) / main_day))
