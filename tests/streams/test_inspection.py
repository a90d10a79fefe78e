"""Rows against files without changing anything: every kind of disagreement is found, the living are no disagreement."""

import asyncio
from pathlib import Path

import pytest

from store.embedded import EmbeddedPostgres
from store.footage import OPEN
from store.migrate import migrate
from store.pool import Store
from store.settings import StoreSettings
from streams.inspection import Inspection, Inspector
from tests.store.days import rows
from tests.store.footage_rows import NOW_US, execute
from tests.streams.segments_on_disk import Root, Writing
from tests.support.postgres import PG_MAJOR
from wangge.doctor_footage import examine


@pytest.fixture
async def root(store: Store, tmp_path: Path) -> Root:
    return await Root.make(store, tmp_path / "footage", 2)


async def inspect(root: Root, most: int | None = None) -> Inspection:
    return await Inspector(root.store, root.id, root.folder, most).run()


async def test_what_agrees(root: Root) -> None:
    run = root.run(NOW_US)
    written = [root.segment(run, n) for n in range(5)] + [root.segment(run, 5, OPEN, size=700)]
    await root.store_rows([run], written)
    found = await inspect(root)
    size = sum(each.path.stat().st_size for each in written)
    assert found == Inspection(files=6, total_bytes=size, parsed=5)
    assert (await inspect(root, 2)).parsed == 2


async def test_every_disagreement_is_found_and_nothing_is_changed(root: Root) -> None:
    run, other = root.run(NOW_US), root.run(NOW_US, camera=1, stream=1)
    written = [root.segment(run, n) for n in range(8)]
    no_row, being_made = root.segment(other, 0), root.segment(other, 1)
    await root.store_rows([run], written)
    written[0].path.unlink()
    with written[1].path.open("ab") as file:
        file.write(b"more")
    damaged = bytearray(written[2].path.read_bytes())
    at = damaged.rindex(b"moof")
    damaged[at : at + 4] = b"free"
    written[2].path.write_bytes(damaged)
    execute(root.store.dsn, "UPDATE footage_segments SET state = 2 WHERE n = 3")
    (no_row.path.parent / "notes.txt").touch()
    (root.folder / "lost+found").mkdir()
    (root.folder / "lost+found" / "something.mp4").touch()
    before = await rows(root.store, "SELECT * FROM footage_segments ORDER BY run, n"), root.files()
    with Writing(being_made.path):
        found = await inspect(root)
    assert (await rows(root.store, "SELECT * FROM footage_segments ORDER BY run, n"), root.files()) == before
    relative = {name: str(each.path.relative_to(root.folder)) for name, each in enumerate(written)}
    assert (found.no_file.count, found.no_file.examples) == (1, [relative[0]])
    assert (found.size.count, found.size.examples) == (1, [relative[1]])
    assert (found.index.count, found.index.examples) == (1, [relative[2]])
    assert (found.no_row.count, found.marked, found.aside, found.foreign) == (1, 1, 1, 1)
    assert found.files == 5


def test_the_doctor_says_it_in_lines_with_remedies(migrated_dsn: str, tmp_path: Path) -> None:
    async def prepare() -> None:
        async with Store(migrated_dsn) as store:
            root = await Root.make(store, tmp_path / "footage")
            run = root.run(NOW_US)
            written = [root.segment(run, n) for n in range(3)]
            await root.store_rows([run], written)

    def lines() -> list[tuple[str, str]]:
        return [(state, says) for state, says in examine(migrated_dsn, tmp_path, StoreSettings(), every_file=True)]

    assert lines() == [("ok", "nothing is recorded.")]
    asyncio.run(prepare())
    ((state, says),) = lines()
    assert (state, "3 files" in says, "3 of them read whole" in says) == ("ok", True, True)
    next((tmp_path / "footage").rglob("*-1.mp4")).unlink()
    states = [state for state, _ in lines()]
    assert states == ["fails", "ok"]
    (tmp_path / "footage").rename(tmp_path / "gone")
    ((state, says),) = lines()
    assert "is on here; run the doctor there" in says


def test_the_doctor_works_while_no_service_runs(service_folder: Path, tmp_path: Path) -> None:
    async def prepare(dsn: str) -> None:
        async with Store(dsn) as store:
            root = await Root.make(store, tmp_path / "footage")
            run = root.run(NOW_US)
            await root.store_rows([run], [root.segment(run, n) for n in range(3)])

    assert examine(None, tmp_path, StoreSettings(), every_file=False) == [], "there is no store at all"
    with EmbeddedPostgres(service_folder, major=PG_MAJOR) as server:
        migrate(server.dsn)
        asyncio.run(prepare(server.dsn))
    ((state, says),) = examine(None, service_folder, StoreSettings(major=PG_MAJOR), every_file=False)  # type: ignore[arg-type]
    assert (state, "3 files" in says) == ("ok", True)
