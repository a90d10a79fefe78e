"""Cameras as their users have them: added while the service runs, recorded, exported, played by foreign programs.

The cameras are simulated ones that speak real RTSP; the programs are ffprobe, ffmpeg, curl and a real Chromium.
"""

import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from bench.chromium import Page, chromium
from tests.acceptance.conftest import House
from tests.support.rtsp import Street, usual_cameras
from tests.support.service import until

ENOUGH_S = 14.0
"""So that every test finds the seconds that it asks for, whichever comes first."""
PASSWORD = "a password of this test"


@dataclass(frozen=True)
class Watched:
    """A camera that is recorded for some seconds by the running service."""

    house: House
    street: Street
    id: str
    since: datetime
    recorded_after_s: float

    @property
    def bearer(self) -> dict[str, str]:
        """Of the local administrator."""
        return {"Authorization": f"Bearer {(self.house.service.data / 'local-token').read_text().strip()}"}

    def span(self, seconds: float = 8.0) -> dict[str, str]:
        """The last seconds."""
        now = datetime.now(UTC)
        return {"from": (now - timedelta(seconds=seconds)).isoformat(), "to": now.isoformat()}


@pytest.fixture(scope="module")
def watched(house: House) -> Iterator[Watched]:
    street = Street(usual_cameras())
    try:
        since = datetime.now(UTC)
        house.does("devices", "add", "camera", "--id", "c-h264", "--url", street.url("h264"))
        began = time.monotonic()
        until(lambda: house.tells("clips", "list", "--camera", "c-h264")["spans"], 20, "footage")
        after_s = time.monotonic() - began
        until(lambda: datetime.now(UTC) - since > timedelta(seconds=ENOUGH_S), 30, "enough footage")
        yield Watched(house, street, "c-h264", since, after_s)
    finally:
        street.close()


def frames(file: Path) -> list[float]:
    """Presentation times of every picture that ffprobe decodes; fails on any complaint of it."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "json", file],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [float(frame["pts_time"]) for frame in json.loads(done.stdout)["frames"]]


def test_a_camera_added_while_running_is_recorded_within_seconds(watched: Watched) -> None:
    # 5 s and its GOP of a second; asking takes the command line up to a second itself
    assert watched.recorded_after_s < 8


def test_an_exported_clip_decodes_without_a_word_and_never_goes_back(watched: Watched, tmp_path: Path) -> None:
    span, file = watched.span(6.0), tmp_path / "clip.mp4"
    said = watched.house.does(
        "clips", "export", "--camera", watched.id, "--from", span["from"], "--to", span["to"], "--out", str(file)
    )
    assert str(file) in said
    times = frames(file)
    assert times == sorted(times)
    assert len(set(times)) == len(times)
    gaps = {round(b - a, 3) for a, b in itertools.pairwise(times)}
    assert gaps <= {0.066, 0.067}, "15 pictures a second, none missing"
    assert len(times) > 45, "at least the three seconds that are certainly in rows"


def test_ffmpeg_plays_the_playlist_from_its_address(watched: Watched, tmp_path: Path) -> None:
    url = httpx.URL(f"{watched.house.http}/api/cameras/{watched.id}/playlist.m3u8", params=watched.span(6.0))
    token = watched.bearer["Authorization"]
    command = ["ffmpeg", "-v", "error", "-headers", f"Authorization: {token}\r\n", "-live_start_index", "0", "-t", "2"]
    done = subprocess.run(
        [*command, "-i", str(url), "-c", "copy", str(tmp_path / "hls.mp4")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert len(frames(tmp_path / "hls.mp4")) > 15


def test_ranges_are_exact_through_the_console(watched: Watched) -> None:
    span = watched.span(5.0)
    url = f"{watched.house.http}/api/cameras/{watched.id}/clip.mp4"
    with httpx.Client(headers=watched.bearer, trust_env=False, params=span) as client:
        whole = client.get(url)
        assert whole.status_code == 200
        assert int(whole.headers["content-length"]) == len(whole.content)
        part = client.get(url, headers={"Range": "bytes=100-1099", "If-Range": whole.headers["etag"]})
        assert (part.status_code, part.content) == (206, whole.content[100:1100])
        assert part.headers["content-range"] == f"bytes 100-1099/{len(whole.content)}"
        head = client.head(url)
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(whole.content)))
        beyond = client.get(url, headers={"Range": f"bytes={len(whole.content)}-"})
        assert beyond.status_code == 416


def test_pictures_are_jpegs_of_the_asked_width(watched: Watched) -> None:
    with httpx.Client(base_url=watched.house.http, headers=watched.bearer, trust_env=False) as client:
        for query in ("width=160", f"at={(datetime.now(UTC) - timedelta(seconds=5)).isoformat()}".replace("+", "%2B")):
            answer = client.get(f"/api/cameras/{watched.id}/snapshot.jpg?{query}")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg"), answer.text
            assert answer.content[:3] == b"\xff\xd8\xff"
        assert client.get("/api/cameras/nobody/snapshot.jpg").status_code == 404


def test_status_and_metrics_know_the_camera(watched: Watched) -> None:
    with httpx.Client(base_url=watched.house.http, headers=watched.bearer, trust_env=False) as client:
        line = next(one for one in client.get("/api/cameras").json() if one["id"] == watched.id)
        assert line["streams"]["main"]["state"] == "up"
        text = client.get("/metrics").text
        assert f'wangge_camera_packets_total{{camera="{watched.id}",stream="main"}}' in text
        assert text.count("# HELP wangge_camera_up ") == 1
    parts = {one["part"]: one for one in watched.house.tells("status")["parts"]}
    assert parts["streams.worker.1"]["state"] == "ok", parts["streams.worker.1"]


async def signed_in(watched: Watched, page: Page) -> None:
    """The page of cameras, as an operator who signed in sees it."""
    async with httpx.AsyncClient(base_url=watched.house.http, trust_env=False) as client:
        await client.post("/sign-in", data={"name": "camera-operator", "password": PASSWORD})
        for name, value in client.cookies.items():
            await page.call("Network.setCookie", {"name": name, "value": value, "url": watched.house.http})
    await page.call("Page.navigate", {"url": f"{watched.house.http}/cameras"})
    await page.loaded()


@pytest.fixture(scope="module")
def operator(watched: Watched) -> Watched:
    with httpx.Client(base_url=watched.house.http, headers=watched.bearer, trust_env=False) as client:
        body = {"name": "camera-operator", "role": "operator", "password": PASSWORD}
        answer = client.post("/api/operators", json=body)
        assert answer.status_code < 300, answer.text
    return watched


async def test_an_operator_sees_it_live_and_goes_back_in_time(operator: Watched, program: Callable[[str], str]) -> None:
    program("chromium")
    async with chromium() as browser, browser.page(f"{operator.house.http}/sign-in") as page:
        await signed_in(operator, page)
        click = f"new Promise(done => setTimeout(done, 1500)).then(() => choose('{operator.id}'))"
        await page.run(click)
        seen = (
            "new Promise((done, fail) => { let n = 0; const more = () => { if (++n >= 15) done(video.videoWidth); "
            "else video.requestVideoFrameCallback(more); }; video.requestVideoFrameCallback(more); "
            "setTimeout(() => fail(new Error('only ' + n + ' pictures: ' + $('say').textContent)), 15000); })"
        )
        assert await page.run(seen) == 320, "live by WebRTC"
        assert "live" in await page.run("$('say').textContent")
        await page.run("RTCPeerConnection = undefined; live()")
        assert await page.run(seen) == 320, "live by MSE"
        assert "MSE" in await page.run("$('say').textContent")
        back = operator.span(6.0)
        await page.run(f"play(Date.parse('{back['from']}'), Date.parse('{back['to']}'))")
        assert await page.run(seen) == 320, "the recording"
        assert await page.run("video.error === null && video.duration > 2")
        there = "new Promise(done => { video.onseeked = () => done(video.currentTime); video.currentTime = 1; })"
        assert await page.run(there) == pytest.approx(1.0, abs=0.05), "it seeks"


async def test_a_live_picture_that_ended_is_not_called_live(operator: Watched, program: Callable[[str], str]) -> None:
    program("chromium")
    async with chromium() as browser, browser.page(f"{operator.house.http}/sign-in") as page:
        await signed_in(operator, page)
        await page.run(
            "window.places = []; window.words = []; const asked = fetch; "
            "window.fetch = async (...what) => { const answer = await asked(...what); "
            "const place = answer.headers.get('Location'); if (place) places.push(place); return answer; }; "
            "new MutationObserver(() => words.push($('say').textContent)).observe($('say'), {childList: true})"
        )
        await page.run(f"void choose('{operator.id}')")
        live = (
            "new Promise((done, fail) => { const look = () => { "
            "if (words.at(-1) === '实时 live') done(places.length); else setTimeout(look, 50); }; "
            "look(); setTimeout(() => fail(new Error(words.join(' | '))), 20000); })"
        )
        assert await page.run(live) == 1
        await page.run("asked(places[0], {method: 'DELETE', headers: {'X-CSRF-Token': csrf}})")
        again = (
            "new Promise((done, fail) => { const look = () => { "
            "const at = words.findIndex(one => one.includes('again')); "
            "if (at >= 0 && words.slice(at).includes('实时 live')) done(places.length); else setTimeout(look, 50); }; "
            "look(); setTimeout(() => fail(new Error(words.join(' | '))), 20000); })"
        )
        assert await page.run(again) == 2, "it connected again by itself"


async def test_the_page_says_why_there_is_no_live_video(operator: Watched, program: Callable[[str], str]) -> None:
    """The sentence that the worker sends by WebSocket, where WebRTC said nothing of use."""
    program("chromium")
    async with chromium() as browser, browser.page(f"{operator.house.http}/sign-in") as page:
        await signed_in(operator, page)
        await page.run(
            "RTCPeerConnection = undefined; window.WebSocket = class { constructor() { setTimeout(() => { "
            "this.onmessage({data: JSON.stringify({kind: 'error', message: 'Too many watch.'})}); "
            "this.onclose(); }); } close() {} }"
        )
        await page.run(f"void choose('{operator.id}')")
        told = (
            "new Promise((done, fail) => { const look = () => { "
            "if ($('say').textContent === 'Too many watch.') done(true); else setTimeout(look, 50); }; "
            "look(); setTimeout(() => fail(new Error($('say').textContent)), 20000); })"
        )
        assert await page.run(told)
