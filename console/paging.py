"""Cursors: opaque to callers, a position in a fixed order inside. A page is `{"items", "next"}`; next None: the end."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

from core.errors import InvalidInput

Item = TypeVar("Item")
Row = TypeVar("Row")

Cursor = Annotated[str | None, Query(max_length=300, description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=5000, description="Rows of one page.")]


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next: str | None = None


def encoded(*position: object) -> str:
    """The cursor after a row at `position`."""
    return base64.urlsafe_b64encode(json.dumps(position, separators=(",", ":")).encode()).decode().rstrip("=")


def decoded(cursor: str | None, *kinds: type) -> tuple[object, ...] | None:
    """The position of a cursor, checked against the kinds of its parts. Raises InvalidInput for what is not ours."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        position = json.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        position = None
    right = isinstance(position, list) and len(position) == len(kinds)
    if not right or not all(type(part) is kind for part, kind in zip(position, kinds, strict=True)):
        raise InvalidInput("cursor: it is not one that this list gave; start again without it.")
    if any(isinstance(part, int) and abs(part) >= 1 << 62 for part in position):
        raise InvalidInput("cursor: it is not one that this list gave; start again without it.")
    return tuple(position)


def page_of(
    rows: Sequence[Row], limit: int, shown: Callable[[Row], Item], position: Callable[[Row], tuple[object, ...]]
) -> Page[Item]:
    """A page from up to limit + 1 rows; one row too many means that there is a next page."""
    kept = rows[:limit]
    following = encoded(*position(kept[-1])) if len(rows) > limit and kept else None
    return Page(items=[shown(row) for row in kept], next=following)
