"""A real Chromium plays clips and seeks in them, and plays the byte ranges of a playlist by Media Source Extensions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from bench.chromium import Page, chromium
from streams.clips import HLS_MEDIA_TYPE, MediaResponse
from tests.streams.clips.conftest import T0, Shown, at
from tests.support.packets import BITS, encode_audio, encode_video, with_audio

PAGE = """<!doctype html><video id=video muted></video><script>
const video = document.getElementById('video');
const once = (target, name) => new Promise((done, fail) => {
  target.addEventListener(name, done, {once: true});
  video.addEventListener('error', () => fail(video.error && video.error.message), {once: true});
});
async function open(url) {
  const ready = once(video, 'loadeddata');
  video.src = url;
  await ready;
  return video.duration;
}
async function seek(s) { const there = once(video, 'seeked'); video.currentTime = s; await there; return number(); }
function number() {
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0);
  let found = 0;
  for (let bit = 0; bit < BITS; bit++) {
    const at = (bit + 0.5) * canvas.width / BITS;
    if (context.getImageData(at, canvas.height / 2, 1, 1).data[1] > 128) found |= 1 << bit;
  }
  return found;
}
async function range(url, [length, offset]) {
  const answer = await fetch(url, {headers: {Range: `bytes=${offset}-${offset + length - 1}`}});
  if (answer.status !== 206) throw new Error(`status ${answer.status}`);
  return answer.arrayBuffer();
}
async function mse(list, codecs) {
  const source = new MediaSource(), opened = once(source, 'sourceopen');
  video.src = URL.createObjectURL(source);
  await opened;
  const buffer = source.addSourceBuffer(`video/mp4; codecs="${codecs}"`);
  const append = async (data) => { const done = once(buffer, 'updateend'); buffer.appendBuffer(data); await done; };
  const lines = (await (await fetch(list)).text()).split('\\n');
  let span = null;
  for (const [number, line] of lines.entries()) {
    const map = /^#EXT-X-MAP:URI="(.*)",BYTERANGE="(.*)"/.exec(line);
    if (map) await append(await range(map[1], map[2].split('@').map(Number)));
    if (line.startsWith('#EXT-X-BYTERANGE:')) span = line.split(':')[1].split('@').map(Number);
    if (line && !line.startsWith('#')) await append(await range(line, span));
  }
  source.endOfStream();
  return video.buffered.length === 1 ? video.buffered.end(0) - video.buffered.start(0) : -1;
}
async function played() { video.playbackRate = 4; const end = once(video, 'ended'); await video.play(); await end;
  return video.getVideoPlaybackQuality().totalVideoFrames; }
</script>""".replace("BITS", str(BITS))


def passed(found: MediaResponse) -> Response:
    return StreamingResponse(found.body, found.status, found.headers)


@asynccontextmanager
async def served(shown: Shown) -> AsyncIterator[str]:
    """A port of 127.0.0.1 that gives clips, the playlist and segments of the camera."""

    async def clip(request: Request) -> Response:
        span = [at(float(request.query_params[name])) for name in ("from", "to")]
        return passed(
            await shown.clips.respond_clip(shown.camera, "main", *span, request.method, dict(request.headers))  # type: ignore[arg-type]
        )

    async def playlist(request: Request) -> Response:
        span = [at(float(request.query_params[name])) for name in ("from", "to")]
        text = await shown.clips.playlist(shown.camera, "main", *span, lambda one: f"/segments/{one.run}/{one.n}.mp4")
        return Response(text, media_type=HLS_MEDIA_TYPE)

    async def segment(request: Request) -> Response:
        path = request.path_params
        headers = dict(request.headers)
        return passed(await shown.clips.respond_segment(shown.camera, path["run"], path["n"], request.method, headers))

    async def page(_: Request) -> Response:
        return HTMLResponse(PAGE)

    routes = [Route("/", page), Route("/clip.mp4", clip), Route("/list.m3u8", playlist)]
    app = Starlette(routes=[*routes, Route("/segments/{run}/{n:int}.mp4", segment)])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none"))
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 uvicorn tells nobody
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = server.force_exit = True
            await asyncio.wait([serving], timeout=10)


async def shows(page: Page, seconds: float, picture: int, step: float) -> None:
    """Seeks into the middle of the picture's time and looks which one is on show."""
    assert await page.run(f"seek({seconds + step / 2})") == picture, f"{seconds} s"


async def test_clips_and_playlists(shown: Shown) -> None:
    step = 1 / 15
    first = encode_video("h264", [n * 6000 for n in range(120)], b_frames=2)
    await shown.maker.record(with_audio(first, encode_audio(8)), T0)
    again = encode_video("h264", [n * 6000 for n in range(60)], width=480, height=288, first=200)
    await shown.maker.record(with_audio(again, encode_audio(4)), at(20), reason="reconnect")
    async with served(shown) as url, chromium() as browser:
        async with browser.page(f"{url}/") as page:
            duration = await page.run(f"open('{url}/clip.mp4?from=2.2&to=7.4')")
            assert abs(duration - 5.2) < 0.01
            for picture in (33, 110, 45, 80, 34):
                await shows(page, picture * step - 2.2, picture, step)
            duration = await page.run(f"open('{url}/clip.mp4?from=5&to=60')")
            assert abs(duration - 7) < 0.02
            await shows(page, 1.0, 90, step)
            await shows(page, 3 + 2, 230, step)
            await shows(page, 0.0, 75, step)
            assert await page.run("video.videoWidth") == 320
            assert await page.run("seek(6)") > 200
            await page.run(f"open('{url}/clip.mp4?from=20&to=24')")
            assert await page.run("played()") == 60
        async with browser.page(f"{url}/") as page:
            codecs = "avc1.4d400c,mp4a.40.2"
            length = await page.run(f"mse('{url}/list.m3u8?from=0&to=8', '{codecs}')")
            assert abs(length - 8) < 0.1
            # Times of a run count from its first dts: with reordered pictures the first is shown a little later.
            begin = await page.run("video.buffered.start(0)")
            for picture in (1, 100, 59, 60, 119):
                await shows(page, begin + picture * step, picture, step)
