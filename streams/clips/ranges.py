"""Answers to GET and HEAD of something whose length and ETag are known: RFC 9110, sections 13 and 14. Pure.

One range is answered with 206. Several ranges at once are answered with the whole (14.2 leaves that to the server): no
player asks so, and a multipart body of footage helps nobody. If-Range with a date, or with another ETag, gives the
whole; If-Match with another ETag is refused (412), If-None-Match with this one is 304.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answer:
    """status and headers of the answer; its body is bytes [start, end) of the whole."""

    status: int
    headers: dict[str, str]
    start: int = 0
    end: int = 0


def answer(method: str, headers: Mapping[str, str], length: int, etag: str, media_type: str) -> Answer:
    """Decides. method: GET or HEAD. headers: of the request, names in lower case. length: bytes. etag: with quotes."""
    always = {"etag": etag, "accept-ranges": "bytes", "cache-control": "private, no-cache"}
    if _misses(headers.get("if-match"), etag):
        return Answer(412, always | {"content-length": "0"})
    if _hits(headers.get("if-none-match"), etag):
        return Answer(304, always)
    always["content-type"] = media_type
    wanted = headers.get("range") if method == "GET" and _may_be_partial(headers.get("if-range"), etag) else None
    span = None if wanted is None else _span(wanted, length)
    if span is None:
        end = 0 if method == "HEAD" else length
        return Answer(200, always | {"content-length": str(length)}, 0, end)
    start, end = span
    if start >= end:
        return Answer(416, always | {"content-range": f"bytes */{length}", "content-length": "0"})
    partial = {"content-range": f"bytes {start}-{end - 1}/{length}", "content-length": str(end - start)}
    return Answer(206, always | partial, start, end)


def _span(wanted: str, length: int) -> tuple[int, int] | None:
    """[start, end) that a Range header asks for; empty: not satisfiable; None: to be ignored."""
    match = _RANGE.fullmatch(wanted)
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if not first:
        return max(0, length - int(last)), length
    if last and int(last) < int(first):
        return None
    return int(first), min(length, int(last) + 1 if last else length)


def _tags(value: str) -> list[str]:
    return [tag.strip() for tag in value.split(",")]


def _misses(value: str | None, etag: str) -> bool:
    return value is not None and value.strip() != "*" and etag not in _tags(value)


def _hits(value: str | None, etag: str) -> bool:
    return value is not None and (value.strip() == "*" or etag in (tag.removeprefix("W/") for tag in _tags(value)))


def _may_be_partial(if_range: str | None, etag: str) -> bool:
    return if_range is None or if_range.strip() == etag
