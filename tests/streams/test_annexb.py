"""Annex B and parameter sets: taken apart rightly, configuration as libav reads it, never an error but our own."""

from fractions import Fraction
from io import BytesIO

import av
import pytest
from av.video.frame import VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DecodeError
from streams import annexb
from streams.annexb import ParameterSets
from streams.parameter_sets import read_h264, read_h265

NAL = st.binary(min_size=1, max_size=60).map(lambda raw: raw.replace(b"\0", b"\x11"))


def encoded(codec: str, width: int, height: int, profile: str, pix_fmt: str = "yuv420p") -> bytes:
    """One key frame with its parameter sets."""
    context = av.CodecContext.create("libx264" if codec == "h264" else "libx265", "w")
    context.width, context.height, context.pix_fmt = width, height, pix_fmt
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    options = {"preset": "ultrafast"}
    if codec == "h265":
        options["x265-params"] = "log-level=none:pools=1"
    if profile:
        options["profile"] = profile
    context.options = options
    frame = VideoFrame(width, height, pix_fmt)
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


@given(st.lists(st.tuples(st.sampled_from([b"\0\0\1", b"\0\0\0\1", b"\0\0\0\0\1"]), NAL), max_size=8))
def test_units_come_back_whatever_stands_between_them(parts: list[tuple[bytes, bytes]]) -> None:
    data = b"".join(code + unit for code, unit in parts)
    assert annexb.split(data) == [unit for _, unit in parts]


@given(st.binary(max_size=400), st.sampled_from(["h264", "h265"]))
def test_any_bytes_are_taken_apart_without_an_error(data: bytes, codec: annexb.Codec) -> None:
    unit = annexb.access_unit(data, codec)
    at = 0
    while at < len(unit.data):
        at += 4 + int.from_bytes(unit.data[at : at + 4], "big")
    assert at == len(unit.data)


@given(st.binary(max_size=200), st.booleans())
def test_a_broken_parameter_set_is_a_decode_error_and_nothing_else(body: bytes, is_h265: bool) -> None:
    unit = b"\x42\x01" + body if is_h265 else b"\x67" + body
    try:
        annexb.video_format("h265" if is_h265 else "h264", ParameterSets((), (unit,), (b"\x44\x01",)))
    except DecodeError:
        return


@pytest.mark.parametrize(
    ("codec", "width", "height", "profile", "pix_fmt"),
    [
        ("h264", 1280, 720, "high", "yuv420p"),
        ("h264", 1920, 1080, "main", "yuv420p"),
        ("h264", 354, 290, "baseline", "yuv420p"),
        ("h264", 640, 362, "high422", "yuv422p"),
        ("h264", 322, 242, "high444", "yuv444p"),
        ("h265", 1280, 720, "main", "yuv420p"),
        ("h265", 1922, 1082, "main", "yuv420p"),
    ],
)
def test_size_and_configuration_are_what_libav_reads(
    codec: annexb.Codec, width: int, height: int, profile: str, pix_fmt: str
) -> None:
    data = encoded(codec, width, height, profile, pix_fmt)
    unit = annexb.access_unit(data, codec)
    assert unit.is_key
    assert unit.sets is not None
    sets = annexb.merged(None, unit.sets)
    assert sets is not None
    made = annexb.video_format(codec, sets)
    assert (made.width, made.height) == (width, height)

    out = BytesIO()
    name = "h264" if codec == "h264" else "hevc"
    with av.open(BytesIO(data), format=name) as source, av.open(out, "w", format="mp4") as target:
        copied = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.size:
                packet.pts = packet.dts = number
                packet.stream = copied
                target.mux(packet)
    kind = b"avcC" if codec == "h264" else b"hvcC"
    at = out.getvalue().find(kind)
    theirs = out.getvalue()[at + 4 : at - 4 + int.from_bytes(out.getvalue()[at - 4 : at], "big")]
    if codec == "h264":
        assert made.config == theirs
    else:
        assert made.config[1:13] == theirs[1:13]  # profile, tier and level
        assert made.config[16:19] == theirs[16:19]  # chroma and depth
    decoder = av.CodecContext.create(name, "r")
    decoder.extradata = made.config
    assert [*decoder.decode(av.Packet(unit.data)), *decoder.decode(None)]


def test_a_recovery_point_is_a_place_to_begin_only_when_the_picture_is_whole_at_once() -> None:
    picture = b"\0\0\1\x41\x9a\x11"
    assert annexb.access_unit(b"\0\0\1\x06\x06\x01\x80\x80" + picture, "h264").is_key
    assert not annexb.access_unit(b"\0\0\1\x06\x06\x01\x40\x80" + picture, "h264").is_key
    assert annexb.access_unit(b"\0\0\1\x06\x05\x02\x11\x12\x06\x01\x80\x80" + picture, "h264").is_key
    assert not annexb.access_unit(b"\0\0\1\x06\x05\x09\x11" + picture, "h264").is_key


def test_parameter_sets_that_stay_the_same_are_the_same_object() -> None:
    first = annexb.merged(None, ((), (b"\x67a",), (b"\x68a",)))
    assert first is not None
    assert annexb.merged(first, ((), (), (b"\x68a",))) is first
    changed = annexb.merged(first, ((), (b"\x67b",), ()))
    assert changed == ParameterSets((), (b"\x67b",), (b"\x68a",))
    assert annexb.merged(None, ((), (), (b"\x68a",))) is None


@pytest.mark.parametrize("read", [read_h264, read_h265])
def test_what_is_no_parameter_set_is_refused(read: object) -> None:
    with pytest.raises(DecodeError):
        read(b"\x65" + bytes(40))  # type: ignore[operator]
