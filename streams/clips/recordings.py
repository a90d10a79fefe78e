"""What is recorded of a camera between two instants, for a time line: spans, gaps with their reasons, sizes. Pure."""

from collections.abc import Sequence

import msgspec

from core.media import STREAMS, StreamName
from store.footage_spans import Stretch

LEAST_GAP_US = 1_000_000
"""Spans nearer to each other than this are one: half a second either way is the error of a clock."""


class Span(msgspec.Struct, frozen=True):
    """Footage without a gap. length: bytes of the segments that touch it, whole. is_open: it still grows."""

    from_us: int
    to_us: int
    length: int
    is_open: bool


class Missing(msgspec.Struct, frozen=True):
    """A gap. reason: why the run after it began (start, reconnect, jump, drift, clock_step, overload, disk); `deleted`
    where segments of the run before or after it are gone; None when it is not known: nothing has come since."""

    from_us: int
    to_us: int
    reason: str | None


class Coverage(msgspec.Struct, frozen=True):
    """Of one stream. length: bytes."""

    stream: StreamName
    spans: list[Span]
    gaps: list[Missing]
    length: int


def coverage(stretches: Sequence[Stretch], stream: int, from_us: int, to_us: int) -> Coverage:
    """Merged spans of [from_us, to_us) of a stream (0 main, 1 sub), and what is missing between them."""
    spans: list[Span] = []
    gaps: list[Missing] = []
    total, at, before = 0, from_us, None
    for found in (stretch for stretch in stretches if stretch.stream == stream):
        start_us, end_us = max(from_us, found.start_us), min(to_us, found.end_us)
        total += found.length
        if end_us <= start_us:
            continue
        if start_us - at >= LEAST_GAP_US:
            gaps.append(Missing(at, start_us, _reason(before, found)))
        if spans and start_us - at < LEAST_GAP_US:
            last = spans[-1]
            is_open = found.is_open if end_us >= last.to_us else last.is_open
            spans[-1] = Span(last.from_us, max(last.to_us, end_us), last.length + found.length, is_open)
        else:
            spans.append(Span(start_us, end_us, found.length, found.is_open))
        at, before = max(at, end_us), found
    if to_us - at >= LEAST_GAP_US and not (spans and spans[-1].is_open):
        gaps.append(Missing(at, to_us, None))
    return Coverage(STREAMS[stream], spans, gaps, total)


def _reason(before: Stretch | None, after: Stretch) -> str | None:
    if after.first_n or (before is not None and before.run == after.run):
        return "deleted"
    return after.reason
