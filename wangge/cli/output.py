"""What commands print: JSON, aligned tables, progress on a terminal only."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any


def say(text: str) -> None:
    """One line (or more) on stdout."""
    sys.stdout.write(text + "\n")


def tell(text: str) -> None:
    """A remark on stderr."""
    sys.stderr.write(text + "\n")


def progress(text: str) -> None:
    """How far long work is, in one line that is written over; nothing where stderr is no terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def progress_done() -> None:
    """Clears the line of `progress`."""
    progress("")


def as_json(value: object) -> None:
    """One JSON document."""
    say(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def json_line(value: object) -> None:
    """One JSON document on one line, flushed."""
    say(json.dumps(value, ensure_ascii=False, default=_plain))
    sys.stdout.flush()


def table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Columns as wide as their longest cell; a wide (Chinese) letter counts two."""
    cells = [list(titles), *([_cell(value) for value in row] for row in rows)]
    widths = [max(_width(row[column]) for row in cells) for column in range(len(titles))]
    for row in cells:
        padded = (text + " " * (width - _width(text)) for text, width in zip(row, widths, strict=True))
        say("  ".join(padded).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return " ".join(str(value).split())


def _width(text: str) -> int:
    return sum(2 if "\u1100" <= letter <= "\uffef" else 1 for letter in text)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
