"""Range, If-Range, ETag: decided as RFC 9110 says, and the bytes are those of the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.clips.ranges import answer
from tests.streams.clips.conftest import T0, Shown, at
from tests.streams.clips.playing import whole
from tests.support.packets import encode_video

TAG = '"abc"'


@pytest.mark.parametrize(
    ("headers", "status", "span"),
    [
        ({}, 200, (0, 1000)),
        ({"range": "bytes=0-"}, 206, (0, 1000)),
        ({"range": "bytes=0-0"}, 206, (0, 1)),
        ({"range": "bytes=10-19"}, 206, (10, 20)),
        ({"range": "bytes=990-5000"}, 206, (990, 1000)),
        ({"range": "bytes=-5"}, 206, (995, 1000)),
        ({"range": "bytes=-5000"}, 206, (0, 1000)),
        ({"range": "bytes= 1-2 "}, 206, (1, 3)),
        ({"range": "bytes=1000-"}, 416, (0, 0)),
        ({"range": "bytes=-0"}, 416, (0, 0)),
        ({"range": "bytes=5-4"}, 200, (0, 1000)),
        ({"range": "bytes=-"}, 200, (0, 1000)),
        ({"range": "bytes=1-2,5-6"}, 200, (0, 1000)),
        ({"range": "lines=1-2"}, 200, (0, 1000)),
        ({"range": "bytes=1-2", "if-range": TAG}, 206, (1, 3)),
        ({"range": "bytes=1-2", "if-range": '"other"'}, 200, (0, 1000)),
        ({"range": "bytes=1-2", "if-range": f"W/{TAG}"}, 200, (0, 1000)),
        ({"range": "bytes=1-2", "if-range": "Wed, 21 Oct 2026 07:28:00 GMT"}, 200, (0, 1000)),
        ({"if-none-match": TAG}, 304, (0, 0)),
        ({"if-none-match": f'"x", W/{TAG}'}, 304, (0, 0)),
        ({"if-none-match": '"x"'}, 200, (0, 1000)),
        ({"if-match": f'"x", {TAG}'}, 200, (0, 1000)),
        ({"if-match": '"x"', "range": "bytes=1-2"}, 412, (0, 0)),
        ({"if-match": "*"}, 200, (0, 1000)),
    ],
)
def test_decisions(headers: dict[str, str], status: int, span: tuple[int, int]) -> None:
    found = answer("GET", headers, 1000, TAG, "video/mp4")
    assert (found.status, (found.start, found.end)) == (status, span)
    assert found.headers["etag"] == TAG
    if status == 206:
        assert found.headers["content-range"] == f"bytes {span[0]}-{span[1] - 1}/1000"
        assert found.headers["content-length"] == str(span[1] - span[0])
    if status == 416:
        assert found.headers["content-range"] == "bytes */1000"


def test_head_has_the_whole_length_and_no_body() -> None:
    found = answer("HEAD", {"range": "bytes=1-2"}, 1000, TAG, "video/mp4")
    assert (found.status, found.start, found.end, found.headers["content-length"]) == (200, 0, 0, "1000")


@given(st.text(max_size=40), st.integers(0, 10**12))
def test_any_header_is_answered(value: str, length: int) -> None:
    for wanted in (value, f"bytes={value}"):
        found = answer("GET", {"range": wanted}, length, TAG, "video/mp4")
        assert found.status in (200, 206, 416)
        assert 0 <= found.start <= found.end <= length


async def test_ranges_of_a_clip_are_slices_of_the_whole(shown: Shown) -> None:
    for number in range(2):
        packets = encode_video("h264", [n * 6000 for n in range(150)], session=number)
        await shown.maker.record(packets, at(number * 15), reason="reconnect")

    async def get(headers: dict[str, str]) -> tuple[int, bytes]:
        answered = await shown.clips.respond_clip(shown.camera, "main", at(1.5), at(20), "GET", headers)
        data = await whole(answered.body)
        assert len(data) == int(answered.headers["content-length"])
        return answered.status, data

    _, everything = await get({})
    dice = __import__("random").Random(7)
    for _ in range(60):
        first, last = sorted(dice.randrange(len(everything)) for _ in range(2))
        assert await get({"range": f"bytes={first}-{last}"}) == (206, everything[first : last + 1])
    assert await get({"range": "bytes=-100"}) == (206, everything[-100:])
    assert (await get({"range": f"bytes={len(everything)}-"}))[0] == 416
    assert shown.clips.stats.clips == 1


async def test_a_player_goes_on_with_the_file_it_began(shown: Shown) -> None:
    """Up to now: more is recorded between two requests of one player, who names the ETag it began with."""
    packets = encode_video("h264", [n * 6000 for n in range(180)])
    await shown.maker.record(packets[:90], T0)
    first = await shown.clips.respond_clip(shown.camera, "main", at(0), at(60), "GET", {"range": "bytes=0-99"})
    await shown.maker.record(packets[90:], at(6), reason="reconnect")
    forget_freshness(shown)
    names = {"range": "bytes=100-", "if-range": first.headers["etag"]}
    rest = await shown.clips.respond_clip(shown.camera, "main", at(0), at(60), "GET", names)
    assert rest.status == 206
    assert rest.headers["etag"] == first.headers["etag"]
    assert len(await whole(first.body)) + len(await whole(rest.body)) == int(
        rest.headers["content-range"].rpartition("/")[2]
    )
    again = await shown.clips.respond_clip(shown.camera, "main", at(0), at(60), "GET", {"range": "bytes=7-"})
    assert again.headers["etag"] == first.headers["etag"], "as Chromium asks: without a word about the file"
    anew = await shown.clips.respond_clip(shown.camera, "main", at(0), at(60), "HEAD", {})
    assert anew.headers["etag"] != first.headers["etag"]


def forget_freshness(shown: Shown) -> None:
    """As if the kept files had been made long ago."""
    kept = shown.clips._kept._files
    for key, (made_s, file) in list(kept.items()):
        kept[key] = (made_s - 3600, file)


async def test_the_same_rows_make_the_same_file(shown: Shown) -> None:
    await shown.maker.record(encode_video("h264", [n * 6000 for n in range(90)]), T0)
    one = await shown.clips.clip(shown.camera, "main", at(1), at(5))
    two = await shown.clips.clip(shown.camera, "main", at(1), at(5))
    other = await shown.clips.clip(shown.camera, "main", at(1.1), at(5))
    assert (one.etag, one.head) == (two.etag, two.head)
    assert other.etag != one.etag
