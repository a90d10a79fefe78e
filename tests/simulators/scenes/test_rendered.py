"""The rendered engine where it can run, and what is said where it cannot."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from simulators.cameras.scenes import EngineMissing, scene
from simulators.cameras.scenes.rendered import client

SIZE = (320, 180)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def renderer() -> str:
    try:
        return client.renderer()
    except EngineMissing as problem:
        pytest.skip(f"no rendered engine: {problem}")


def test_it_renders_day_and_night_and_again_the_same(renderer: str) -> None:
    assert renderer
    day, night = scene(7, "day", SIZE), scene(7, "night", SIZE)
    assert (day.engine, day.why_drawn) == ("rendered", "")
    first = day.frame(3.0)
    assert first.shape == (180, 320, 3)
    assert first.std() > 20
    assert 15 < night.frame(3.0).mean() < first.mean() < 180
    assert np.array_equal(first, day.frame(3.0 + day.loop_s))
    client.stop()
    # Another process may draw equal surfaces in another order (by address): a few pixels differ by a rounding.
    assert cv2.absdiff(first, day.frame(3.0)).mean() < 0.01


def test_it_shows_the_same_street_as_the_drawn_engine(renderer: str) -> None:
    pictures = [scene(9, "day", SIZE, engine=engine, near_miss="empty").frame(0.0) for engine in ("rendered", "drawn")]  # type: ignore[arg-type]
    edges = [cv2.Canny(cv2.GaussianBlur(cv2.cvtColor(p, cv2.COLOR_BGR2GRAY), (5, 5), 1.4), 30, 80) for p in pictures]
    near = cv2.dilate(edges[0], np.ones((7, 7), np.uint8))
    shared = float((near & edges[1] > 0).sum()) / float((edges[1] > 0).sum())
    by_chance = float((np.roll(near, 60, axis=1) & edges[1] > 0).sum()) / float((edges[1] > 0).sum())
    assert shared > by_chance + 0.1


def test_what_moves_lies_in_the_truth_boxes(renderer: str) -> None:
    shown = scene(3, "day", SIZE)
    changed = cv2.absdiff(shown.frame(2.0), shown.frame(2.5)).max(axis=2) > 30
    inside = np.zeros_like(changed)
    for s in (*shown.truth(2.0), *shown.truth(2.5)):
        left, top, right, bottom = s.box
        inside[max(0, top - 8) : bottom + 8, max(0, left - 30) : right + 30] = True
    assert changed.any()
    assert (changed & inside).sum() > 0.85 * changed.sum()


@pytest.mark.parametrize(("variable", "says"), [("LIBGL_DRIVERS_PATH", "libgl1-mesa-dri"), ("PYTHONPATH", "panda3d")])
def test_without_the_engine_scenes_are_drawn_and_say_why(variable: str, says: str, tmp_path: Path) -> None:
    """Really without: no driver where Mesa looks for it; no panda3d that can be imported."""
    (tmp_path / "panda3d.py").write_text("raise ImportError('not here')\n")
    program = (
        "from simulators.cameras.scenes import EngineMissing, scene\n"
        "drawn = scene(1, 'day', (160, 90))\n"
        "print(drawn.engine, drawn.why_drawn, drawn.frame(0.0).shape)\n"
        "try:\n    scene(1, 'day', (160, 90), engine='rendered')\n"
        "except EngineMissing as problem:\n    print(problem)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        env={**os.environ, variable: str(tmp_path)},
    )
    first, second = done.stdout.splitlines()
    assert first.startswith("drawn ")
    assert "(90, 160, 3)" in first
    assert says in first
    assert says in second


def test_asking_for_the_drawn_engine_needs_no_reason() -> None:
    shown = scene(1, "day", (160, 90), engine="drawn")
    assert (shown.engine, shown.why_drawn) == ("drawn", "")
