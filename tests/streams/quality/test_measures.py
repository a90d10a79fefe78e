"""Measures of pictures whose answers are known."""

import cv2
import numpy as np
import pytest

from streams.quality.measures import (
    COARSE_WIDTH,
    Planes,
    bands_sigma,
    fine_energy,
    luma_statistics,
    measure,
    noise_sigma,
    phase_shift,
    reduced,
    spectrum,
)
from tests.streams.quality.pictures import HEIGHT, WIDTH, measured, noisy, street


def test_luma_of_a_picture_in_two_halves() -> None:
    luma = np.full((100, 200), 16, np.uint8)
    luma[:, 100:] = 235
    mean, p10, p90, p95, dark, bright = luma_statistics(luma)
    assert mean == pytest.approx(125.5)
    assert (p10, p90, p95, dark, bright) == (16, 235, 235, 0.5, 0.5)


@pytest.mark.parametrize("sigma", [2.0, 5.0, 12.0])
def test_noise_is_measured_on_a_flat_and_on_a_structured_picture(sigma: float) -> None:
    flat = np.full((HEIGHT, WIDTH), 120, np.uint8)
    assert noise_sigma(noisy(flat, sigma, 1)) == pytest.approx(sigma, rel=0.1)
    smooth = cv2.GaussianBlur(street(), (0, 0), 2)
    assert noise_sigma(noisy(smooth, sigma, 1)) == pytest.approx(sigma, rel=0.25)


def test_bands_are_noise_and_a_lorry_is_not() -> None:
    coarse = reduced(street(), COARSE_WIDTH)
    rows = (20 * np.sin(np.arange(coarse.shape[0]) * 2.2)).astype(np.int16)
    banded = np.clip(coarse + rows[:, None], 0, 255).astype(np.uint8)
    lorry = coarse.copy()
    lorry[40:, 20:140] = 200
    assert bands_sigma(banded) > bands_sigma(coarse) + 5
    assert bands_sigma(lorry) < bands_sigma(coarse) + 2


@pytest.mark.parametrize(("right", "down"), [(0, 0), (4, 0), (-9, 3), (20, -7)])
def test_shift_is_found_under_noise(right: int, down: int) -> None:
    wide = reduced(street(5), 320)
    rows, columns = 90, 160
    still = wide[40 : 40 + rows, 80 : 80 + columns]
    moved = noisy(wide[40 - down : 40 - down + rows, 80 - right : 80 - right + columns], 3, 2)
    found = phase_shift(spectrum(moved), spectrum(still), rows, columns)
    assert found[:2] == pytest.approx((right, down), abs=0.5)
    assert 0.05 < found[2] <= 1.01


def test_blur_lowers_sharpness_and_noise_hardly_raises_it() -> None:
    sharp, blurred = street(), cv2.GaussianBlur(street(), (0, 0), 4)
    energy = float(np.median(fine_energy(reduced(sharp, 320))))
    assert float(np.median(fine_energy(reduced(blurred, 320)))) < 0.1 * energy
    assert measured(blurred).fine_share < 0.3 * measured(sharp).fine_share


def test_colour_is_the_distance_from_grey() -> None:
    assert measured(street(), 128, 128).cast == 0
    assert measured(street(), 128 + 30, 128 - 40).cast == pytest.approx(50 / 128)
    assert measure(Planes(street())).cast == 0, "black-and-white"


@pytest.mark.parametrize("size", [(352, 288), (160, 120), (1920, 1080), (96, 2000), (64, 48)])
def test_any_size_of_picture_can_be_measured(size: tuple[int, int]) -> None:
    luma = cv2.resize(street(), size, interpolation=cv2.INTER_AREA)
    found = measure(Planes(np.asarray(luma, np.uint8)))
    assert (found.width, found.height) == size
    assert found.coarse.shape[1] == min(COARSE_WIDTH, size[0])
