"""`whep_viewer_cpu`, `whep_first_picture`, `whep_delay`: what a viewer costs, and how old the picture is that it sees.

CPU: one 720p15 camera of 2 Mbit/s in a process of its own, watched by ten viewers that connect as browsers do but
decode nothing; beside it `ffmpeg -re -c copy -f rtp` of the same film. First picture and delay: in a real Chromium on
this machine; each picture carries its own time as a bar code, which the page reads back when the picture is on show.
"""

import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import TypeVar

import httpx
import psutil
import uvloop

from bench.broker import MissingYardstick
from bench.chromium import Chromium, chromium
from bench.live_port import live_port
from bench.live_source import Film, StampedCamera, film
from bench.live_viewer import viewer
from bench.report import Result, at_most
from core.errors import WanggeError
from core.media import TICKS_PER_S, VIDEO, Packet
from streams.hub import Hub
from streams.mp4.fragment import fragment
from streams.mp4.init import init_section

VIEWERS = 10
CPU_GOAL, DELAY_GOAL_S, FIRST_GOAL_S = 0.01, 0.150, 0.500
_START_S = 60.0
_T = TypeVar("_T")


def live(*, quick: bool = False) -> Sequence[Result]:
    """Yardstick and ours in the same run. Raises MissingYardstick without ffmpeg or Chromium."""
    for program in ("ffmpeg", "chromium"):
        if shutil.which(program) is None:
            raise MissingYardstick(f"{program} is missing: install the Debian package {program}.")
    return uvloop.run(_live(*(2.0, 3) if quick else (15.0, 10), at_once=quick))


async def _live(measured_s: float, openings: int, *, at_once: bool) -> list[Result]:
    """at_once: all parts beside each other, which CPU time does not mind, and the delay only a little."""
    turn = asyncio.Semaphore(3 if at_once else 1)
    async with asyncio.TaskGroup() as tasks:
        yardsticks = tasks.create_task(_in_turn(turn, asyncio.to_thread(_ffmpeg_share, measured_s)))
        shares = tasks.create_task(_in_turn(turn, _viewer_shares(measured_s)))
        seen = tasks.create_task(_in_turn(turn, _in_chromium(measured_s, openings)))
    yardstick, (idle, one, ten), (firsts, delays) = yardsticks.result(), shares.result(), seen.result()
    each = (ten - idle) / VIEWERS
    cpu = at_most(
        "whep_viewer_cpu",
        each,
        CPU_GOAL,
        "cores",
        first_viewer_cores=round(one - idle, 5),
        viewers=VIEWERS,
        camera_alone_cores=round(idle, 5),
    )
    return [
        Result(cpu.name, cpu.value, cpu.unit, cpu.goal, cpu.met, yardstick, _ratio(each, yardstick), cpu.details),
        at_most(
            "whep_first_picture",
            statistics.median(firsts),
            FIRST_GOAL_S,
            "s",
            most_s=round(max(firsts), 3),
            n=len(firsts),
        ),
        at_most(
            "whep_delay",
            statistics.median(delays),
            DELAY_GOAL_S,
            "s",
            p95_s=round(statistics.quantiles(delays, n=20)[18], 3),
            n=len(delays),
        ),
    ]


async def _in_turn(turn: asyncio.Semaphore, part: Coroutine[None, None, _T]) -> _T:
    async with turn:
        return await part


def _ratio(ours: float, yardstick: float) -> float | None:
    return round(ours / yardstick, 3) if yardstick else None


def _ffmpeg_share(measured_s: float) -> float:
    """Cores that ffmpeg takes to send the film as RTP to nobody in particular."""
    with tempfile.TemporaryDirectory(prefix="wangge-live-") as folder:
        file = Path(folder) / "film.mp4"
        file.write_bytes(_movie(film("h264", (1280, 720), 15, seconds=4, gop_s=2, bits_per_s=2_000_000)))
        command = ["ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", str(file), "-c", "copy", "-f", "rtp"]
        with subprocess.Popen([*command, "rtp://127.0.0.1:9"], stdout=subprocess.DEVNULL) as process:
            try:
                return _share(psutil.Process(process.pid), measured_s)
            finally:
                process.kill()


def _movie(of: Film) -> bytes:
    parts = [init_section(of.packets[0][4])]
    for number, (dts, pts, is_key, data, formats) in enumerate(of.packets, 1):
        packet = Packet(VIDEO, pts, dts, 0, is_key, data, 0, 0.0, 1, formats)
        parts.append(fragment(number, dts, 0, [packet], [TICKS_PER_S // 15]).data)
    return b"".join(parts)


def _share(process: psutil.Process, measured_s: float) -> float:
    """Cores taken over so many seconds, after a second of warming up; blocks."""
    with_children = [process, *process.children(recursive=True)]
    psutil.cpu_percent(min(1.0, measured_s / 4))
    before, began_s = sum(sum(p.cpu_times()[:2]) for p in with_children), monotonic()
    psutil.cpu_percent(measured_s)
    return (sum(sum(p.cpu_times()[:2]) for p in with_children) - before) / (monotonic() - began_s)


async def _viewer_shares(measured_s: float) -> tuple[float, float, float]:
    """Cores of the server with no viewer, one, and VIEWERS."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.live_server", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    assert server.stdin is not None
    try:
        async with asyncio.timeout(_START_S):
            url = (await server.stdout.readline()).decode().strip()
        process = psutil.Process(server.pid)
        shares = [await asyncio.to_thread(_share, process, measured_s)]
        async with AsyncExitStack() as stack:
            watching = [await stack.enter_async_context(viewer(lambda offer: _posted(url, offer)))]
            shares.append(await asyncio.to_thread(_share, process, measured_s))
            watching += [
                await stack.enter_async_context(viewer(lambda offer: _posted(url, offer))) for _ in range(VIEWERS - 1)
            ]
            counts = [each.seen.pictures for each in watching]
            shares.append(await asyncio.to_thread(_share, process, measured_s))
            if any(each.seen.pictures - count < 14 * measured_s for each, count in zip(watching, counts, strict=True)):
                raise WanggeError("A viewer did not get every picture: the figures mean nothing.")
        return shares[0], shares[1], shares[2]
    finally:
        server.stdin.close()
        await server.wait()


async def _posted(url: str, offer: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            f"{url}/whep/c/main", content=offer, headers={"Content-Type": "application/sdp"}, timeout=20
        )
    if answer.status_code != 201:
        raise WanggeError(f"WHEP answers {answer.status_code}: {answer.text[:500]}")
    return answer.text


async def _in_chromium(measured_s: float, openings: int) -> tuple[list[float], list[float]]:
    """Seconds from asking to the first picture on show, one an opening; ages of pictures on show, seconds."""
    hub = Hub()
    with StampedCamera(hub):
        async with live_port({("c", "main"): hub}) as (_, url), chromium() as browser:
            await _opened(browser, url, 0)
            firsts = [(await _opened(browser, url, 0))[0] for _ in range(openings)]
            _, delays = await _opened(browser, url, measured_s)
    return firsts, delays


async def _opened(browser: Chromium, url: str, watched_s: float) -> tuple[float, list[float]]:
    async with browser.page(f"{url}/") as page:
        told = await page.run(f"whep('{url}/whep/c/main', true, false)")
        if told != "ok":
            raise WanggeError(f"WHEP was refused: {told}")
        await page.run("playing(1)")
        await asyncio.sleep(watched_s)
        first = await page.run("state.first_ms / 1000")
        delays = await page.run("state.delays.slice(15).map((pair) => pair[1] / 1000)")
        await page.run("connection.close()")
        return first, delays
