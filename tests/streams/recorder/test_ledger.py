"""Ledger and journal: rows reach a real store, wait on disk while it is away, and come in order afterwards."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from core.camera import CameraFact, KindCode
from store.footage import CLOSED, OPEN, Changes, lease_name
from store.pool import Store
from streams.recorder.before import Place
from streams.recorder.journal import Journal
from streams.recorder.ledger import Ledger
from streams.recorder.outbox import Entry, Start
from tests.store.footage_rows import INIT, ROOT, make_cameras, run_row, segment_row
from tests.streams.segments_on_disk import FIRST_PTS, SECONDS, Root
from tests.support.proxy import BreakableProxy

NOW_US = time.time_ns() // 1000 // 1_000_000 * 1_000_000


@dataclass
class Mouth:
    """Says what it is told to."""

    waiting: list[Entry] = field(default_factory=list)

    def take(self) -> Entry:
        return self.waiting.pop(0) if self.waiting else Entry()


@dataclass
class Held:
    epochs: dict[int, int] = field(default_factory=dict)


def entry(camera: int, began_us: int, *states: int, start: bool = False, fact: str | None = None) -> Entry:
    """A run with one segment for each state."""
    run = run_row(camera, began_us, epoch=0)
    segments = [segment_row(run, n, state) for n, state in enumerate(states)]
    facts = (CameraFact(began_us, KindCode.SIGNAL, camera, figures={"state": fact}),) if fact else ()
    starts = (Start(run.id, camera, 0, began_us - 3_000_000, began_us),) if start else ()
    return Entry(Changes([run], (), [INIT], segments), starts, facts)


async def fetch(store: Store, sql: str) -> list[tuple[Any, ...]]:
    async with store.connection() as connection:
        return await (await connection.execute(sql.encode())).fetchall()


async def take_lease(store: Store, camera: int) -> None:
    async with store.connection() as connection:
        await connection.execute(
            "INSERT INTO leases (name, holder, epoch, acquired_at, expires_at, details) "
            "VALUES (%s, 'me', 7, now(), now() + interval '1 hour', '{}')",
            (lease_name(camera),),
        )


async def test_rows_and_facts_are_stored_together_open_files_only_under_the_lease(store: Store, tmp_path: Path) -> None:
    mine, other = await make_cameras(store, 2)
    await take_lease(store, mine)
    mouth = Mouth(
        [entry(mine, NOW_US, CLOSED, OPEN, fact="up"), entry(other, NOW_US, CLOSED, OPEN), entry(mine, NOW_US, CLOSED)]
    )
    ledger = Ledger(store, mouth, Held({mine: 7}), "me", Journal(tmp_path / "journal"))
    assert await ledger.bring() == frozenset()
    assert await ledger.bring() == {other}
    await ledger.bring()
    rows = await fetch(store, "SELECT camera, n, state FROM footage_segments ORDER BY camera, n")
    assert rows == [(mine, 0, CLOSED), (mine, 1, OPEN), (other, 0, CLOSED)]
    assert await fetch(store, "SELECT camera, epoch FROM footage_runs ORDER BY camera") == [(mine, 7), (other, 0)]
    assert await fetch(store, "SELECT device, figures->>'state' FROM camera_facts") == [(mine, "up")]


async def test_while_the_store_is_away_rows_go_to_disk_and_come_back_in_order(
    store: Store, migrated_dsn: str, tmp_path: Path
) -> None:
    (camera,) = await make_cameras(store)
    await take_lease(store, camera)
    address = conninfo_to_dict(migrated_dsn)
    async with BreakableProxy(str(address["host"]), int(str(address["port"]))) as proxy:
        far = Store(make_conninfo(migrated_dsn, host="127.0.0.1", port=proxy.port), acquire_timeout_s=0.5)
        await far.open()
        try:
            mouth, path = Mouth(), tmp_path / "journal"
            ledger = Ledger(far, mouth, Held({camera: 7}), "me", Journal(path))
            proxy.refuse()
            for number in range(3):
                mouth.waiting.append(entry(camera, NOW_US, *[CLOSED] * number, OPEN, fact=f"s{number}"))
                await ledger.bring()
            assert ledger.stats.away
            assert ledger.stats.journalled == 3
            assert await fetch(store, "SELECT * FROM footage_runs") == []
            proxy.heal()
            mouth.waiting.append(entry(camera, NOW_US, CLOSED, CLOSED, CLOSED))
            for _ in range(20):
                await ledger.bring()
                if not ledger.stats.away:
                    break
            assert path.stat().st_size == 0
        finally:
            await far.close()
    rows = await fetch(store, "SELECT n, state FROM footage_segments ORDER BY n")
    assert rows == [(0, CLOSED), (1, CLOSED), (2, CLOSED)]
    assert [row[0] for row in await fetch(store, "SELECT figures->>'state' FROM camera_facts ORDER BY 1")] == [
        "s0",
        "s1",
        "s2",
    ]


async def test_a_journal_of_an_earlier_life_comes_in_first_even_without_a_lease(store: Store, tmp_path: Path) -> None:
    (camera,) = await make_cameras(store)
    before = Journal(tmp_path / "journal")
    before.append(entry(camera, NOW_US, CLOSED, OPEN))
    before.close()
    with (tmp_path / "journal").open("ab") as file:
        file.write(b"\0\0\1\0torn")
    ledger = Ledger(store, Mouth(), Held(), "me", Journal(tmp_path / "journal"))
    await ledger.bring()
    assert await fetch(store, "SELECT n, state FROM footage_segments ORDER BY n") == [(0, CLOSED), (1, OPEN)]
    assert ledger.stats.replayed == 1


async def test_rows_that_the_store_refuses_hold_up_no_others(store: Store, tmp_path: Path) -> None:
    (camera,) = await make_cameras(store)
    unknown = entry(camera + 1000, NOW_US, CLOSED)
    good = entry(camera, NOW_US, CLOSED, fact="up")
    both = Entry(
        Changes(
            [*unknown.changes.runs, *good.changes.runs],
            (),
            [INIT],
            [*unknown.changes.segments, *good.changes.segments],
        ),
        (),
        good.facts,
    )
    ledger = Ledger(store, Mouth([both]), Held(), "me", Journal(tmp_path / "journal"))
    await ledger.bring()
    assert await fetch(store, "SELECT camera FROM footage_segments") == [(camera,)]
    assert await fetch(store, "SELECT device FROM camera_facts") == [(camera,)]
    assert ledger.stats.lost_rows == 1


@pytest.mark.parametrize(
    ("away_s", "waited_s", "expected"),
    [
        (60, 1, [("restart", 0, 60)]),
        (60, 40, [("restart", 0, 20), ("signal", 20, 60)]),
        (1, 1, []),
        (40, 40, [("signal", 0, 40)]),
    ],
)
async def test_footage_missing_across_a_restart_is_a_gap(
    store: Store, tmp_path: Path, away_s: int, waited_s: int, expected: list[tuple[str, int, int]]
) -> None:
    (camera,) = await make_cameras(store)
    first = entry(camera, NOW_US - 600_000_000, CLOSED, start=True)
    end_us = first.changes.segments[0].end_us
    began_us = end_us + away_s * 1_000_000
    second = entry(camera, began_us, CLOSED)
    start = Start(second.changes.runs[0].id, camera, 0, began_us - waited_s * 1_000_000, began_us)
    mouth = Mouth([first, Entry(second.changes, (start,))])
    ledger = Ledger(store, mouth, Held(), "me", Journal(tmp_path / "journal"))
    await ledger.bring()
    await ledger.bring()
    found = await fetch(
        store,
        "SELECT figures->>'reason', (figures->>'from_ms')::bigint, (figures->>'to_ms')::bigint FROM camera_facts "
        "ORDER BY 2",
    )
    assert found == [(why, end_us // 1000 + begin * 1000, end_us // 1000 + end * 1000) for why, begin, end in expected]


async def test_a_gap_begins_where_the_file_of_a_killed_recorder_ends_not_where_its_row_does(
    store: Store, tmp_path: Path
) -> None:
    root = await Root.make(store, tmp_path)
    run = root.run(NOW_US - 600_000_000)
    behind = {"end_us": run.began_us + 2_000_000, "end_pts": FIRST_PTS + 2 * 90_000, "size": 4000}
    await root.store_rows([run], [root.segment(run, 0, OPEN, **behind)])
    later = root.run(run.began_us + 20_000_000)
    rest = Changes([later], (), (), [root.segment(later, 0).row])
    said = Entry(rest, (Start(later.id, later.camera, 0, later.began_us - 1_000_000, later.began_us),))
    place = Place(root.id, tmp_path)
    await Ledger(store, Mouth([said]), Held(), "me", Journal(tmp_path / "journal"), place=place).bring()
    found = await fetch(store, "SELECT (figures->>'from_ms')::bigint, (figures->>'to_ms')::bigint FROM camera_facts")
    assert found == [(run.began_us // 1000 + 1000 * SECONDS, later.began_us // 1000)]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(0, 400), st.binary(max_size=40))
@settings(max_examples=40, deadline=None)
def test_a_journal_cut_anywhere_keeps_every_whole_entry(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], cut: int, rest: bytes
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    journal, sizes = Journal(path), [0]
    for number, count in enumerate(counts):
        journal.append(entry(number + 1, NOW_US, *[CLOSED] * count))
        sizes.append(path.stat().st_size)
    whole = journal.read()
    journal.close()
    data = path.read_bytes()
    path.write_bytes(data[: max(0, len(data) - cut)] + rest)
    again = Journal(path)
    kept = again.read()
    again.close()
    assert kept == whole[: len(kept)]
    assert len(kept) >= sum(size <= len(data) - cut for size in sizes[1:])


def test_of_an_open_file_the_journal_keeps_the_first_row_only(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    for _ in range(50):
        journal.append(entry(1, NOW_US, OPEN))
    journal.append(entry(1, NOW_US, CLOSED))
    states = [row.state for one in journal.read() for row in one.changes.segments]
    assert states == [OPEN, CLOSED]
    assert {run.root for one in journal.read() for run in one.changes.runs} == {ROOT}
    journal.close()
