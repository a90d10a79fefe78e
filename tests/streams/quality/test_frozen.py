"""A frozen picture, and what only looks like one: an empty night whose pictures are all skipped blocks."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from core.media import Packet
from streams.quality.decoder import decode_key, planes_of
from streams.quality.frozen import FrozenWatch, strips_of
from tests.streams.quality.pictures import Picture, coded, noisy, street


def frozen_for(packets: Sequence[Packet]) -> list[float]:
    """frozen_s at each key frame."""
    watch, found, sizes = FrozenWatch(), [], [0]
    for packet in packets:
        if not packet.is_key:
            sizes.append(len(packet.data))
            continue
        luma = planes_of(decode_key(packet.data, packet.formats.video)).luma
        found.append(watch.frozen_s(packet.arrived_s, luma, hash(packet.data), float(np.mean(sizes))))
        sizes = [0]
    return found


def test_a_repeated_picture_is_frozen_for_as_long_as_it_stands() -> None:
    still = noisy(street(), 2, 1)
    pictures = (
        [noisy(street(), 2, 100 + n) for n in range(3)] + [still] * 6 + [noisy(street(), 2, 200 + n) for n in range(3)]
    )
    found = frozen_for(coded(pictures))
    assert found[:3] == [0, 0, 0]
    assert found[8] == pytest.approx(50)
    assert found[-1] == 0, "over at the latest with the third living picture"


@pytest.mark.parametrize("sigma", [0.4, 1.0, 3.0])
def test_an_empty_night_is_not_frozen(sigma: float) -> None:
    night = street(level=0.3)
    packets = coded([noisy(night, sigma, n) for n in range(8)])
    assert frozen_for(packets) == [0] * 8


def test_a_clock_that_goes_on_does_not_hide_a_frozen_picture() -> None:
    still = noisy(street(), 2, 1)

    def with_clock(number: int) -> Picture:
        picture = still.copy()
        cv2.putText(picture, f"12:00:{number * 10:02d}", (10, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 2)
        return picture

    assert frozen_for(coded([with_clock(n) for n in range(6)]))[-1] >= 30


def test_a_loop_that_comes_again_is_not_frozen() -> None:
    """A recording played over and over: the same packets every 20 s, others between."""
    there, here = noisy(street(), 2, 1), noisy(street(), 2, 2)
    watch = FrozenWatch()
    found = [watch.frozen_s(n * 10.0, (there, here)[n % 2], n % 2, 900) for n in range(8)]
    assert found == [0] * 8
    moving = FrozenWatch()
    assert [moving.frozen_s(n * 10.0, there, 7, 900) for n in range(5)] == [0] * 5, "motion between the key frames"


def test_black_and_burnt_pictures_tell_nothing() -> None:
    for level in (16, 235):
        watch = FrozenWatch()
        flat = np.full((360, 640), level, np.uint8)
        assert [watch.frozen_s(n * 10.0, flat, n, 20) for n in range(5)] == [0] * 5


def test_memory_is_bounded_for_large_pictures() -> None:
    assert strips_of(np.zeros((2160, 3840), np.uint8)).nbytes <= 64 << 10
