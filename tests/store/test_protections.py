"""Protected footage: within its share of the disk, counted once however many wish for it, and never chosen to go."""

import time

import pytest

from core.errors import Conflict, InvalidInput, NotFound
from store.footage import OPEN, Changes, record
from store.footage_deleting import bytes_between, drop_empty_runs, forget, mark, oldest_us, unfinished
from store.pool import Store
from store.protections import Protection, protect, protected_bytes, protections, unprotect
from tests.store.days import rows
from tests.store.footage_rows import DAY_US, INIT, ROOT, make_cameras, run_row, segment_row

MINUTE_US = 60_000_000


def began_us() -> int:
    """Two days ago: wishes are held against the store's clock."""
    return time.time_ns() // 1000 // MINUTE_US * MINUTE_US - 2 * DAY_US


async def ten_minutes(store: Store, camera: int, began_us: int, stream: int = 0) -> str:
    run = run_row(camera, began_us, stream)
    async with store.transaction() as connection:
        await record(
            connection, Changes([run], (), [INIT], [segment_row(run, n) for n in range(10)]), holder="", epochs={}
        )
    return run.id


async def wish(store: Store, camera: int, from_us: int, to_us: int, **options: float) -> Protection:
    async with store.transaction() as connection:
        return await protect(connection, camera, from_us, to_us, reason="theft", who="li", **options)  # type: ignore[arg-type]


async def test_a_wish_beyond_the_share_of_the_disk_is_refused(store: Store) -> None:
    camera, other = await make_cameras(store, 2)
    start = began_us()
    await ten_minutes(store, camera, start)
    await ten_minutes(store, other, start, stream=1)
    async with store.connection() as connection:
        await connection.execute("UPDATE media_roots SET bytes_total = 50000000")
    first = await wish(store, camera, start, start + 5 * MINUTE_US)
    assert (first.camera, first.from_us, first.until_us, first.ended_us) == (camera, start, None, None)
    await wish(store, camera, start + MINUTE_US, start + 5 * MINUTE_US)
    await wish(store, other, start, start + 5 * MINUTE_US)
    async with store.connection() as connection:
        assert await protected_bytes(connection) == {ROOT: 10_000_000}
    with pytest.raises(Conflict, match=r"22\.0% of the disk"):
        await wish(store, other, start + 5 * MINUTE_US, start + 6 * MINUTE_US)
    await wish(store, other, start + 5 * MINUTE_US, start + 6 * MINUTE_US, most_share=0.5)
    async with store.transaction() as connection:
        assert (await unprotect(connection, first.id)).ended_us is not None
        with pytest.raises(NotFound):
            await unprotect(connection, first.id)
        assert len(await protections(connection)) == 3
        assert len(await protections(connection, camera, only_active=False)) == 2


async def test_wishes_that_make_no_sense(store: Store) -> None:
    (camera,) = await make_cameras(store)
    start = began_us()
    for bad, error in (((camera, 5, 5), InvalidInput), ((camera, 0, start + 4 * DAY_US), InvalidInput)):
        with pytest.raises(error):
            await wish(store, *bad)
    with pytest.raises(NotFound):
        await wish(store, 12345, 0, 5)


async def test_the_oldest_that_is_closed_and_unprotected_goes(store: Store) -> None:
    (camera,) = await make_cameras(store)
    start = began_us()
    run = await ten_minutes(store, camera, start)
    await wish(store, camera, start + MINUTE_US + 1, start + 3 * MINUTE_US)
    async with store.transaction() as connection:
        still_open = segment_row(run_row(camera, start), 10, OPEN)
        await record(connection, Changes(segments=[still_open]), holder="", epochs={}, retry=True)
        assert await oldest_us(connection, ROOT, 0, 0) == start
        before = start + 5 * MINUTE_US + 1
        doomed = await mark(connection, ROOT, 0, after_us=0, before_us=before, most=3)
        assert [(d.run, d.n, d.camera_id) for d in doomed] == [(run, 0, "c0"), (run, 3, "c0"), (run, 4, "c0")]
        assert await mark(connection, ROOT, 0, after_us=0, before_us=before, most=3) == []
        assert await mark(connection, ROOT, 1, after_us=0, before_us=1 << 55, most=3) == []
        assert len(await mark(connection, ROOT, 0, after_us=0, before_us=1 << 55, most=100)) == 5, "not the open one"
        assert len(await unfinished(connection, ROOT, 100)) == 8
        assert await bytes_between(connection, ROOT, 0, 0, 1 << 55) == (3_000_000, start + MINUTE_US)
        assert await forget(connection, [(d.run, d.n) for d in await unfinished(connection, ROOT, 100)]) == 8
        assert await unfinished(connection, ROOT, 100) == []
        assert await drop_empty_runs(connection, ROOT, 1 << 55, 10) == 0
        assert await forget(connection, [(run, 1), (run, 2), (run, 10), ("unknown", 1)]) == 3
    assert await rows(store, "SELECT gone::text FROM footage_runs") == [("{[0,11)}",)]
    async with store.transaction() as connection:
        assert await drop_empty_runs(connection, ROOT, start, 10) == 0
        assert await drop_empty_runs(connection, ROOT, start + 1, 10) == 1
