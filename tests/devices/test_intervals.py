"""Intervals: the new one ends the open one, nothing overlaps, saying a thing twice changes nothing."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Conflict, InvalidInput
from devices.intervals import HANDSET_WORKERS, STAND_INS, Interval, place_interval


def hour(n: int) -> datetime:
    return datetime(2026, 11, 24, tzinfo=UTC) + timedelta(hours=n)


def tie(to: str, since: int, until: int | None = None) -> Interval:
    return Interval(hour(since), None if until is None else hour(until), (to,))


def test_a_new_interval_ends_the_open_one() -> None:
    assert place_interval([tie("w1", 0)], tie("w2", 5), HANDSET_WORKERS) == [tie("w1", 0, 5), tie("w2", 5)]


def test_the_same_again_changes_nothing() -> None:
    present = [tie("w1", 0)]
    assert place_interval(present, tie("w1", 5), HANDSET_WORKERS) == present
    assert place_interval([tie("w1", 0, 3)], tie("w1", 0, 3), HANDSET_WORKERS) == [tie("w1", 0, 3)]


def test_an_open_interval_gets_its_end() -> None:
    assert place_interval([tie("w1", 0)], tie("w1", 0, 4), HANDSET_WORKERS) == [tie("w1", 0, 4)]


@pytest.mark.parametrize(
    ("present", "new"),
    [
        (tie("w1", 0, 10), tie("w2", 5)),
        (tie("w1", 5), tie("w2", 0)),
        (tie("w1", 5), tie("w2", 5)),
        (tie("w1", 5, 8), tie("w2", 0, 6)),
    ],
)
def test_an_overlap_is_refused(present: Interval, new: Interval) -> None:
    with pytest.raises(Conflict, match="already belongs to w1"):
        place_interval([present], new, HANDSET_WORKERS)


def test_an_end_before_the_beginning_is_refused() -> None:
    with pytest.raises(InvalidInput, match="before it begins"):
        place_interval([], tie("w1", 5, 5), HANDSET_WORKERS)


def test_a_stand_in_leaves_the_own_grid() -> None:
    assert place_interval([tie("g1", 0)], tie("g2", 5, 9), STAND_INS) == [tie("g1", 0), tie("g2", 5, 9)]


TIES = st.builds(tie, st.sampled_from(["w1", "w2", "w3"]), st.integers(0, 20), st.none() | st.integers(1, 20)).filter(
    lambda i: i.until is None or i.until > i.since
)


@given(st.lists(TIES, max_size=8))
def test_a_handset_never_belongs_to_two(ties: list[Interval]) -> None:
    present: list[Interval] = []
    for new in ties:
        try:
            placed = place_interval(present, new, HANDSET_WORKERS)
        except Conflict:
            continue
        assert place_interval(placed, new, HANDSET_WORKERS) == placed
        present = placed
    for first, second in pairwise(present):
        assert first.until is not None
        assert first.until <= second.since
