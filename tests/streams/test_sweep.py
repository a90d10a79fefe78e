"""The sweep: whatever disagrees between files and rows is brought together, nothing is deleted, the living are left."""

import os
from datetime import date
from pathlib import Path

import pytest

from core.clock import FakeClock
from store.camera_leases import CameraLeases, Worker
from store.footage import CLOSED, OPEN
from store.footage_reading import clock_points, runs
from store.leases import Lease
from store.pool import Store
from streams.layout import LOST_AND_FOUND, MediaRootGone, SegmentName, open_root, parse
from streams.mp4.reading import read_segment
from streams.sweep import Sweep, SweepReport
from tests.store.days import rows
from tests.store.footage_rows import NOW_US, execute
from tests.streams.segments_on_disk import FIRST_PTS, INIT, SECONDS, Root, Writing

SEGMENTS = (
    "SELECT run, n, state, bytes, samples, (date_part('epoch', start_at) * 1e6)::bigint, "
    "(date_part('epoch', end_at) * 1e6)::bigint, start_pts, end_pts, sample_index FROM footage_segments ORDER BY 1, 2"
)
GAPS = "SELECT device, figures FROM camera_facts ORDER BY at, digest"
SEGMENT_US = SECONDS * 1_000_000
BEGAN_US = NOW_US - 3_600_000_000


@pytest.fixture
async def root(store: Store, tmp_path: Path) -> Root:
    return await Root.make(store, tmp_path / "footage", 2)


@pytest.fixture
async def sweep(store: Store, root: Root) -> Sweep:
    lease = Lease(store, f"cleaner:{root.id}", "test", 60)
    assert await lease.acquire()
    return Sweep(store, lease, root.id, root.folder, FakeClock())


def test_paths() -> None:
    name = SegmentName("c.1-a:b", 1, date(2026, 11, 25), "0" * 26, 12)
    assert name.path == f"c.1-a:b/sub/2026-11-25/{'0' * 26}-12.mp4"
    assert parse(name.path) == name
    for bad in ("c/main/2026-11-25/x.mp4", "c/both/2026-11-25/" + "0" * 26 + "-1.mp4", "c/main/20261125/a", "a/b"):
        assert parse(bad) is None
    assert parse(f"c/main/20261125/{'0' * 26}-1.mp4") is None


def test_a_root_keeps_its_id(tmp_path: Path) -> None:
    assert open_root(tmp_path / "a" / "b", 5) == open_root(tmp_path / "a" / "b", 6)


async def test_what_agrees_is_left_as_it_is(root: Root, sweep: Sweep) -> None:
    run = root.run(BEGAN_US)
    await root.store_rows([run], [root.segment(run, n) for n in range(3)])
    before = await rows(root.store, SEGMENTS)
    assert await sweep.everything() == SweepReport(files=3)
    assert await rows(root.store, SEGMENTS) == before
    assert await rows(root.store, GAPS) == []


async def test_a_row_without_its_file_goes_and_is_said_to_be_missing(root: Root, sweep: Sweep) -> None:
    run = root.run(BEGAN_US)
    written = [root.segment(run, n) for n in range(6)]
    await root.store_rows([run], written)
    for n in (1, 2, 4):
        written[n].path.unlink()
    report = await sweep.everything()
    assert (report.rows_removed, report.files) == (3, 3)
    assert [row[1] for row in await rows(root.store, SEGMENTS)] == [0, 3, 5]
    begin_ms = BEGAN_US // 1000
    assert sorted((f["from_ms"], f["to_ms"], f["reason"]) for _, f in await rows(root.store, GAPS)) == [  # type: ignore[index]
        (begin_ms + 4000, begin_ms + 20000, "disk")
    ]
    assert not (await sweep.everything()).changed


async def test_a_whole_folder_that_is_gone_is_noticed_and_a_root_that_is_not_mounted_is_not_gone(
    root: Root, sweep: Sweep, tmp_path: Path
) -> None:
    run = root.run(BEGAN_US)
    written = [root.segment(run, n) for n in range(2)]
    await root.store_rows([run], written)
    root.folder.rename(tmp_path / "elsewhere")
    root.folder.mkdir()
    with pytest.raises(MediaRootGone):
        await sweep.everything()
    open_root(root.folder, 0)
    with pytest.raises(MediaRootGone, match="another media root"):
        await sweep.everything()
    assert len(await rows(root.store, SEGMENTS)) == 2
    (root.folder / ".wangge-root").write_text(root.id)
    assert (await sweep.everything()).rows_removed == 2


async def test_a_file_of_a_known_run_is_adopted_in_its_place(root: Root, sweep: Sweep) -> None:
    run = root.run(BEGAN_US)
    written = [root.segment(run, n) for n in range(3)]
    await root.store_rows([run], written)
    before = await rows(root.store, SEGMENTS)
    execute(root.store.dsn, "DELETE FROM footage_segments WHERE n = 1")
    with written[1].path.open("ab") as file:
        file.write(b"\0\0\1\0moof and then the power went")
    report = await sweep.everything()
    assert (report.adopted, report.put_aside) == (1, 0)
    assert await rows(root.store, SEGMENTS) == before
    execute(root.store.dsn, "DELETE FROM footage_segments")
    assert (await sweep.everything()).adopted == 3, "by the clock map"
    assert await rows(root.store, SEGMENTS) == before
    assert sweep.adopted_since_last()
    assert not sweep.adopted_since_last()


async def test_a_file_of_an_unknown_run_is_adopted_by_its_name(root: Root, sweep: Sweep) -> None:
    run = root.run(BEGAN_US, camera=1, stream=1)
    written = [root.segment(run, n) for n in range(2)]
    assert (await sweep.everything()).adopted == 2
    found = await rows(root.store, SEGMENTS)
    assert [row[:7] for row in found] == [
        (run.id, n, CLOSED, written[n].row.size, 20, BEGAN_US + n * SEGMENT_US, BEGAN_US + (n + 1) * SEGMENT_US)
        for n in range(2)
    ]
    async with root.store.connection() as connection:
        known = (await runs(connection, [run.id]))[run.id]
        assert (known.camera, known.stream, known.began_us) == (root.cameras[1], 1, BEGAN_US)
        assert len((await clock_points(connection, [run.id]))[run.id]) == 1
    assert not (await sweep.everything()).changed


async def test_what_cannot_be_adopted_is_put_aside_never_deleted(root: Root, sweep: Sweep) -> None:
    run = root.run(BEGAN_US)
    good = root.segment(run, 0)
    await root.store_rows([run], [good])
    execute(root.store.dsn, "UPDATE footage_runs SET gone = '{[7,8)}'")
    no_fragment, deleted, garbage = (root.segment(run, n) for n in (5, 7, 9))
    no_fragment.path.write_bytes(INIT + b"\0\0")
    garbage.path.write_bytes(b"garbage" * 100)
    (good.path.parent / "notes.txt").write_text("mine")
    assert (await sweep.everything()).put_aside == 1, "files of a moment ago may become something"
    for path in (no_fragment.path, garbage.path):
        os.utime(path, (1, 1))
    report = await sweep.everything()
    assert (report.put_aside, report.foreign, report.adopted) == (2, 1, 0)
    aside = root.folder / LOST_AND_FOUND
    assert sorted(path.stat().st_size for path in aside.iterdir()) == sorted([len(INIT) + 2, 700, deleted.row.size])
    assert (good.path.parent / "notes.txt").exists()
    again = root.segment(run, 9)
    again.path.write_bytes(b"garbage" * 100)
    os.utime(again.path, (1, 1))
    assert (await sweep.everything()).put_aside == 1
    assert len(list(aside.iterdir())) == 4


async def test_an_open_row_of_a_dead_recorder_is_closed_with_what_is_on_disk(root: Root, sweep: Sweep) -> None:
    run = root.run(BEGAN_US)
    two_s = {"end_us": BEGAN_US + 2_000_000, "end_pts": FIRST_PTS + 2 * 90_000, "samples": 10, "size": 4000}
    early = root.segment(run, 0, OPEN, **two_s)
    data = early.path.read_bytes()
    early.path.write_bytes(data[:-50])
    half = root.run(BEGAN_US, camera=1)
    await root.store_rows([run], [early])
    await root.store_rows([half], [root.segment(half, 0, OPEN)])
    await sweep.open_segments()
    assert (sweep.report.closed, sweep.report.cut_bytes > 0) == (2, True)
    by_run = {row[0]: row for row in await rows(root.store, SEGMENTS)}
    _, _, state, size, samples, start_us, _, start_pts, end_pts, index = by_run[run.id]
    found = read_segment(early.path)
    assert found.torn_bytes == 0
    assert (state, size, samples, index) == (CLOSED, found.index.bytes, 15, found.index.encode())
    assert (start_us, end_pts - start_pts) == (BEGAN_US, 3 * 90_000)
    assert (by_run[half.id][2], by_run[half.id][4]) == (CLOSED, 20)
    assert await rows(root.store, GAPS) == [], "rows said less than there was"


async def test_what_a_power_cut_took_is_a_gap(root: Root, sweep: Sweep) -> None:
    run = root.run(BEGAN_US)
    lost_end = root.segment(run, 0, durable_until_us=BEGAN_US + 1_000_000)
    zeros = root.segment(run, 1, OPEN)
    nothing = root.segment(run, 2, OPEN)
    await root.store_rows([run], [lost_end, zeros, nothing])
    data = lost_end.path.read_bytes()
    lost_end.path.write_bytes(data[: len(data) * 3 // 4 - 10])
    data = zeros.path.read_bytes()
    zeros.path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    nothing.path.write_bytes(b"")
    await sweep.everything()
    found = await rows(root.store, SEGMENTS)
    assert [(row[1], row[2], row[4]) for row in found] == [(0, CLOSED, 10), (1, CLOSED, 10)]
    figures = [fact[1] for fact in await rows(root.store, GAPS)]
    missing = sorted((f["from_ms"] - BEGAN_US // 1000, f["to_ms"] - BEGAN_US // 1000) for f in figures)  # type: ignore[index]
    assert missing[0][0] == 2000
    assert missing[-1][1] == 12_000
    assert not (await sweep.everything()).changed


async def test_what_a_living_recorder_writes_is_left_alone(root: Root, sweep: Sweep) -> None:
    run, leased = root.run(BEGAN_US), root.run(BEGAN_US, camera=1)
    leases = CameraLeases(root.store, Worker("w", "here/0", "here", "http://w", root.id))
    await leases.beat([leased.camera])
    open_row, no_row, by_lease = root.segment(run, 0, OPEN), root.segment(run, 1), root.segment(leased, 0, OPEN)
    for written in (open_row, no_row, by_lease):
        with written.path.open("ab") as file:
            file.write(b"half a frag")
    await root.store_rows([run, leased], [open_row, by_lease])
    before = await rows(root.store, SEGMENTS)
    with Writing(open_row.path), Writing(no_row.path):
        assert not (await sweep.everything()).changed
    assert await rows(root.store, SEGMENTS) == before
    await leases.release()
    report = await sweep.everything()
    assert (report.closed, report.adopted, report.cut_bytes) == (2, 1, 33)


async def test_a_recorder_that_comes_late_does_not_undo_the_sweep(root: Root, sweep: Sweep) -> None:
    run = root.run(BEGAN_US)
    written = root.segment(run, 0, OPEN)
    await root.store_rows([run], [written])
    await sweep.everything()
    await root.store_rows([run], [written])
    assert [row[2] for row in await rows(root.store, SEGMENTS)] == [CLOSED]
