"""Values of imported cells: from text (or a JSON value) to what is stored, with errors in plain words.

A parser takes the stripped text and returns the value, or raises ValueError with the reason as a person would say it.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from typing import NamedTuple
from zoneinfo import ZoneInfo

from devices.equipment import DEVICE_ID, RESERVED_IDS

Parser = Callable[[str], object]

_WEEKDAYS = {**{str(n): n for n in range(1, 8)}, **{c: n for n, c in enumerate("一二三四五六日", 1)}, "天": 7}
_WEEKDAY_SPAN = re.compile(r"([1-7一二三四五六日天])(?:[-–~至到]([1-7一二三四五六日天]))?")


class Field(NamedTuple):
    """A column of an import. required: no row may lack it; default: the value of an empty cell.

    secret: what stands in a cell is never told, not even when it is wrong.
    """

    parse: Parser
    required: bool = False
    default: object = None
    secret: bool = False


def text(most: int = 200) -> Parser:
    """Any text up to so many characters, without control characters."""

    def parse(value: str) -> str:
        if len(value) > most:
            raise ValueError(f"is longer than {most} characters")
        if not value.isprintable():
            raise ValueError("holds characters that cannot be printed")
        return value

    return parse


def identifier(value: str) -> str:
    """An id of ours: 1 to 64 characters without spaces."""
    if len(value) > 64 or not value.isprintable() or any(c.isspace() for c in value):
        raise ValueError("must be 1 to 64 characters without spaces")
    return value


def device_id(value: str) -> str:
    """A device id."""
    if not DEVICE_ID.fullmatch(value):
        raise ValueError("must be 1 to 64 letters, digits, '_', '.', ':' or '-', beginning with a letter or digit")
    if value in RESERVED_IDS:
        raise ValueError(f"is reserved (wangge/v1/{value}/# are the topics of grid events)")
    return value


def digits(least: int, most: int) -> Parser:
    """A code of digits; a spreadsheet that turned it into a number like 4.31102E+14 is named."""

    def parse(value: str) -> str:
        if re.fullmatch(r"[0-9.]+[eE]\+?[0-9]+", value):
            raise ValueError("was turned into a rounded number by the spreadsheet; format the column as text")
        if not (value.isascii() and value.isdigit() and least <= len(value) <= most):
            count = f"{most}" if least == most else f"{least} to {most}"
            raise ValueError(f"must be a code of {count} digits")
        return value

    return parse


def number(least: float, most: float) -> Parser:
    """A finite number in a closed range."""

    def parse(value: str) -> float:
        try:
            parsed = float(value)
        except ValueError:
            raise ValueError("is not a number") from None
        if not (math.isfinite(parsed) and least <= parsed <= most):
            raise ValueError(f"must be from {least:g} to {most:g}")
        return parsed

    return parse


def whole(least: int, most: int) -> Parser:
    """A whole number in a closed range."""

    def parse(value: str) -> int:
        plain = value.removesuffix(".0")
        if not re.fullmatch(r"-?[0-9]{1,18}", plain):
            raise ValueError("is not a whole number")
        if not least <= int(plain) <= most:
            raise ValueError(f"must be from {least} to {most}")
        return int(plain)

    return parse


def choice(words: Mapping[str, str]) -> Parser:
    """One of some words; the mapping's values are what is stored."""
    known = ", ".join(dict.fromkeys(words.values()))

    def parse(value: str) -> str:
        try:
            return words[value.lower()]
        except KeyError:
            raise ValueError(f"is none of {known}") from None

    return parse


def several(words: Mapping[str, str]) -> Parser:
    """Some of some words, separated by comma, semicolon, 、 or space."""
    one = choice(words)

    def parse(value: str) -> list[object]:
        return [one(word) for word in re.split(r"[,;、，；\s]+", value) if word]

    return parse


def truth(value: str) -> bool:
    """Yes or no, in English or Chinese."""
    word = value.lower()
    if word in ("1", "true", "yes", "y", "是"):
        return True
    if word in ("0", "false", "no", "n", "否"):
        return False
    raise ValueError("must be yes or no")


def clock_time(value: str) -> time:
    """A time of day such as 08:00; 24:00 is midnight at the end of the day, the same as 00:00 for an end."""
    found = re.fullmatch(r"([0-9]{1,2})[::]([0-5][0-9])(?::00)?", value)
    if found is None or int(found[1]) > 24 or (int(found[1]) == 24 and found[2] != "00"):
        raise ValueError("must be a time of day such as 08:00")
    return time(int(found[1]) % 24, int(found[2]))


def day(value: str) -> date:
    """A day such as 2026-11-24 (also 2026/11/24, 20261124, 2026年11月24日)."""
    found = re.fullmatch(r"([0-9]{4})[-/.年]?([0-9]{1,2})[-/.月]?([0-9]{1,2})日?(?:[ T]0?0:00(?::00)?)?", value)
    try:
        if found is not None:
            return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        pass
    raise ValueError("must be a day such as 2026-11-24")


def instant(zone: ZoneInfo) -> Parser:
    """A day (its beginning) or a date with time; on the site's clock unless it names an offset."""

    def parse(value: str) -> datetime:
        try:
            parsed = datetime.fromisoformat(value.replace("/", "-"))
        except ValueError:
            try:
                parsed = datetime.combine(day(value), time())
            except ValueError:
                raise ValueError("must be a date such as 2026-11-24 or 2026-11-24 08:00") from None
        return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=zone)

    return parse


def weekdays(value: str) -> list[int]:
    """Weekdays, 1 = Monday: `1`, `1-5`, `1,3,5`, `周一至周五`."""
    plain = re.sub(r"\s*([-–~至到])\s*", r"\1", re.sub(r"周|星期|礼拜", "", value))
    found: set[int] = set()
    for part in re.split(r"[,;、，；\s]\s*", plain.strip()):
        span = _WEEKDAY_SPAN.fullmatch(part.strip())
        if span is None:
            raise ValueError("must be weekdays such as 1-5 or 周一至周五 (1 is Monday)")
        first, last = _WEEKDAYS[span[1]], _WEEKDAYS[span[2] or span[1]]
        found.update((day - 1) % 7 + 1 for day in range(first, last + 1 if first <= last else last + 8))
    return sorted(found)
