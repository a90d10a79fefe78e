"""Clips of really encoded footage: the pictures of the span and no other, times that never go back."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest

from core.errors import InvalidInput, NotFound
from core.media import Packet
from streams.clips import ClipsSettings, FootageGone
from streams.clips.clips import Clips
from streams.mp4 import SegmentIndex, decode, read_segment
from tests.streams.clips.conftest import T0, Shown, at
from tests.streams.clips.playing import decodes_without_a_word, packet_times, pictures, probe, whole
from tests.support.packets import encode_audio, encode_video, with_audio

STEP = 6000


def steady(count: int, **options: object) -> list[Packet]:
    """Pictures at 15 a second."""
    return encode_video("h264", [number * STEP for number in range(count)], **options)  # type: ignore[arg-type]


def rising(packets: list[Packet]) -> list[Packet]:
    """As the camera's reader sees to it: dts always rises (streams.timeline)."""
    found = packets[:1]
    for packet in packets[1:]:
        found.append(replace(packet, dts_90k=max(packet.dts_90k, found[-1].dts_90k + 1)))
    return found


def plays_well(file: Path) -> None:
    """ffmpeg has no word of complaint, and neither dts nor what is shown goes back."""
    decodes_without_a_word(file)
    times = packet_times(file)
    assert all(before[0] <= after[0] for before, after in pairwise(times))


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 2), ("h265", 0), ("h265", 2)])
async def test_a_span_across_segments_begins_and_ends_on_the_instant(
    shown: Shown, codec: Literal["h264", "h265"], b_frames: int
) -> None:
    video = encode_video(codec, [number * STEP for number in range(240)], b_frames=b_frames)
    await shown.maker.record(with_audio(video, encode_audio(16)), T0)
    file = await shown.export(3.1, 13.5)
    plays_well(file)
    assert pictures(file) == list(range(47, 203))
    streams = probe(file, "-show_entries", "stream=codec_type,start_time,duration")["streams"]
    assert [(one["codec_type"], float(one["start_time"])) for one in streams] == [("video", 0.0), ("audio", 0.0)]
    assert all(abs(float(one["duration"]) - 10.4) < 0.001 for one in streams)


async def test_uneven_times_and_a_drifting_clock(shown: Shown) -> None:
    times = [number * STEP + (number * 2711) % 4000 for number in range(200)]
    # 400 ppm: the camera's 8 s are 8.0032 of ours.
    clock = [(times[0], T0), (times[0] + 8 * 90_000, T0 + 8_003_200)]
    await shown.maker.record(encode_video("h264", times), T0, clock=clock)
    file = await shown.export(2.5, 11.25)
    plays_well(file)
    utc = [(time - times[0]) * 100 / 9 * 1.0004 for time in times]
    assert pictures(file) == [number for number, us in enumerate(utc) if 2_500_000 <= us < 11_250_000]


async def test_gaps_are_cut_out_and_told(shown: Shown) -> None:
    await shown.maker.record(steady(60), T0)
    await shown.maker.record(steady(60, first=100, session=1), at(20), reason="reconnect")
    file = await shown.export(-5, 60)
    plays_well(file)
    assert pictures(file) == [*range(60), *range(100, 160)]
    told = [part.split(":")[0] for part in shown.headers["footage-gaps"].split(",")]
    expected = [(-5, 0), (4, 20), (24, 60)]
    assert told == [f"{at(begin) // 1000}-{at(end) // 1000}" for begin, end in expected]
    assert shown.headers["footage-from"] == str(at(0) // 1000)
    assert shown.headers["footage-to"] == str(at(24) // 1000)
    assert abs(float(probe(file, "-show_entries", "format=duration")["format"]["duration"]) - 8) < 0.001


@pytest.mark.parametrize("b_frames", [(0, 2), (2, 0)])
async def test_parameters_that_change_in_the_middle(shown: Shown, b_frames: tuple[int, int]) -> None:
    before = encode_video("h264", [number * STEP for number in range(45)], b_frames=b_frames[0])
    times = [number * STEP for number in range(45, 90)]
    after = encode_video("h264", times, b_frames=b_frames[1], width=480, height=288, first=45)
    await shown.maker.record(rising([*before, *after]), T0)
    file = await shown.export(0, 6)
    decodes_without_a_word(file)
    assert pictures(file) == list(range(90))
    assert pictures(await shown.export(2.0, 4.0)) == list(range(30, 60))


async def test_a_change_of_codec_ends_the_clip_and_is_told(shown: Shown) -> None:
    await shown.maker.record(steady(60), T0)
    times = [number * STEP for number in range(60)]
    await shown.maker.record(encode_video("h265", times, first=100), at(4), reason="reconnect")
    file = await shown.export(0, 8)
    assert pictures(file) == list(range(60))
    assert shown.headers["footage-gaps"] == f"{at(4) // 1000}-{at(8) // 1000}:codec"


async def test_audio_that_comes_and_goes(shown: Shown) -> None:
    await shown.maker.record(steady(60), T0)
    await shown.maker.record(with_audio(steady(60, first=60), encode_audio(4)), at(4), reason="reconnect")
    await shown.maker.record(steady(60, first=120), at(8), reason="reconnect")
    file = await shown.export(1, 11)
    plays_well(file)
    assert pictures(file) == list(range(15, 165))
    file = await shown.export(0, 3)
    assert [one["codec_type"] for one in probe(file, "-show_entries", "stream=codec_type")["streams"]] == ["video"]


async def test_of_two_recorders_the_first_counts_until_it_ends(shown: Shown) -> None:
    await shown.maker.record(steady(90), T0, epoch=1)
    await shown.maker.record(steady(90, first=1000), at(3.5), epoch=2)
    file = await shown.export(0, 20)
    plays_well(file)
    # The second one's keys are at 3.5, 4.5, 5.5, 6.5: the first recorder ends at 6.
    assert pictures(file) == [*range(90), *range(1045, 1090)]
    assert pictures(await shown.export(5, 7)) == [*range(75, 90), *range(1045, 1053)]


async def test_runs_of_one_recorder_are_taken_whole(shown: Shown) -> None:
    await shown.maker.record(steady(60), T0)
    await shown.maker.record(steady(60, first=60), at(3.7), reason="jump")
    file = await shown.export(0, 10)
    plays_well(file)
    assert pictures(file) == list(range(120))
    assert shown.headers.get("footage-gaps", "").count(",") == 0


async def test_an_open_segment_is_read_as_far_as_its_row_goes(shown: Shown) -> None:
    made = await shown.maker.record(steady(90), T0, is_open=True)
    with made[-1].path.open("ab") as file:
        file.write(b"more is on disk already")
    assert pictures(await shown.export(4, 30)) == list(range(60, 90))


async def test_what_is_not_there(shown: Shown) -> None:
    await shown.maker.record(steady(60), T0)
    with pytest.raises(NotFound):
        await shown.clips.clip(shown.camera, "main", at(10), at(20))
    with pytest.raises(NotFound):
        await shown.clips.clip(shown.camera, "sub", at(0), at(3))
    with pytest.raises(InvalidInput):
        await shown.clips.clip(shown.camera, "main", at(3), at(3))
    with pytest.raises(InvalidInput):
        await shown.clips.clip(shown.camera, "main", at(0), at(25 * 3600))


async def test_a_root_that_is_not_served_here_is_told(shown: Shown) -> None:
    await shown.maker.record(steady(60), T0)
    elsewhere = Clips(shown.maker.store, lambda _: None, ClipsSettings())
    with pytest.raises(NotFound):
        await elsewhere.clip(shown.camera, "main", at(0), at(4))
    elsewhere.close()


async def test_lost_files_cost_their_own_footage_and_no_more(shown: Shown) -> None:
    made = await shown.maker.record(steady(240), T0)
    made[1].path.unlink()
    with made[3].path.open("r+b") as file:
        file.truncate(made[3].row.size - 1)
    file = await shown.export(0, 20)
    plays_well(file)
    assert pictures(file) == [*range(60), *range(120, 180)]
    told = [(4, 8, "lost"), (12, 16, "lost"), (16, 20, "nothing")]
    assert shown.headers["footage-gaps"] == ",".join(
        f"{at(begin) // 1000}-{at(end) // 1000}:{reason}" for begin, end, reason in told
    )
    assert shown.clips.stats.lost == 2
    text = await shown.clips.playlist(shown.camera, "main", at(0), at(20), lambda one: f"{one.n}")
    assert text.count("#EXT-X-DISCONTINUITY") == 1
    made[2].path.unlink()
    made[0].path.unlink()
    with pytest.raises(NotFound):
        await shown.clips.clip(shown.camera, "main", at(0), at(20))


async def test_a_file_that_vanishes_meanwhile_breaks_the_body(shown: Shown) -> None:
    made = await shown.maker.record(steady(150), T0)
    answer = await shown.clips.respond_clip(shown.camera, "main", at(0), at(10), "GET", {})
    made[2].path.unlink()
    with pytest.raises(FootageGone):
        await whole(answer.body)
    file = await shown.export(0, 10)
    assert pictures(file) == list(range(120)), "computed anew, since the kept one cannot be sent"


async def test_a_fragment_that_goes_back_does_not_turn_time_back(shown: Shown) -> None:
    """What no recorder of ours writes: `tfdt` of a later fragment lies before the end of the one before it."""
    made = await shown.maker.record(steady(60), T0)
    index = SegmentIndex(decode(made[0].row.sample_index).init_bytes)
    whole_file = read_segment(made[0].path).index
    assert whole_file.encode() == made[0].row.sample_index
    index.video, index.audio = whole_file.video, whole_file.audio
    index.video.skips[2] = -3 * STEP
    index.fragments, index._heads = whole_file.fragments, whole_file._heads
    async with shown.maker.store.connection() as connection:
        await connection.execute("UPDATE footage_segments SET sample_index = %s", (index.encode(),))
    times = packet_times(await shown.export(0, 4))
    assert len(times) == 60
    assert times == sorted(times)
