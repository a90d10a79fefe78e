"""Faults of the picture: each moves its own measure, a mild one hardly, none touches the frame it was given."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from simulators.cameras.scenes import picture_faults, scene

Picture = NDArray[np.uint8]
SEEDS = range(6)


@pytest.fixture(scope="module", params=["day", "night"])
def sound(request: pytest.FixtureRequest) -> Picture:
    return scene(3, request.param, (640, 360), engine="drawn").frame(2.0)


def grey(picture: Picture) -> Picture:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)


def sharpness(picture: Picture) -> float:
    return float(cv2.Laplacian(cv2.medianBlur(grey(picture), 5), cv2.CV_64F).var())


def graininess(picture: Picture) -> float:
    """Immerkær's estimate of the noise's standard deviation."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float64)
    response = np.abs(cv2.filter2D(grey(picture).astype(np.float64), -1, kernel))
    return float(response.mean() * np.sqrt(np.pi / 2) / 6)


def edges_lost(before: Picture, after: Picture) -> float:
    old, new = (cv2.Canny(cv2.GaussianBlur(grey(p), (5, 5), 1.2), 40, 90) for p in (before, after))
    near = cv2.dilate(new, np.ones((5, 5), np.uint8))
    return 1 - float((old & near > 0).sum()) / max(1, int((old > 0).sum()))


def chroma(picture: Picture) -> float:
    yuv = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV).reshape(-1, 3).mean(axis=0)
    return float(np.hypot(yuv[1] - 128, yuv[2] - 128) / 128)


@pytest.mark.parametrize("kind", picture_faults.KINDS)
def test_a_fault_is_pure_and_repeatable(kind: str, sound: Picture) -> None:
    before = sound.copy()
    first = picture_faults.apply(sound, kind, 1.0, seed=4, t_s=1.5)
    again = picture_faults.apply(sound, kind, 1.0, seed=4, t_s=1.5)
    assert np.array_equal(sound, before)
    assert np.array_equal(first, again)
    assert first.shape == sound.shape
    assert first.dtype == np.uint8
    assert np.array_equal(picture_faults.apply(sound, kind, 0.0), sound)


@pytest.mark.parametrize("seed", SEEDS)
def test_dark_leaves_hardly_any_light(seed: int, sound: Picture) -> None:
    assert picture_faults.apply(sound, "dark", 1.0, seed).mean() < 0.3 * sound.mean()


@pytest.mark.parametrize("seed", SEEDS)
def test_blur_takes_sharpness_and_edges(seed: int, sound: Picture) -> None:
    blurred = picture_faults.apply(sound, "blur", 1.0, seed)
    assert sharpness(blurred) < 0.35 * sharpness(sound)
    assert edges_lost(sound, blurred) > 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_cover_hides_most_of_the_picture(seed: int, sound: Picture) -> None:
    assert edges_lost(sound, picture_faults.apply(sound, "cover", 1.0, seed)) > 0.55


@pytest.mark.parametrize("seed", SEEDS)
def test_a_knock_moves_the_view_and_it_stays(seed: int, sound: Picture) -> None:
    moved = picture_faults.apply(sound, "shake", 1.0, seed, t_s=0.0)
    assert np.array_equal(moved, picture_faults.apply(sound, "shake", 1.0, seed, t_s=60.0))
    assert edges_lost(sound, moved) > 0.4
    assert moved.mean() == pytest.approx(sound.mean(), rel=0.3)
    dx, _, _ = picture_faults.view_moved(1.0, seed)
    assert abs(dx) >= 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_is_fresh_in_every_frame(seed: int, sound: Picture) -> None:
    noisy = picture_faults.apply(sound, "noise", 1.0, seed, t_s=0.0)
    assert graininess(noisy) > graininess(sound) + 6
    assert not np.array_equal(noisy, picture_faults.apply(sound, "noise", 1.0, seed, t_s=0.04))


@pytest.mark.parametrize("seed", SEEDS)
def test_over_exposure_burns_the_picture_out(seed: int, sound: Picture) -> None:
    bright = grey(picture_faults.apply(sound, "over_exposed", 1.0, seed))
    assert (bright > 240).mean() > 0.35
    assert bright.mean() > grey(sound).mean() + 60


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cast_colours_everything(seed: int, sound: Picture) -> None:
    assert chroma(picture_faults.apply(sound, "cast", 1.0, seed)) > chroma(sound) + 0.08


@pytest.mark.parametrize("kind", [k for k in picture_faults.KINDS if k not in ("shake", "cover")])
def test_a_mild_fault_leaves_the_picture_useful(kind: str, sound: Picture) -> None:
    for seed in SEEDS:
        mild = picture_faults.apply(sound, kind, 0.15, seed)
        assert edges_lost(sound, mild) < 0.45
        assert 0.75 * sound.mean() < mild.mean() < 1.35 * sound.mean() + 6


def test_an_unknown_fault_is_refused(sound: Picture) -> None:
    with pytest.raises(ValueError, match="fault is one of"):
        picture_faults.apply(sound, "lightning")
