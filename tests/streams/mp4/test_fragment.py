"""Files of init section and fragments, made of really encoded packets: ffmpeg and ffprobe play every picture."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from core.errors import DecodeError
from core.media import AudioFormat, Packet, TrackFormats, VideoFormat
from streams.mp4 import SegmentIndex, codecs, decode, fragment, init_section, read_segment
from tests.streams.clips.playing import decodes_without_a_word, packet_times, pictures
from tests.support.footage import durations_of
from tests.support.packets import encode_audio, encode_video, with_audio


def written(packets: list[Packet], sizes: int = 15) -> tuple[bytes, SegmentIndex]:
    """A whole file with a fragment every so many packets."""
    init = init_section(packets[0].formats)
    index, data, durations, zero = SegmentIndex(len(init)), init, durations_of(packets), packets[0].dts_90k
    for sequence, first in enumerate(range(0, len(packets), sizes), 1):
        part = packets[first : first + sizes]
        bases = [next((packet.dts_90k - zero for packet in part if packet.track == track), 0) for track in (0, 1)]
        one = fragment(sequence, bases[0], bases[1], part, [durations[id(packet)] for packet in part])
        index.add(one)
        data += one.data
    return data, index


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("has_audio", [False, True])
def test_every_picture_is_played(
    tmp_path: Path, codec: Literal["h264", "h265"], b_frames: int, has_audio: bool
) -> None:
    times = [number * 6000 + (number % 3) * 700 for number in range(45)]
    video = encode_video(codec, times, b_frames=b_frames)
    packets = with_audio(video, encode_audio(3)) if has_audio else video
    data, index = written(packets)
    file = tmp_path / "all.mp4"
    file.write_bytes(data)
    assert pictures(file) == list(range(45))
    decodes_without_a_word(file)
    played = packet_times(file)
    assert [round(pts * 90_000) for _, pts in played] == [packet.pts_90k - video[0].dts_90k for packet in video]
    found = decode(index.encode())
    at = zip(found.video.offsets.tolist(), found.video.sizes.tolist(), strict=True)
    assert [data[offset : offset + size] for offset, size in at] == [packet.data for packet in video]
    assert found.video.keys.tolist() == [packet.is_key for packet in video]
    assert read_segment(file).index.encode() == index.encode()


def test_codecs_are_named() -> None:
    avc = VideoFormat("h264", 1280, 720, bytes.fromhex("0164001fffe1"))
    # Main profile, level 3.1, progressive: the example of ISO/IEC 14496-15 annex E in other figures.
    hevc = VideoFormat("h265", 1280, 720, bytes.fromhex("0101600000009000000000005df000fcfdf8f800000f00"))
    aac = AudioFormat(8000, 1, bytes.fromhex("1588"))
    assert codecs(TrackFormats(avc)) == "avc1.64001f"
    assert codecs(TrackFormats(avc, aac)) == "avc1.64001f,mp4a.40.2"
    assert codecs(TrackFormats(hevc)) == "hvc1.1.6.L93.90"
    assert codecs(TrackFormats(avc, replace(aac, config=bytes.fromhex("f8e0")))) == "mp4a.40.39".join(
        ["avc1.64001f,", ""]
    )
    for broken in (replace(avc, config=b"\1"), replace(hevc, config=b"\1" * 12)):
        with pytest.raises(DecodeError):
            codecs(TrackFormats(broken))


def test_the_same_formats_make_the_same_init_section() -> None:
    one = TrackFormats(VideoFormat("h264", 640, 360, b"\1\x64\0\x1e"), AudioFormat(16_000, 1, b"\x14\x08"))
    two = TrackFormats(VideoFormat("h264", 640, 360, b"\1\x64\0\x1e"), AudioFormat(16_000, 1, b"\x14\x08"))
    assert init_section(one) == init_section(two) != init_section(TrackFormats(one.video))
