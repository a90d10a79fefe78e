"""Reads of footage: every segment that touches a span, open ones too, none that is being deleted."""

from store import footage_reading
from store.footage import OPEN, Changes, ClockRow, record
from store.pool import Store
from tests.store.footage_rows import INIT, NOW_US, make_cameras, run_row, segment_row

MINUTE_US = 60_000_000


async def test_segments_clocks_and_inits_as_they_were_written(store: Store) -> None:
    camera, other = await make_cameras(store, 2)
    run, overlapping = run_row(camera), run_row(camera, NOW_US + 30_000_000)
    segments = [segment_row(run, n) for n in range(3)] + [segment_row(run, 3, OPEN)]
    segments += [segment_row(overlapping, 0), segment_row(run_row(camera, stream=1), 0), segment_row(run_row(other), 0)]
    clocks = [ClockRow(run.id, "map", 90_000, NOW_US + 1_000_000), ClockRow(run.id, "map", 0, NOW_US)]
    runs = [run, overlapping, run_row(camera, stream=1), run_row(other)]
    async with store.transaction() as connection:
        await record(connection, Changes(runs, clocks, [INIT], segments), holder="", epochs={}, retry=True)
    async with store.connection() as connection:

        async def between(from_us: int, to_us: int) -> list[tuple[str, int]]:
            found = await footage_reading.segments_between(connection, camera, 0, from_us, to_us)
            assert all(row in segments for row in found)
            return [(row.run, row.n) for row in found]

        everything = [(run.id, 0), (overlapping.id, 0), (run.id, 1), (run.id, 2), (run.id, 3)]
        assert await between(NOW_US, NOW_US + 10 * MINUTE_US) == everything
        assert await between(NOW_US + MINUTE_US, NOW_US + MINUTE_US + 1) == [(overlapping.id, 0), (run.id, 1)]
        assert await between(NOW_US - 5, NOW_US) == []
        await connection.execute("UPDATE footage_segments SET state = 2 WHERE n = 2")
        assert (run.id, 2) not in await between(NOW_US, NOW_US + 10 * MINUTE_US)
        light = await footage_reading.segments_between(connection, camera, 0, NOW_US, NOW_US + 1, with_index=False)
        assert [row.sample_index for row in light] == [b""]
        points = await footage_reading.clock_points(connection, [run.id, "unknown"])
        assert points == {run.id: [clocks[1], clocks[0]], "unknown": []}
        assert await footage_reading.inits(connection, [INIT.digest, b"?"]) == {INIT.digest: INIT}
        assert await footage_reading.runs(connection, [run.id, "unknown"]) == {run.id: run}
        assert await footage_reading.first_and_last_us(connection, camera, 0) == (NOW_US, NOW_US + 4 * MINUTE_US)
        assert await footage_reading.first_and_last_us(connection, other, 1) is None
