"""Sequence parameter sets as real encoders write them, and bytes that are none."""

from fractions import Fraction

import pytest
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from bench.live_source import Film, film
from core.errors import DecodeError
from streams.annexb import split
from streams.live.h264 import SPS, nal_units, parameter_sets, sequence_facts


def sps_of(of: Film) -> bytes:
    config = of.packets[0][4].video.config
    return next(unit for unit in parameter_sets(config) if unit[0] & 31 == SPS)


def test_facts_of_real_streams(plain: Film, reordered: Film) -> None:
    facts, other = sequence_facts(sps_of(plain)), sequence_facts(sps_of(reordered))
    assert (facts.profile, facts.reorders) == (66, False)
    assert (other.profile, other.reorders) == (77, True)
    assert facts.level == plain.packets[0][4].video.config[3]


@pytest.mark.parametrize(
    ("options", "profile", "reorders"),
    [
        ({"preset": "medium"}, 100, True),
        ({"preset": "medium", "bf": "0"}, 100, False),
        ({"preset": "medium", "profile": "main", "bf": "1", "x264-params": "interlaced=1"}, 77, True),
        ({"preset": "medium", "x264-params": "nal-hrd=vbr:vbv-maxrate=500:vbv-bufsize=500:cqm=jvt"}, 100, True),
    ],
    ids=["high", "high without B-frames", "main, interlaced", "with HRD and scaling lists"],
)
def test_facts_of_other_profiles(options: dict[str, str], profile: int, reorders: bool) -> None:
    encoder = VideoCodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 320, 240, "yuv420p"
    encoder.time_base, encoder.options = Fraction(1, 25), options
    units = split(
        b"".join(bytes(made) for made in [*encoder.encode(VideoFrame(320, 240, "yuv420p")), *encoder.encode()])
    )
    facts = sequence_facts(next(unit for unit in units if unit[0] & 31 == SPS))
    assert (facts.profile, facts.reorders) == (profile, reorders)


def test_cut_off_sets_are_refused(plain: Film) -> None:
    sps, config = sps_of(plain), plain.packets[0][4].video.config
    for length in range(5):
        with pytest.raises(DecodeError):
            sequence_facts(sps[:length])
    for length in range(len(config) - 1):
        with pytest.raises(DecodeError):
            parameter_sets(config[:length])


@given(st.binary(max_size=300))
def test_anything_is_read_or_refused(data: bytes) -> None:
    assert sum(len(unit) for unit in nal_units(data)) <= len(data)
    for read in (sequence_facts, parameter_sets):
        try:
            read(data)
        except DecodeError:
            continue


def test_every_picture_is_whole() -> None:
    made = film(size=(160, 96), seconds=1)
    for *_, data, _ in made.packets:
        assert sum(4 + len(unit) for unit in nal_units(data)) == len(data)
