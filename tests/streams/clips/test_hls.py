"""HLS over the segment files as they lie: ffmpeg plays every picture, tags are right, a growing playlist only grows."""

import re
from pathlib import Path

import pytest

from core.errors import NotFound
from store.footage_spans import StoredSegment
from tests.streams.clips.conftest import T0, Shown, at
from tests.streams.clips.playing import pictures, whole
from tests.support.packets import encode_audio, encode_video, with_audio


def url_of(segment: StoredSegment) -> str:
    return f"{segment.run}-{segment.n}.mp4"


async def playlist(shown: Shown, from_s: float, to_s: float) -> list[str]:
    text = await shown.clips.playlist(shown.camera, "main", at(from_s), at(to_s), url_of)
    return text.splitlines()


def kept_beside(lines: list[str], shown: Shown) -> Path:
    """The playlist as a file; addresses become paths."""
    files = {file.name: file for file in shown.folder.rglob("*.mp4")}
    text = "\n".join(lines)
    for name, file in files.items():
        text = text.replace(name, str(file))
    found = shown.folder / "list.m3u8"
    found.write_text(text)
    return found


def extents(lines: list[str]) -> list[tuple[int, int]]:
    matches = [re.fullmatch(r"#EXT-X-BYTERANGE:(\d+)@(\d+)", line) for line in lines]
    return [(int(match[1]), int(match[2])) for match in matches if match]


async def test_a_finished_span_plays(shown: Shown) -> None:
    video = encode_video("h264", [n * 6000 for n in range(150)], b_frames=2)
    await shown.maker.record(with_audio(video, encode_audio(10)), T0)
    lines = await playlist(shown, 0, 10)
    assert lines[-1] == "#EXT-X-ENDLIST"
    assert "#EXT-X-TARGETDURATION:4" in lines
    assert "#EXT-X-DISCONTINUITY" not in lines
    assert [line for line in lines if line.startswith("#EXT-X-MAP")] == [lines[6]]
    assert pictures(kept_beside(lines, shown)) == list(range(150))


async def test_entries_overlap_the_span_and_begin_with_keys(shown: Shown) -> None:
    made = await shown.maker.record(encode_video("h264", [n * 6000 for n in range(150)], gop=30), T0)
    lines = await playlist(shown, 5, 7)
    # Segments of 4 s, entries of at least 4 s: exactly the second segment.
    [(length, offset)] = extents(lines)
    assert offset + length == made[1].path.stat().st_size
    assert pictures(kept_beside(lines, shown)) == list(range(60, 120))


@pytest.mark.parametrize("change", ["run", "size"])
async def test_discontinuities(shown: Shown, change: str) -> None:
    first = encode_video("h264", [n * 6000 for n in range(60)])
    if change == "run":
        await shown.maker.record(first, T0)
        await shown.maker.record(encode_video("h264", [n * 6000 for n in range(60)], first=60), at(30), reason="jump")
    else:
        times = [n * 6000 for n in range(60, 120)]
        await shown.maker.record([*first, *encode_video("h264", times, width=480, height=288, first=60)], T0)
    lines = await playlist(shown, 0, 60)
    place = lines.index("#EXT-X-DISCONTINUITY")
    assert lines[place + 1].startswith("#EXT-X-MAP")
    assert lines.count("#EXT-X-DISCONTINUITY") == 1
    dates = [line.partition(":")[2] for line in lines if line.startswith("#EXT-X-PROGRAM-DATE-TIME")]
    assert dates == ["2026-09-21T14:13:20.000Z", f"2026-09-21T14:13:{50 if change == 'run' else 24}.000Z"]
    # Each part by itself: ffmpeg throws away what lies before the newest time stamp that it saw, although the
    # discontinuity allows it (avformat's mov reader knows nothing of it); hls.js does not.
    head = [line for line in lines[:place] if not line.startswith(("#EXT-X-BYTERANGE", "#EXTINF"))][:6]
    assert pictures(kept_beside([*lines[:place], "#EXT-X-ENDLIST"], shown)) == list(range(60))
    assert pictures(kept_beside([*head, *lines[place + 1 :]], shown)) == list(range(60, 120))


async def test_a_growing_playlist_only_gets_longer(shown: Shown) -> None:
    packets = encode_video("h264", [n * 6000 for n in range(220)], gop=20)
    shown.maker.segment_ticks = 8 * 90_000
    now = at(0)
    shown.clips._now_us = lambda: now
    before: list[str] = []
    for count in range(20, 221, 20):
        now = at(count / 15)
        if before:
            await forget_rows(shown)
        await shown.maker.record(packets[:count], T0, is_open=True)
        try:
            lines = await playlist(shown, 0, 3600)
        except NotFound:
            continue
        assert lines[: len(before)] == before
        assert "#EXT-X-ENDLIST" not in lines
        assert "#EXT-X-PLAYLIST-TYPE:EVENT" in lines
        before = lines
    assert pictures(kept_beside([*before, "#EXT-X-ENDLIST"], shown))[:120] == list(range(120))


async def forget_rows(shown: Shown) -> None:
    async with shown.maker.store.connection() as connection:
        await connection.execute("DELETE FROM footage_segments")
        await connection.execute("DELETE FROM footage_runs")
    shown.maker._runs -= 1


async def test_ranges_of_the_segment_file(shown: Shown) -> None:
    made = await shown.maker.record(encode_video("h264", [n * 6000 for n in range(90)]), T0)
    everything = made[0].path.read_bytes()
    for length, offset in extents(await playlist(shown, 0, 4)):
        headers = {"range": f"bytes={offset}-{offset + length - 1}"}
        answered = await shown.clips.respond_segment(shown.camera, made[0].row.run, 0, "GET", headers)
        assert await whole(answered.body) == everything[offset : offset + length]
        assert everything[offset + 4 : offset + 8] == b"moof"
    with pytest.raises(NotFound):
        await shown.clips.respond_segment(shown.camera + 1, made[0].row.run, 0, "GET", {})


async def test_h265_plays(shown: Shown) -> None:
    await shown.maker.record(encode_video("h265", [n * 6000 for n in range(90)]), T0)
    assert pictures(kept_beside(await playlist(shown, 0, 10), shown)) == list(range(90))
