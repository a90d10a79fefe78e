"""The sweep with a real recorder of a real camera: what it writes is left alone, adopted whole when it was killed."""

import asyncio
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from core.clock import SystemClock
from store import media_roots
from store.leases import Lease
from store.pool import Store
from streams.inspection import Inspection, Inspector
from streams.layout import open_root
from streams.sweep import Sweep
from tests.store.days import rows
from tests.support.rtsp import Street

SEGMENTS = (
    "SELECT n, start_pts, end_pts, start_at, end_at, codecs, width, height FROM footage_segments "
    "JOIN footage_inits ON digest = init_digest ORDER BY n"
)


async def sweep_of(store: Store, folder: Path) -> Sweep:
    root = open_root(folder, 1)
    async with store.transaction() as connection:
        await media_roots.register(connection, root, "here", str(folder))
        await connection.execute("INSERT INTO devices (id, kind) VALUES ('c-0001', 'camera')")
    lease = Lease(store, f"cleaner:{root}", "test", 60)
    assert await lease.acquire()
    return Sweep(store, lease, root, folder, SystemClock())


async def test_a_killed_recorders_files_are_adopted_with_their_times(
    store: Store, street: Street, tmp_path: Path
) -> None:
    folder = tmp_path / "footage"
    sweep = await sweep_of(store, folder)
    program = (sys.executable, "-m", "tests.streams.recorder.recording_process", street.url("h264"), str(folder))
    process = await asyncio.create_subprocess_exec(*program, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            await process.stdout.readline()
            while len(list(folder.rglob("*.mp4"))) < 2 or not (await sweep.everything()).adopted:  # noqa: ASYNC110 - time limit
                await asyncio.sleep(0.1)
        report = sweep.report
        assert (report.cut_bytes, report.put_aside, report.rows_removed) == (0, 0, 0)
        numbers = [row[0] for row in await rows(store, SEGMENTS)]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) < len(list(folder.rglob("*.mp4"))), "not the one that is being written"
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    await sweep.everything()
    files = list(folder.rglob("*.mp4"))
    found = await Inspector(store, open_root(folder, 1), folder, None).run()
    size = sum(path.stat().st_size for path in files)
    assert found == Inspection(files=len(files), total_bytes=size, parsed=len(files))
    segments = await rows(store, SEGMENTS)
    assert len(segments) == len(files)
    assert {row[5:] for row in segments if str(row[5]).startswith("avc1.")} == {(segments[0][5], 320, 180)}
    for before, after in pairwise(segments):
        assert (before[2], before[4]) == (after[1], after[3]), "media time and UTC go on from file to file"
