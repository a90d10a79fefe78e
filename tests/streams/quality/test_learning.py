"""References: made of healthy pictures only, adapting slowly, kept in few bytes; and what is held against them."""

import cv2
import numpy as np
import pytest

from streams.quality.comparison import Comparison, compare, score_of
from streams.quality.learning import DAY_US, Learner
from streams.quality.reference import MOST_BYTES, Reference
from streams.quality_settings import QualitySettings
from tests.streams.quality.pictures import HEIGHT, WIDTH, Picture, measured, noisy, street

SETTINGS = QualitySettings(learn_samples=6)
STEP_US = 10_000_000


def taught(learner: Learner, picture: Picture, samples: int, from_us: int = STEP_US, step_us: int = STEP_US) -> int:
    """Shows the learner a picture with fresh noise; returns the time after the last sample."""
    for number in range(samples):
        now = measured(noisy(picture, 1.5, number))
        learner.learn(now, compare(now, learner.template), from_us + number * step_us)
    return from_us + samples * step_us


@pytest.fixture
def learner() -> Learner:
    found = Learner(SETTINGS)
    taught(found, street(), 6)
    assert found.template is not None
    return found


def seen(learner: Learner, picture: Picture) -> Comparison:
    return compare(measured(picture), learner.template)


def test_a_healthy_picture_is_as_good_as_its_reference(learner: Learner) -> None:
    compared = seen(learner, noisy(street(), 1.5, 99))
    figures = compared.figures
    assert figures.sharpness_ratio == pytest.approx(1, abs=0.1)
    assert figures.edges_lost is not None
    assert figures.edges_lost < 0.05
    assert figures.shift_share == 0
    assert figures.edges_ratio == pytest.approx(1, abs=0.1)
    assert compared.fits
    assert score_of(figures) == 1


def test_a_reference_survives_the_store_in_few_bytes(learner: Learner) -> None:
    reference = learner.take()
    assert reference is not None
    assert learner.take() is None, "handed out once"
    stored = reference.to_bytes()
    assert len(stored) < MOST_BYTES / 2
    assert Reference.from_bytes(stored) == reference
    damaged = bytearray(stored)
    damaged[len(stored) // 2] ^= 255
    for wrong in (b"", b"\x07" + stored[1:], stored[:100], bytes(damaged), stored[:1] + bytes(100)):
        assert Reference.from_bytes(wrong) is None


@pytest.mark.parametrize(
    "bad",
    [
        cv2.GaussianBlur(street(), (0, 0), 7),
        street(level=0.15),
        np.full((HEIGHT, WIDTH), 90, np.uint8),
        np.clip(street().astype(np.int16) + 150, 0, 255).astype(np.uint8),
        noisy(street(), 40, 3),
    ],
    ids=["blurred", "dark", "covered", "burnt", "snow"],
)
def test_a_camera_bad_from_its_first_day_has_no_reference_and_a_low_score(bad: Picture) -> None:
    learner = Learner(SETTINGS)
    taught(learner, np.asarray(bad, np.uint8), 30)
    assert learner.template is None
    assert score_of(seen(learner, np.asarray(bad, np.uint8)).figures) < 0.6


def test_blur_keeps_the_edges_and_loses_sharpness(learner: Learner) -> None:
    compared = seen(learner, np.asarray(cv2.GaussianBlur(street(), (0, 0), 5), np.uint8))
    assert compared.figures.sharpness_ratio is not None
    assert compared.figures.sharpness_ratio < 0.1
    assert (compared.figures.edges_lost or 0) < 0.5
    assert not compared.fits


def test_a_darker_picture_of_the_same_scene_is_not_a_blurred_one(learner: Learner) -> None:
    figures = seen(learner, street(level=0.5)).figures
    assert figures.sharpness_ratio == pytest.approx(1, abs=0.35)
    assert figures.luma_ratio == pytest.approx(0.5, abs=0.05)


def test_a_cover_takes_the_edges_and_gives_none(learner: Learner) -> None:
    picture = street()
    picture[:, : WIDTH * 9 // 10] = 80
    figures = seen(learner, picture).figures
    assert (figures.edges_lost or 0) > 0.75
    assert (figures.edges_ratio or 0) < 0.1


def test_a_lorry_in_front_changes_little(learner: Learner) -> None:
    picture = street()
    lorry = street(77)
    picture[HEIGHT // 3 :, WIDTH // 4 : WIDTH * 3 // 4] = lorry[HEIGHT // 3 :, WIDTH // 4 : WIDTH * 3 // 4]
    figures = seen(learner, picture).figures
    assert (figures.edges_lost or 0) < 0.3
    assert figures.shift_share == 0
    assert figures.sharpness_ratio == pytest.approx(1, abs=0.2)


def test_a_shifted_view_is_measured_and_another_one_told_from_a_cover(learner: Learner) -> None:
    moved = np.roll(street(), 48, axis=1)
    shift = seen(learner, moved).figures.shift_share
    assert shift == pytest.approx(48 / WIDTH, abs=0.004)
    figures = seen(learner, street(1234)).figures
    assert figures.shift_share is None
    assert (figures.edges_lost or 0) > 0.7
    assert (figures.edges_ratio or 0) > 0.5


def test_a_bad_picture_moves_no_reference(learner: Learner) -> None:
    assert learner.template is not None
    before = learner.template.reference
    taught(learner, np.asarray(cv2.GaussianBlur(street(), (0, 0), 5), np.uint8), 70)
    taught(learner, street(level=0.2), 70)
    assert learner.template.reference == before


def test_light_that_changes_slowly_is_followed(learner: Learner) -> None:
    at_us = STEP_US
    for level in np.linspace(1.0, 0.75, 6):
        at_us = taught(learner, street(level=float(level)), 60, at_us)
    compared = seen(learner, street(level=0.75))
    assert compared.fits
    assert learner.version == 1


def test_another_view_is_accepted_after_days_and_only_while_it_stays(learner: Learner) -> None:
    half_days = int(SETTINGS.accept_view_days * DAY_US / 2)
    at_us = taught(learner, street(9), 2, step_us=half_days - STEP_US)
    assert learner.version == 1
    taught(learner, street(), 1, at_us)
    assert learner.template is not None
    assert learner.template.reference.differs_since_us == 0, "the old view was there again"
    taught(learner, street(9), 12, at_us + STEP_US, step_us=half_days // 2)
    assert learner.version == 2
    assert seen(learner, street(9)).fits


def test_an_operators_word_accepts_a_view_at_once(learner: Learner) -> None:
    learner.relearn()
    assert learner.template is None
    taught(learner, street(9), 6)
    assert learner.version == 2
    assert seen(learner, street(9)).fits


def test_samples_of_several_views_make_no_reference() -> None:
    learner = Learner(SETTINGS)
    for number in range(18):
        taught(learner, street(number), 1)
    assert learner.template is None
