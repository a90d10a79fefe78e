"""The clock map: where it begins, how it follows, when it gives up."""

import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from streams.recorder.clock import RunClock

START_US = 1_795_527_045_000_000
FPS = 15


def play(
    seconds: float, arrival_s: Callable[[float], float], wall_us: Callable[[float], int] = lambda s: round(s * 1e6)
) -> tuple[RunClock, list[tuple[float, str]]]:
    """A camera whose media time t arrives at arrival_s(t); returns the map and what it said, with media times."""
    said: list[tuple[float, str]] = []
    clock: RunClock | None = None
    for number in range(int(seconds * FPS)):
        media_s = number / FPS
        at_s = arrival_s(media_s)
        arrived_us = START_US + wall_us(at_s)
        pts = round(media_s * 90_000)
        if clock is None:
            clock = RunClock(pts, arrived_us, at_s)
        if ending := clock.observe(pts, arrived_us, at_s):
            said.append((media_s, ending))
    assert clock is not None
    return clock, said


def error_ms(clock: RunClock, media_s: float, true_s: float) -> float:
    return (clock.utc_us(round(media_s * 90_000)) - START_US) / 1000 - true_s * 1000


def test_a_burst_on_connecting_moves_the_beginning_to_where_it_belongs() -> None:
    clock, said = play(60, lambda t: max(t, 4.0 + t / 1000) + 0.05)
    assert said == []
    assert abs(error_ms(clock, 0, 0.05)) < 2
    assert abs(error_ms(clock, 59, 59.05)) < 2


def test_jitter_is_lateness_and_bends_nothing() -> None:
    dice = random.Random(1)
    clock, said = play(600, lambda t: t + dice.expovariate(30))
    assert said == []
    assert abs(error_ms(clock, 599, 599)) < 12


@pytest.mark.parametrize("ppm", [-400, -50, 100, 450])
def test_a_drift_within_the_limit_is_followed_to_within_a_frame(ppm: int) -> None:
    clock, said = play(3600, lambda t: t * (1 + ppm / 1e6))
    assert said == []
    for at_s in (1000, 2000, 3599):
        assert abs(error_ms(clock, at_s, at_s * (1 + ppm / 1e6))) < 30
    assert len(clock.changed) < 100


@pytest.mark.parametrize("ppm", [-1500, 1500])
def test_a_drift_beyond_it_ends_the_run_before_the_error_is_a_second(ppm: int) -> None:
    clock, said = play(3600, lambda t: t * (1 + ppm / 1e6))
    assert said[0][1] == "drift"
    assert abs(error_ms(clock, said[0][0], said[0][0] * (1 + ppm / 1e6))) < 1100


def test_the_map_never_leaps_and_never_bends_by_more_than_500_ppm_where_it_was_seen() -> None:
    clock, _ = play(1200, lambda t: t + (0.3 if t > 400 else 0))
    points = sorted(clock.changed.items())
    for (pts, utc_us), (later, later_us) in pairwise(points):
        assert abs((later_us - utc_us) / ((later - pts) * 100 / 9) - 1) <= 501e-6
    assert abs(error_ms(clock, 399, 399)) < 10
    assert abs(error_ms(clock, 1199, 1199.3)) < 30


def test_a_step_of_our_own_clock_is_told_from_a_late_camera() -> None:
    _, said = play(120, lambda t: t, lambda s: round(s * 1e6) + (3_600_000_000 if s > 50 else 0))
    assert said[0][1] == "clock_step"
    assert 50 < said[0][0] < 50.2
    _, said = play(120, lambda t: t + (5 if 50 < t < 55 else 0))
    assert said == []


def test_an_error_over_a_second_ends_the_run() -> None:
    _, said = play(300, lambda t: t + (1.5 if t > 100 else 0))
    assert said[0][1] == "drift"
    assert said[0][0] < 170
