"""Recorders, renewals, takeovers, deletion and journals at once: nobody deadlocks, nothing deleted comes back."""

import asyncio
import random

from store.camera_leases import CameraLeases, Worker
from store.footage import OPEN, Changes, record
from store.footage_deleting import forget, mark, unfinished
from store.pool import Store
from tests.store.days import rows
from tests.store.footage_rows import INIT, ROOT, make_cameras, run_row, segment_row

FOR_S = 2.0


async def test_two_workers_that_fight_for_cameras_never_wait_for_each_other_for_ever(store: Store) -> None:
    """Leases lapse and are taken all the time, while open rows are written under them."""
    cameras = await make_cameras(store, 30)
    runs = {camera: run_row(camera) for camera in cameras}
    written = 0

    async def work(name: str, until: float) -> None:
        nonlocal written
        dice = random.Random(name)
        leases = CameraLeases(store, Worker(name, name, "here", "http://x", ROOT), ttl_s=0.2)
        while asyncio.get_running_loop().time() < until:
            await leases.beat(cameras)
            held = list(leases.epochs)
            dice.shuffle(held)
            async with store.transaction() as connection:
                segments = [segment_row(runs[camera], 0, OPEN) for camera in held]
                changes = Changes([runs[camera] for camera in held], (), [INIT], segments)
                done = await record(connection, changes, holder=name, epochs=leases.epochs)
            written += len(segments) - len(done.refused) - len(done.lost)
            if dice.random() < 0.2:
                await asyncio.sleep(0.25)

    until = asyncio.get_running_loop().time() + FOR_S
    async with asyncio.TaskGroup() as group:
        for name in ("one", "two", "three"):
            group.create_task(work(name, until))
    assert written > 100


async def test_rows_that_are_sent_again_while_they_are_deleted_stay_deleted(store: Store) -> None:
    (camera,) = await make_cameras(store)
    run = run_row(camera)
    changes = Changes([run], (), [INIT], [segment_row(run, n) for n in range(200)])

    async def write() -> None:
        async with store.transaction() as connection:
            await record(connection, changes, holder="", epochs={})

    async def again(until: float) -> None:
        while asyncio.get_running_loop().time() < until:
            await write()

    async def delete() -> int:
        gone = 0
        while gone < 150:
            async with store.transaction() as connection:
                await mark(connection, ROOT, 0, after_us=0, before_us=1 << 53, most=7)
            async with store.transaction() as connection:
                doomed = await unfinished(connection, ROOT, 100)
                gone += await forget(connection, [(each.run, each.n) for each in doomed])
        return gone

    await write()
    async with asyncio.TaskGroup() as group:
        group.create_task(again(asyncio.get_running_loop().time() + FOR_S))
        deleting = group.create_task(delete())
    gone = deleting.result()
    await write()
    assert await rows(store, "SELECT count(*) FROM footage_segments") == [(200 - gone,)]
