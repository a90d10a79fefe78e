"""Sixty-four cameras, both streams read: nothing is left out, and it costs very little."""

import asyncio
import time

import pytest

from simulators.cameras import Server, camera
from simulators.cameras.loop import Loop
from tests.simulators.cameras.conftest import MAIN, SUB, Client


async def played(cameras: int, seconds: float, main: Loop, sub: Loop) -> float:
    """CPU seconds a second of server and readers together, with every stream of every camera read once."""
    fleet = [camera(f"c{number}", [main], [sub], 1) for number in range(cameras)]
    async with Server(fleet) as server:
        clients: list[Client] = []
        for one in fleet:
            for stream in ("main", "sub"):
                client = await Client.connect(server.port)
                await client.play(server.url(one.id, stream))
                clients.append(client)
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(_drain(client))
            began, cpu = time.monotonic(), time.process_time()
            await asyncio.sleep(seconds)
            share = (time.process_time() - cpu) / (time.monotonic() - began)
            for client in clients:
                client.writer.transport.abort()
        for client in clients:
            await client.close()
    sent = {(one.camera, one.stream): one for one in server.sent}
    assert len(sent) == 2 * cameras
    assert all(one.dropped == 0 for one in sent.values())
    least = {"main": 0.9 * 15 * (seconds - MAIN.gop_s), "sub": 0.9 * 7.5 * (seconds - SUB.gop_s)}
    assert all(one.frames > least[stream] for (_, stream), one in sent.items())
    return share


async def _drain(client: Client) -> None:
    try:
        while await client.reader.read(1 << 16):
            pass
    except ConnectionError:
        return


async def test_many_cameras_at_once(main_loop: Loop, sub_loop: Loop) -> None:
    await played(24, 2.5, main_loop, sub_loop)


@pytest.mark.soak
async def test_sixty_four_cameras_for_a_minute(main_loop: Loop, sub_loop: Loop) -> None:
    print(f"64 cameras: {await played(64, 60, main_loop, sub_loop):.3f} of a core with their readers")
