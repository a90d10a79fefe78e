"""Pictures of an instant: the right one, of both codecs, as wide as asked for."""

import asyncio
from typing import Literal

import cv2
import numpy as np
import pytest

from core.errors import InvalidInput, NotFound
from streams.clips import Clips, ClipsSettings, FootageGone, Snapshot, TooBusy
from tests.streams.clips.conftest import T0, Shown, at
from tests.support.packets import encode_video, number_of


def shows(snapshot: Snapshot) -> int:
    image = cv2.imdecode(np.frombuffer(snapshot.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    assert image.shape == (snapshot.height, snapshot.width)
    return number_of(image.astype(np.uint8))


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 2), ("h265", 2)])
async def test_the_picture_of_an_instant(shown: Shown, codec: Literal["h264", "h265"], b_frames: int) -> None:
    await shown.maker.record(encode_video(codec, [n * 6000 for n in range(150)], b_frames=b_frames), T0)
    for number in (0, 1, 14, 15, 44, 61, 149):
        taken = await shown.clips.snapshot(shown.camera, "main", at((number + 0.5) / 15))
        assert shows(taken) == number
        assert abs(taken.at_us - at(number / 15)) <= 1
    small = await shown.clips.snapshot(shown.camera, "main", at(5), width=160)
    assert (small.width, small.height, shows(small)) == (160, 96, 75)


async def test_a_picture_may_be_some_seconds_old(shown: Shown) -> None:
    await shown.maker.record(encode_video("h264", [n * 6000 for n in range(30)]), T0, is_open=True)
    assert shows(await shown.clips.snapshot(shown.camera, "main", at(9))) == 29
    for missing in (at(13), at(-1)):
        with pytest.raises(NotFound):
            await shown.clips.snapshot(shown.camera, "main", missing)


async def test_limits(shown: Shown) -> None:
    made = await shown.maker.record(encode_video("h264", [n * 6000 for n in range(30)]), T0)
    with pytest.raises(InvalidInput):
        await shown.clips.snapshot(shown.camera, "main", at(1), width=8)
    few = Clips(shown.maker.store, lambda _: shown.folder, ClipsSettings(pictures_at_once=1, pictures_waiting=2))
    answers = await asyncio.gather(
        *(few.snapshot(shown.camera, "main", at(1)) for _ in range(5)), return_exceptions=True
    )
    assert sorted(type(found).__name__ for found in answers) == ["Snapshot"] * 2 + [TooBusy.__name__] * 3
    few.close()
    made[0].path.unlink()
    with pytest.raises(FootageGone):
        await shown.clips.snapshot(shown.camera, "main", at(1))
