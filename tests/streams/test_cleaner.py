"""The cleaner: what is too old goes, room is made in the right order, what is protected or open stays."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from core.camera import KindCode
from core.clock import FakeClock, SystemClock
from core.errors import LeaseLost
from core.health import Board
from core.supervise import Supervisor
from store.footage import OPEN
from store.pool import Store
from store.protections import protect
from streams.cleaner import MAIN, SUB, Cleaner, victims
from streams.cleaner_settings import CleanerSettings
from streams.deleting import STEPS
from streams.headroom import Disk, Outlook, Stock, disk_of, headroom, outlook
from streams.layout import MediaRootGone
from tests.store.days import NOW_MS, rows
from tests.store.footage_rows import DAY_US, NOW_US, execute
from tests.streams.segments_on_disk import Root

ANY_DISK = CleanerSettings(headroom_bytes=0, headroom_share=0)
"""Never short of room."""
SEGMENTS = "SELECT count(*), min(state), max(state) FROM footage_segments"
GIB = 1 << 30


@pytest.fixture
async def root(store: Store, tmp_path: Path) -> Root:
    return await Root.make(store, tmp_path / "footage", 2)


async def cleaner_of(root: Root, settings: CleanerSettings = ANY_DISK, holder: str = "test") -> Cleaner:
    cleaner = Cleaner(root.store, holder, root.id, root.folder, settings, FakeClock(NOW_MS))
    assert await cleaner.lease.acquire()
    return cleaner


async def days_of_footage(root: Root, days: range, camera: int = 0, stream: int = 0) -> list[str]:
    """A segment a day, so many days ago; their relative paths."""
    runs = [root.run(NOW_US - day * DAY_US, camera, stream) for day in days]
    written = [root.segment(run, 0) for run in runs]
    await root.store_rows(runs, written)
    return [str(each.path.relative_to(root.folder)) for each in written]


def test_less_than_the_law_wants_must_be_meant() -> None:
    with pytest.raises(ValueError, match="allow_less_than_30_days"):
        CleanerSettings(main_days=29)
    assert CleanerSettings(main_days=3, allow_less_than_30_days=True).main_days == 3
    assert headroom(1000 * GIB, CleanerSettings()) == 50 * GIB
    assert headroom(10 * GIB, CleanerSettings()) == 5 * GIB


def test_what_gives_way_first() -> None:
    long = victims(NOW_US, CleanerSettings(main_days=90))
    assert long[0] == (MAIN, NOW_US - 30 * DAY_US)
    assert [stream for stream, _ in long] == [MAIN, SUB, MAIN]


@pytest.mark.parametrize(
    ("free", "stock", "settings", "expected"),
    [
        (105, Stock(0, 0, 0, 0, 0), CleanerSettings(), Outlook(None, None)),
        (405, Stock(0, 0, 0, 10, 0), CleanerSettings(), Outlook(40, None)),
        (205, Stock(0, 0, 0, 10, 0), CleanerSettings(), Outlook(20, 20)),
        (105, Stock(100, 0, 0, 10, 0), CleanerSettings(), Outlook(20, 10)),
        (5, Stock(300, 70, 0, 10, 10), CleanerSettings(), Outlook(30, None)),
        (5, Stock(220, 70, 0, 10, 10), CleanerSettings(), Outlook(29, 7)),
        (5, Stock(370, 0, 170, 10, 0), CleanerSettings(), Outlook(20, 0)),
        (405, Stock(0, 0, 0, 10, 10), CleanerSettings(main_days=60), Outlook(33, 33)),
        (0, Stock(0, 0, 0, 10, 0), CleanerSettings(), Outlook(0, 0)),
    ],
)
def test_outlook(free: int, stock: Stock, settings: CleanerSettings, expected: Outlook) -> None:
    """In GiB and GiB a day, on a disk whose headroom is 5 GiB."""
    scaled = Stock(
        stock.main_bytes * GIB,
        stock.sub_bytes * GIB,
        stock.protected_bytes * GIB,
        stock.main_rate * GIB / 86_400,
        stock.sub_rate * GIB / 86_400,
    )
    found = outlook(Disk(free * GIB, 100 * GIB), scaled, settings)
    assert found.days_possible == pytest.approx(expected.days_possible)
    assert found.days_left == pytest.approx(expected.days_left)


async def test_footage_goes_when_its_days_are_over(root: Root) -> None:
    main = await days_of_footage(root, range(33, 27, -1))
    sub = await days_of_footage(root, range(9, 4, -1), camera=1, stream=SUB)
    old_open = root.run(NOW_US - 40 * DAY_US)
    await root.store_rows([old_open], [root.segment(old_open, 0, OPEN)])
    cleaner = await cleaner_of(root)
    await cleaner.clean()
    kept = [path for path in root.files() if old_open.id not in path]
    assert kept == sorted([*main[3:], *sub[2:]]), "30 days ago to the second is not over yet"
    assert cleaner.stats.deleted_by_age == 5
    folders = {path.parent.name for path in root.folder.rglob("*.mp4")}
    assert {path.name for path in root.folder.glob("*/*/*")} == folders, "empty day folders are removed"
    before = root.files()
    await cleaner.clean()
    assert root.files() == before


async def test_many_go_in_lots_and_their_runs_later(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.cleaner.AT_ONCE", 3)
    await days_of_footage(root, range(60, 33, -1))
    cleaner = await cleaner_of(root)
    await cleaner.clean()
    assert root.files() == []
    assert await rows(root.store, "SELECT count(*) FROM footage_runs") == [(4,)], "a week more for late journals"


async def test_protected_footage_stays_until_the_wish_ends(root: Root) -> None:
    paths = await days_of_footage(root, range(40, 35, -1))
    async with root.store.transaction() as connection:
        wish = await protect(
            connection, root.cameras[0], NOW_US - 39 * DAY_US, NOW_US - 38 * DAY_US + 1, reason="r", who="w"
        )
    cleaner = await cleaner_of(root)
    await cleaner.clean()
    assert root.files() == sorted(paths[1:3])
    execute(root.store.dsn, "UPDATE footage_protections SET until = now() WHERE id = %s", wish.id)
    await cleaner.clean()
    assert root.files() == []


async def test_room_is_made_from_sub_footage_first_and_then_from_the_oldest(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = await days_of_footage(root, range(20, 0, -1))
    sub = await days_of_footage(root, range(6, 0, -1), stream=SUB)
    size = (root.folder / main[0]).stat().st_size
    usage, settings = disk_of(root.folder), CleanerSettings(headroom_bytes=GIB, headroom_share=0)

    def pretend(missing: int) -> None:
        """A disk with room for the segments that there are, less so many."""
        limit = sum((root.folder / path).stat().st_size for path in root.files()) - missing * size + GIB

        def disk(folder: Path) -> Disk:
            return Disk(limit - sum(path.stat().st_size for path in folder.rglob("*.mp4")), usage.total)

        monkeypatch.setattr("streams.cleaner.disk_of", disk)

    cleaner = await cleaner_of(root, settings)
    pretend(3)
    await cleaner.clean()
    assert root.files() == sorted(main + sub[3:])
    pretend(5)
    await cleaner.clean()
    assert root.files() == sorted(main[2:])
    assert cleaner.stats.deleted_for_room == 8
    async with root.store.transaction() as connection:
        await protect(connection, root.cameras[0], 0, NOW_US, reason="r", who="w")
    pretend(5)
    await cleaner.clean()
    assert root.files() == sorted(main[2:]), "what is protected never makes room"


async def test_a_real_small_disk_keeps_its_headroom(store: Store, tmp_path: Path) -> None:
    """On a tmpfs of 4 MiB where we may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounting = await asyncio.create_subprocess_exec(
        "mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder), stderr=asyncio.subprocess.DEVNULL
    )
    if await mounting.wait():
        pytest.skip("needs the right to mount a tmpfs")
    try:
        root = await Root.make(store, folder)
        paths = await days_of_footage(root, range(25, 0, -1))
        with (root.folder / "other").open("wb") as file:
            file.write(bytes(disk_of(folder).free - 300_000))
        cleaner = await cleaner_of(root, CleanerSettings(headroom_bytes=330_000, headroom_share=0.05))
        await cleaner.clean()
        assert disk_of(folder).free >= 330_000
        assert root.files()[0] == paths[-len(root.files())]
        assert 0 < len(root.files()) < 25
    finally:
        unmounting = await asyncio.create_subprocess_exec("umount", str(folder))
        assert await unmounting.wait() == 0


async def test_the_disk_is_reported_as_a_fact(root: Root) -> None:
    await days_of_footage(root, range(12, 1, -1))
    recent = root.run(NOW_US - 600_000_000)
    written = [root.segment(recent, n) for n in range(3)]
    await root.store_rows([recent], written)
    cleaner = await cleaner_of(root)
    await cleaner.report()
    ((kind, root_id, figures),) = await rows(root.store, "SELECT kind, root, figures FROM camera_facts")
    assert (kind, root_id) == (KindCode.STORAGE, root.id)
    assert isinstance(figures, dict)
    size = sum(each.row.size for each in written)
    assert figures["written_bytes_per_s"] == round(size / 600)
    assert figures["kept_days"] == 12
    assert figures["days_wanted"] == 30
    assert figures["days_left"] is None
    assert figures["total_bytes"] == disk_of(root.folder).total
    stock = cleaner.stats.stock
    assert stock is not None
    assert stock.main_bytes == sum((root.folder / path).stat().st_size for path in root.files())
    await cleaner.clean()
    again = await cleaner._stock.take(NOW_US)
    assert again == stock


async def test_nothing_is_deleted_on_a_disk_that_is_not_there_or_without_the_lease(root: Root, tmp_path: Path) -> None:
    await days_of_footage(root, range(40, 38, -1))
    cleaner = await cleaner_of(root)
    root.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(MediaRootGone):
        await cleaner.clean()
    assert await rows(root.store, SEGMENTS) == [(2, 1, 1)]
    (tmp_path / "elsewhere").rename(root.folder)
    execute(root.store.dsn, "UPDATE leases SET holder = 'other', epoch = epoch + 1")
    with pytest.raises(LeaseLost):
        await cleaner.clean()
    assert await rows(root.store, SEGMENTS) == [(2, 1, 1)]


async def test_the_sweep_waits_for_journals_but_not_for_ever(root: Root) -> None:
    clock = FakeClock(NOW_MS)
    cleaner = Cleaner(root.store, "test", root.id, root.folder, ANY_DISK, clock)
    journal = root.folder / ".journal-1"
    journal.touch()
    await cleaner.journals_come_in()
    for seconds, emptied in ((10, True), (70, False)):
        journal.write_bytes(b"rows")
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(cleaner.journals_come_in())
            for _ in range(seconds * 2):
                while not clock.sleeping and not waiting.done():  # noqa: ASYNC110 - the test has a time limit
                    await asyncio.sleep(0.001)
                clock.advance_ms(500)
            if emptied:
                assert not waiting.done()
                journal.write_bytes(b"")
                while not clock.sleeping and not waiting.done():  # noqa: ASYNC110 - the test has a time limit
                    await asyncio.sleep(0.001)
                clock.advance_ms(500)


async def test_one_of_two_cleans_and_the_other_takes_over(root: Root) -> None:
    await days_of_footage(root, range(40, 38, -1))
    board = Board()
    settings = CleanerSettings(headroom_bytes=0, headroom_share=0, every_s=0.1)
    async with Supervisor(board) as tree:
        for holder in ("one", "two"):
            cleaner = Cleaner(root.store, holder, root.id, root.folder, settings, SystemClock())
            tree.start(f"cleaner.{holder}", cleaner.run)
        async with asyncio.timeout(20):
            await tree.ready()
            while root.files():  # noqa: ASYNC110 - polls with a deadline
                await asyncio.sleep(0.05)
            ((holder,),) = await rows(root.store, "SELECT holder FROM leases")
            await tree.stop(f"cleaner.{holder}")
            other = "two" if holder == "one" else "one"
            while (await rows(root.store, "SELECT holder FROM leases")) != [(other,)]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from core.clock import FakeClock
from store.pool import Store
from streams.cleaner import Cleaner
from streams.cleaner_settings import CleanerSettings

dsn, root, folder, wanted, now_ms = sys.argv[1:]

def at(step):
    if step == wanted:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with Store(dsn) as store:
        settings = CleanerSettings(headroom_bytes=0, headroom_share=0)
        cleaner = Cleaner(store, "child", root, Path(folder), settings, FakeClock(int(now_ms)), at=at)
        assert await cleaner.lease.acquire()
        await cleaner.clean()

asyncio.run(main())
"""


@pytest.mark.parametrize("step", STEPS)
async def test_killed_between_any_two_steps_the_next_one_finishes(root: Root, step: str) -> None:
    old = await days_of_footage(root, range(34, 31, -1))
    young = await days_of_footage(root, range(3, 0, -1))
    arguments = (root.store.dsn, root.id, str(root.folder), step, str(NOW_MS))
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, *arguments)
    assert await child.wait() == -signal.SIGKILL
    state = (await rows(root.store, SEGMENTS))[0]
    expected = {"marked": (6, 6), "unlinked": (6, 5), "synced": (6, 5), "forgotten": (3, 3)}[step]
    assert (state[0], len(root.files())) == expected
    execute(root.store.dsn, "UPDATE leases SET expires_at = now()")
    cleaner = await cleaner_of(root)
    await cleaner.finish_marked()
    assert root.files() == sorted(young)
    assert await rows(root.store, SEGMENTS) == [(3, 1, 1)]
    assert not (await cleaner.sweep.everything()).changed
    assert not {path for path in old if (root.folder / path).exists()}


async def test_an_undeletable_file_keeps_its_row(root: Root) -> None:
    old = await days_of_footage(root, range(34, 32, -1))
    stubborn = root.folder / old[0]
    stubborn.unlink()
    stubborn.mkdir()
    (stubborn / "inside").touch()
    cleaner = await cleaner_of(root)
    await cleaner.clean()
    assert await rows(root.store, SEGMENTS) == [(1, 2, 2)]
    assert cleaner.stats.failed_files == 1
    (stubborn / "inside").unlink()
    stubborn.rmdir()
    await cleaner.clean()
    assert await rows(root.store, SEGMENTS) == [(0, None, None)]
