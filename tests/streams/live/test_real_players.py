"""The players that people have: aiortc, and Chromium by WHEP and by MSE; pictures are on show and new."""

import asyncio
import os
import signal
from typing import Any

from aiortc import RTCPeerConnection, RTCSessionDescription

from bench.chromium import Page, chromium
from bench.live_port import live_port
from bench.live_source import Film, Player, StampedCamera
from streams.hub import Hub
from tests.streams.live.conftest import live_view, settings, until


async def test_aiortc_decodes_it(plain: Film) -> None:
    hub = Hub()
    with Player(hub, plain):
        async with live_view({("c", "main"): hub}, ice_addresses=[]) as live:
            browser = RTCPeerConnection()
            browser.addTransceiver("audio", direction="recvonly")
            browser.addTransceiver("video", direction="recvonly")
            tracks = []
            browser.on("track", tracks.append)
            await browser.setLocalDescription(await browser.createOffer())
            answer = await live.offer("c", "main", browser.localDescription.sdp)
            await browser.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
            video = next(track for track in tracks if track.kind == "video")
            async with asyncio.timeout(20):
                frames = [await video.recv() for _ in range(10)]
            assert {(frame.width, frame.height) for frame in frames} == {(640, 360)}
            await browser.close()
            await until(lambda: live.stats.whep == 0, 5)


async def playing(page: Page, count: int) -> dict[str, Any]:
    """What the page knows once so many pictures were on show."""
    await page.run(f"playing({count})", 20)
    told: dict[str, Any] = await page.run("({...state, at_s: video.currentTime, width: video.videoWidth})")
    return told


async def test_chromium(plain: Film, smaller: Film, reordered: Film, h265: Film) -> None:
    """One browser for all, since starting it takes longest."""
    hubs = {(name, "main"): Hub() for name in ("stamped", "plain", "reordered", "h265")}
    films = {"plain": plain, "reordered": reordered, "h265": h265}
    with StampedCamera(hubs["stamped", "main"], (640, 360), gop_s=1.0, bits_per_s=600_000):
        players = {name: Player(hubs[name, "main"], film) for name, film in films.items()}
        with players["plain"] as changing, players["reordered"], players["h265"]:
            async with live_port(hubs, settings(silent_s=3)) as (live, url), chromium() as browser:
                socket_url = f"ws{url[4:]}"
                await until(lambda: all(hub.gop() for hub in hubs.values()))

                async with browser.page(f"{url}/") as page:
                    assert await page.run(f"whep('{url}/whep/stamped/main', true, true)") == "ok"
                    told = await playing(page, 20)
                    assert told["at_s"] > 0.5
                    delays = sorted(delay for _, delay in told["delays"][8:])
                    assert 0 <= delays[len(delays) // 2] <= 1000, "how good it is, the benchmark says"
                    gone = await page.run("fetch(state.location, {method: 'DELETE'}).then((answer) => answer.status)")
                    assert gone == 200
                    await until(lambda: live.stats.closed["deleted"] == 1)

                async with browser.page(f"{url}/") as page:
                    assert await page.run(f"whep('{url}/whep/plain/main', false, false)") == "ok"
                    await playing(page, 5)
                    changing.play(smaller)
                    await page.run("new Promise((done) => { video.onresize = done; })", 20)
                    assert await page.run("video.videoWidth") == 320
                    await playing(page, (await playing(page, 1))["frames"] + 5)

                for camera in ("reordered", "h265"):
                    async with browser.page(f"{url}/") as page:
                        assert await page.run(f"whep('{url}/whep/{camera}/main', false, false)") == "ok"
                        assert (await playing(page, 10))["width"] == 640
                        await page.run("connection.close()")

                for camera, width in (("stamped", 640), ("reordered", 1280), ("h265", 640)):
                    async with browser.page(f"{url}/") as page:
                        await page.run(f"mse('{socket_url}/mse/{camera}/main')")
                        told = await playing(page, 15)
                        assert (told["error"], told["width"]) == (None, width)
                await until(lambda: live.stats.mse == 0, 5)

                async with browser.page(f"{url}/") as page:
                    assert await page.run(f"whep('{url}/whep/stamped/main', false, false)") == "ok"
                    await playing(page, 5)
                    os.kill(browser.pid, signal.SIGKILL)
                await until(lambda: not live.feeds, 10)
                assert live.stats.whep == 0
                await until(lambda: all(not hub.readers for hub in hubs.values()))
