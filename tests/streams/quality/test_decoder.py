"""Single key frames of both codecs decode; rubbish is refused with one error."""

import random
from typing import Literal

import av
import numpy as np
import pytest

from streams.quality.decoder import Undecodable, decode_key, planes_of
from tests.support.packets import encode_video, number_of


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_every_key_frame_decodes_by_itself(codec: Literal["h264", "h265"], b_frames: int) -> None:
    packets = encode_video(codec, [3600 * n for n in range(36)], gop=12, b_frames=b_frames)
    keys = [packet for packet in packets if packet.is_key]
    seen = [number_of(planes_of(decode_key(key.data, key.formats.video)).luma) for key in keys]
    assert seen == [0, 12, 24]


@pytest.mark.parametrize("name", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "gray", "nv12", "yuv420p10le"])
def test_planes_of_every_common_format(name: str) -> None:
    picture = np.full((48, 64, 3), (60, 90, 200), np.uint8)
    planes = planes_of(av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format=name))
    assert planes.luma.shape == (48, 64)
    assert planes.luma.dtype == np.uint8
    assert (planes.blue is None) == (name == "gray")
    assert 90 < float(planes.luma.mean()) < 140


def test_rubbish_is_undecodable() -> None:
    key = encode_video("h264", [0])[0]
    rng = random.Random(5)
    for length in (0, 1, 3, 40, 900):
        with pytest.raises(Undecodable):
            decode_key(rng.randbytes(length), key.formats.video)
    for _ in range(40):
        damaged = bytearray(key.data)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        try:
            decode_key(bytes(damaged), key.formats.video)
        except Undecodable:
            continue
