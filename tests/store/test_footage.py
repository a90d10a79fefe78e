"""Rows of footage: written again and again, fenced where they must be, never brought back from the dead."""

import msgspec

from store.camera_leases import CameraLeases, Worker
from store.footage import CLOSED, OPEN, Changes, ClockRow, Recorded, record
from store.pool import Store
from tests.store.days import rows
from tests.store.footage_rows import INIT, NOW_US, ROOT, execute, make_cameras, run_row, segment_row

SEGMENTS = "SELECT run, n, state, bytes, samples FROM footage_segments ORDER BY 1, 2"


def a_worker(name: str = "one") -> Worker:
    return Worker(name, f"here/{name}", "here", f"http://{name}", ROOT)


async def write(store: Store, changes: Changes, leases: CameraLeases | None = None, **options: bool) -> Recorded:
    holder, epochs = ("nobody", {}) if leases is None else (leases.worker.holder, leases.epochs)
    async with store.transaction() as connection:
        return await record(connection, changes, holder=holder, epochs=epochs, **options)


async def test_what_is_sent_again_is_the_same_row_and_the_newest_wins(store: Store) -> None:
    camera, other = await make_cameras(store, 2)
    leases = CameraLeases(store, a_worker())
    await leases.beat([camera, other])
    run, second = run_row(camera), run_row(other, stream=1)
    changes = Changes(
        runs=[run, second],
        clocks=[ClockRow(run.id, "map", 0, NOW_US), ClockRow(run.id, "rtcp", 0, NOW_US + 5)],
        inits=[INIT, INIT],
        segments=[segment_row(run, 0, OPEN, size=10), segment_row(second, 0, OPEN, size=1 << 40)],
    )
    packed = msgspec.msgpack.encode(changes)
    assert msgspec.msgpack.decode(packed, type=Changes) == changes
    for _ in range(2):
        assert await write(store, changes, leases) == Recorded()
    assert await write(store, Changes(segments=[segment_row(run, 0, OPEN, size=20)]), leases) == Recorded()
    assert await write(store, Changes(segments=[segment_row(run, 0, OPEN, size=15)]), leases) == Recorded(
        refused=((run.id, 0),)
    )
    assert [(s, b) for _, _, s, b, _ in await rows(store, SEGMENTS)] == [(OPEN, 20), (OPEN, 1 << 40)]
    moved = Changes(clocks=[ClockRow(run.id, "map", 0, NOW_US - 7)])
    await write(store, moved, leases)
    assert await rows(store, "SELECT kind, utc_us FROM footage_clocks ORDER BY kind") == [
        ("map", NOW_US - 7),
        ("rtcp", NOW_US + 5),
    ]


async def test_times_are_exact_to_the_microsecond(store: Store) -> None:
    (camera,) = await make_cameras(store)
    run = run_row(camera, NOW_US + 123_457)
    segment = segment_row(run, 0, start_us=NOW_US + 123_457, end_us=NOW_US + 999_999, durable_until_us=NOW_US + 1)
    await write(store, Changes([run], (), [INIT], [segment]))
    assert await rows(
        store,
        "SELECT (extract(epoch FROM start_at) * 1000000)::bigint, (extract(epoch FROM end_at) * 1000000)::bigint, "
        "(extract(epoch FROM durable_until) * 1000000)::bigint FROM footage_segments",
    ) == [(NOW_US + 123_457, NOW_US + 999_999, NOW_US + 1)]


async def test_open_segments_need_the_lease_and_closed_ones_do_not(store: Store) -> None:
    cameras = await make_cameras(store, 3)
    ours, theirs, nobodys = cameras
    one, two = CameraLeases(store, a_worker("one")), CameraLeases(store, a_worker("two"))
    await one.beat([ours, theirs])
    execute(store.dsn, "UPDATE leases SET expires_at = now() - interval '1 s' WHERE name = %s", f"camera:{theirs}")
    await two._take([theirs])
    runs = [run_row(camera) for camera in cameras]
    found = await write(store, Changes(runs, (), [INIT], [segment_row(run, 0, OPEN) for run in runs]), one)
    assert found == Recorded(lost=frozenset({theirs, nobodys}))
    assert [row[0] for row in await rows(store, SEGMENTS)] == [runs[0].id]
    assert await write(store, Changes(segments=[segment_row(run, 0) for run in runs]), one) == Recorded()
    assert {row[2] for row in await rows(store, SEGMENTS)} == {CLOSED}
    late = Changes(segments=[segment_row(runs[1], 1, OPEN)])
    assert await write(store, late, one, retry=True) == Recorded()
    assert len(await rows(store, SEGMENTS)) == 4


async def test_closed_stays_closed_and_deleted_stays_deleted(store: Store) -> None:
    (camera,) = await make_cameras(store)
    run = run_row(camera)
    await write(store, Changes([run], (), [INIT], [segment_row(run, n) for n in range(3)]))
    reopened = Changes(segments=[segment_row(run, 0, OPEN, size=1 << 30)])
    assert await write(store, reopened, retry=True) == Recorded(refused=((run.id, 0),))
    durable = Changes(segments=[segment_row(run, 0, durable_until_us=NOW_US + 60_000_000)])
    assert await write(store, durable) == Recorded()
    execute(store.dsn, "UPDATE footage_segments SET state = 2 WHERE n = 1")
    execute(store.dsn, "UPDATE footage_runs SET gone = gone + int4multirange(int4range(2, 3))")
    execute(store.dsn, "DELETE FROM footage_segments WHERE n = 2")
    again = Changes([run], (), [INIT], [segment_row(run, n, size=2_000_000) for n in range(3)])
    assert await write(store, again) == Recorded(refused=((run.id, 1), (run.id, 2)))
    assert [row[1:4] for row in await rows(store, SEGMENTS)] == [(0, CLOSED, 2_000_000), (1, 2, 1_000_000)]


async def test_a_segment_of_an_unknown_run_takes_nothing_else_down(store: Store) -> None:
    (camera,) = await make_cameras(store)
    run, unknown = run_row(camera), run_row(camera, NOW_US - 1_000_000)
    changes = Changes(
        [run],
        [ClockRow(unknown.id, "map", 0, 0)],
        [INIT],
        [segment_row(unknown, 0), segment_row(run, 0)],
    )
    assert await write(store, changes) == Recorded(refused=((unknown.id, 0),))
    assert [row[0] for row in await rows(store, SEGMENTS)] == [run.id]
