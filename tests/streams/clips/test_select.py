"""Selecting: pure decisions over rows, and the clock map."""

from datetime import date

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from store.footage import ClockRow
from store.footage_spans import StoredSegment
from streams.clips.clock_map import ClockMap
from streams.clips.select import select

S = 1_000_000


def segment(run: str, n: int, start_s: float, end_s: float, *, began_s: float = 0, epoch: int = 1) -> StoredSegment:
    pts = [round(at * 90_000) for at in (start_s - began_s, end_s - began_s)]
    us = [round(at * S) for at in (start_s, end_s)]
    day = date(2026, 9, 21)
    return StoredSegment(run, n, "c", 0, "r", day, 1, b"i", *pts, *us, 100, 10, epoch, round(began_s * S), "start")


def clocks(*segments: StoredSegment) -> dict[str, list[ClockRow]]:
    return {one.run: [ClockRow(one.run, "map", 0, one.run_began_us)] for one in segments}


def minutes(run: str, count: int, *, began_s: float = 0, epoch: int = 1) -> list[StoredSegment]:
    return [
        segment(run, n, began_s + n * 60, began_s + n * 60 + 60, began_s=began_s, epoch=epoch) for n in range(count)
    ]


def test_only_segments_of_the_span_are_taken() -> None:
    rows = minutes("A", 5)
    found = select(rows, clocks(*rows), 70 * S, 130 * S)
    assert [[one.n for one in piece.segments] for piece in found.pieces] == [[1, 2]]
    assert found.gaps == ()


def test_a_deleted_segment_parts_a_run() -> None:
    rows = minutes("A", 5)
    found = select([*rows[:2], *rows[3:]], clocks(*rows), 0, 300 * S)
    assert [[one.n for one in piece.segments] for piece in found.pieces] == [[0, 1], [3, 4]]
    assert [(gap.from_us, gap.to_us) for gap in found.gaps] == [(120 * S, 180 * S)]


def test_rows_in_any_order_give_the_same() -> None:
    rows = [*minutes("A", 3), *minutes("B", 3, began_s=150, epoch=2), *minutes("C", 3, began_s=400, epoch=3)]
    expected = select(rows, clocks(*rows), 30 * S, 500 * S)
    assert select(rows[::-1], clocks(*rows), 30 * S, 500 * S) == expected
    assert [(piece.segments[0].run, piece.starts_on_key) for piece in expected.pieces] == [
        ("A", False), ("B", True), ("C", False)
    ]  # fmt: skip
    assert expected.pieces[1].from_us == 180 * S


def test_an_overlap_within_the_error_of_a_clock_is_taken_whole() -> None:
    rows = [*minutes("A", 3), *minutes("B", 3, began_s=179.2, epoch=2)]
    found = select(rows, clocks(*rows), 0, 600 * S)
    assert [(piece.segments[0].run, piece.starts_on_key) for piece in found.pieces] == [("A", False), ("B", False)]


def test_a_recording_inside_another_is_not_taken() -> None:
    rows = [*minutes("A", 10), *minutes("B", 2, began_s=100, epoch=2)]
    found = select(rows, clocks(*rows), 0, 600 * S)
    assert [piece.segments[0].run for piece in found.pieces] == ["A"]


def test_what_is_left_out_is_told() -> None:
    rows = [*minutes("A", 2), *minutes("B", 2, began_s=120, epoch=1)]
    found = select(rows, clocks(*rows), 0, 240 * S, left_out={("B", 0): "codec", ("B", 1): "codec"})
    assert [(gap.from_us, gap.to_us, gap.reason) for gap in found.gaps] == [(120 * S, 240 * S, "codec")]


POINTS = st.lists(st.tuples(st.integers(1, 10**6), st.floats(0.9995, 1.0005)), min_size=1, max_size=5)


@given(POINTS, st.integers(-(10**7), 10**7), st.integers(0, 2**40))
def test_an_instant_and_its_media_time_belong_together(steps: list[tuple[int, float]], at: int, first_pts: int) -> None:
    pts, us = first_pts, 1_790_000_000_000_000
    points = [(pts, us)]
    for ticks, slope in steps:
        pts, us = pts + ticks * 90, us + round(ticks * 1000 * slope)
        points.append((pts, us))
    clock = ClockMap.of(points)
    assert clock.utc_us(np.array([pts for pts, _ in points])).tolist() == [us for _, us in points]
    tick = first_pts + at
    assert clock.pts(clock.utc(tick)) == tick
