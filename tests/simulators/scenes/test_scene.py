"""Scenes: the same everywhere by seed, without a seam, with day and night, and with boxes that fit what is seen."""

import hashlib
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from simulators.cameras.scenes import NEAR_MISSES, Scene, scene
from simulators.cameras.scenes.movers import LOOP_S, pose
from simulators.cameras.scenes.traffic import traffic
from simulators.cameras.scenes.world import street

SIZE = (640, 360)
SMALL = (320, 180)


def digest(picture: NDArray[np.uint8]) -> str:
    return hashlib.sha256(picture.tobytes()).hexdigest()


def drawn(seed: int, light: str = "day", **options: object) -> Scene:
    return scene(seed, light, SMALL, engine="drawn", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("light", ["day", "night"])
def test_a_seed_gives_the_same_picture_in_another_process(light: str) -> None:
    program = (
        "import hashlib; from simulators.cameras.scenes import scene; "
        f"print(hashlib.sha256(scene(7, {light!r}, {SMALL}, engine='drawn').frame(3.2).tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == digest(drawn(7, light).frame(3.2))


def test_every_seed_shows_something_else_and_every_time_too() -> None:
    assert len({digest(drawn(seed).frame(0.0)) for seed in range(4)}) == 4
    first = drawn(3)
    assert digest(first.frame(0.0)) != digest(first.frame(0.5))


@pytest.mark.parametrize("light", ["day", "night"])
@pytest.mark.parametrize("near_miss", [None, *NEAR_MISSES])
def test_the_loop_has_no_seam(light: str, near_miss: str | None) -> None:
    shown = drawn(5, light, near_miss=near_miss)
    assert digest(shown.frame(0.0)) == digest(shown.frame(shown.loop_s))
    assert digest(shown.frame(4.4)) == digest(shown.frame(4.4 + 3 * shown.loop_s))
    across = cv2.absdiff(shown.frame(LOOP_S - 1 / 15), shown.frame(0.0)).mean()
    within = max(cv2.absdiff(shown.frame(t), shown.frame(t + 1 / 15)).mean() for t in (2.0, 7.0, 11.0))
    assert across < within * 2 + 1.5


def test_movers_come_back_and_do_not_jump() -> None:
    for seed in range(8):
        for mover in traffic(street(seed, night=False)):
            last = pose(mover, LOOP_S - 0.05)
            here = pose(mover, 0.0)
            again = pose(mover, LOOP_S - 1e-9)
            assert abs(again.x - here.x) + abs(again.y - here.y) < 0.01 or (here.fade < 0.05 and again.fade < 0.05)
            if last.fade > 0.5 and here.fade > 0.5:
                assert np.hypot(here.x - last.x, here.y - last.y) < 1.5


def test_nobody_is_run_over() -> None:
    for seed in range(10):
        movers = traffic(street(seed, night=False))
        vehicles = [m for m in movers if not m.parked and m.kind not in ("person", "two_wheeler")]
        people = [m for m in movers if m.kind == "person" and not m.parked]
        for t_s in np.arange(0, LOOP_S, 1.0):
            places = np.array([(p.x, p.y) for p in (pose(v, float(t_s)) for v in vehicles)]).reshape(-1, 2)
            for walker in people:
                at = pose(walker, float(t_s))
                near = (np.abs(places[:, 0] - at.x) < 1.0) & (np.abs(places[:, 1] - at.y) < 2.0)
                assert not near.any()


def test_night_is_darker_than_day_but_not_black() -> None:
    days = [float(drawn(seed).frame(1.0).mean()) for seed in range(4)]
    nights = [float(drawn(seed, "night").frame(1.0).mean()) for seed in range(4)]
    assert min(days) > 70
    assert max(nights) < min(days)
    assert min(nights) > 20


def test_a_turned_camera_shows_the_same_street_shifted() -> None:
    straight = scene(9, "day", SIZE, engine="drawn", near_miss="empty").frame(0.0)
    turned = scene(9, "day", SIZE, engine="drawn", near_miss="empty", view_shift=(0.06, 0.0, 0.0)).frame(0.0)
    grey = [np.float32(cv2.cvtColor(p, cv2.COLOR_BGR2GRAY)) for p in (straight, turned)]
    window = cv2.createHanningWindow(SIZE, cv2.CV_32F)
    (dx, dy), response = cv2.phaseCorrelate(grey[0], grey[1], window)  # type: ignore[call-overload]
    assert response > 0.05
    assert dx == pytest.approx(-0.06 * SIZE[0], abs=0.02 * SIZE[0])
    assert abs(dy) < 0.02 * SIZE[0]


def test_truth_boxes_lie_where_something_moves() -> None:
    shown = scene(3, "day", SIZE, engine="drawn")
    seen = [s for s in shown.truth(2.0) if s.moving and (s.box[2] - s.box[0]) > 40]
    assert seen
    changed = cv2.absdiff(shown.frame(2.0), shown.frame(2.5)).max(axis=2) > 25
    inside = np.zeros_like(changed)
    for s in (*shown.truth(2.0), *shown.truth(2.5)):
        left, top, right, bottom = s.box
        assert 0 <= left < right <= SIZE[0]
        assert 0 <= top < bottom <= SIZE[1]
        inside[max(0, top - 12) : bottom + 12, max(0, left - 40) : right + 40] = True
    assert (changed & inside).sum() > 0.9 * changed.sum()


def test_near_misses_do_what_they_say() -> None:
    for seed in (2, 3, 5):
        boxes = [s.box for s in drawn(seed, near_miss="lorry").truth(0.0) if s.kind == "lorry" and not s.moving]
        assert len(boxes) == 1
        left, top, right, bottom = boxes[0]
        assert 0.03 < (right - left) * (bottom - top) / (SMALL[0] * SMALL[1]) <= 0.36
    assert not [s for s in drawn(3, "night", near_miss="empty").truth(0.0) if s.moving]
    dusk = drawn(4, near_miss="dusk")
    assert dusk.frame(10.0).mean() < 0.7 * dusk.frame(0.0).mean()
    for near_miss in ("rain", "headlights"):
        picture = drawn(4, "night", near_miss=near_miss).frame(LOOP_S - 4 % 7 + 2.5)
        assert cv2.absdiff(picture, drawn(4, "night").frame(LOOP_S - 4 % 7 + 2.5)).mean() > 1


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="light"):
        scene(1, "dawn")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="near_miss"):
        scene(1, "day", near_miss="snow")


def test_a_drawn_frame_is_cheap() -> None:
    """CPU time; the goal is 10 ms, the bound leaves room for a busy machine and the densest street."""
    shown = scene(3, "day", SIZE, engine="drawn")
    took = []
    for i in range(12):
        began = time.thread_time()
        shown.frame(i / 15)
        took.append(time.thread_time() - began)
    assert sorted(took)[6] < 0.06
