"""ffprobe and PyAV play the simulated cameras: every frame that was sent, none of them broken, over the loop's seam."""

import asyncio
import time
from dataclasses import replace
from itertools import pairwise

import av
import pytest

from simulators.cameras import Server, camera
from simulators.cameras.camera import Camera
from simulators.cameras.loop import Loop, prepared
from tests.simulators.cameras.conftest import MAIN, SUB, Client, Played, encoded, probe, timestamp


async def played(server: Server, url: str, seconds: float) -> Played:
    """What ffprobe sees of a server that ends its connections after so many seconds."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(probe(url))
        await asyncio.sleep(seconds)
        server.wheel.close()
        for connection in tuple(server.connections):
            connection.close()
    return task.result()


@pytest.mark.parametrize("qop", [False, True])
async def test_main_and_sub_with_digest_over_the_seam(one_camera: Camera, qop: bool) -> None:
    async with Server([one_camera], user="admin", password="p@ss word", qop=qop) as server:
        base = f"rtsp://admin:p%40ss%20word@127.0.0.1:{server.port}/cam-0001"
        async with asyncio.TaskGroup() as group:
            main = group.create_task(played(server, base + "?channel=1&subtype=0", 3.2))
            sub = group.create_task(probe(base + "/sub"))
    assert (main.result().errors, sub.result().errors) == ("", "")
    assert (main.result().streams[0]["width"], sub.result().streams[0]["width"]) == (320, 160)
    frames = {one.stream: one.frames for one in server.sent}
    assert {"main": main.result().frames, "sub": sub.result().frames} == frames
    assert frames["main"] > 20
    assert {after - before for before, after in pairwise(main.result().pts)} == {6000}
    assert {after - before for before, after in pairwise(sub.result().pts)} == {12000}


async def test_h265() -> None:
    loop = prepared(encoded(replace(MAIN, codec="h265"), 1.0))
    async with Server([camera("x", [loop], [], 1)]) as server:
        found = await played(server, server.url("x"), 2.6)
    assert found.streams[0]["codec_name"] == "hevc"
    assert found.errors == ""
    assert found.frames == server.sent[0].frames > 15


async def test_b_frames_keep_their_times() -> None:
    loop = prepared(encoded(replace(MAIN, bframes=True), 1.0))
    assert any(unit.pts > after.pts for unit, after in pairwise(loop.units))
    assert all(0 <= unit.pts <= unit.send for unit in loop.units)
    async with Server([camera("x", [loop], [], 1)]) as server:
        found = await played(server, server.url("x"), 3.0)
    assert found.errors == ""
    assert found.frames == server.sent[0].frames > 20
    assert {after - before for before, after in pairwise(sorted(found.pts)[:-3])} == {6000}


@pytest.mark.parametrize("kind", ["pcma", "aac"])
async def test_sound(kind: str, main_loop: Loop, sound: dict[str, Loop]) -> None:
    async with Server([camera("x", [main_loop, sound[kind]], [], 1)]) as server:
        url = server.url("x")
        found = await asyncio.to_thread(_sound_of, url)
    assert found == {"pcma": ("pcm_alaw", 8000), "aac": ("aac", 16_000)}[kind]
    assert {one.track for one in server.sent} == {"h264", kind}


def _sound_of(url: str) -> tuple[str, int]:
    with av.open(url, options={"rtsp_transport": "tcp"}) as container:
        stream = container.streams.audio[0]
        for number, frame in enumerate(container.decode(stream)):
            if number == 10:
                assert frame.samples > 0
                break
        return stream.codec_context.name, stream.codec_context.sample_rate


async def test_many_clients_get_the_same_time_stamps(one_camera: Camera) -> None:
    async with Server([one_camera]) as server:
        clients = [await Client.connect(server.port) for _ in range(8)]
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.play(server.url("cam-0001")))
        seen = []
        for client in clients:
            stamps: list[int] = []
            while len(stamps) < 20:
                stamp = timestamp(await client.receive())
                if stamp not in stamps:
                    stamps.append(stamp)
            seen.append(stamps)
            assert f"rtptime={stamps[0]}" in client.info
        assert all(after[0] == seen[0][0] for after in seen)
        assert all((b - a) % (1 << 32) == 6000 for a, b in pairwise(seen[0]))
        for client in clients:
            await client.close()


async def test_time_stamps_wrap(main_loop: Loop) -> None:
    one = camera("x", [main_loop], [], 1)
    feed = one.streams["main"][0]
    feed.base = (1 << 32) - feed.ticks(time.monotonic()) - 150_000
    async with Server([one]) as server:
        found = await played(server, server.url("x"), 3.0)
    assert found.errors == ""
    assert {after - before for before, after in pairwise(found.pts)} == {6000}
    assert server.sent[0].first_timestamp > server.sent[0].last_timestamp  # type: ignore[operator]


async def test_cameras_have_key_frames_at_different_times(main_loop: Loop, sub_loop: Loop) -> None:
    cameras = [camera(f"c{number}", [main_loop], [sub_loop], 3) for number in range(20)]
    phases = {round(one.streams["main"][0].start_s % 1, 1) for one in cameras}
    assert len(phases) > 4
    assert encoded(SUB).units == encoded(SUB).units
