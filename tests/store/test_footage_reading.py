"""What belongs to footage beside its segments comes back as it was written."""

from store import footage_reading
from store.footage import Changes, ClockRow, record
from store.pool import Store
from tests.store.footage_rows import INIT, NOW_US, make_cameras, run_row


async def test_runs_clocks_and_inits(store: Store) -> None:
    (camera,) = await make_cameras(store)
    run = run_row(camera)
    clocks = [ClockRow(run.id, "map", 90_000, NOW_US + 1_000_000), ClockRow(run.id, "map", 0, NOW_US)]
    clocks.append(ClockRow(run.id, "rtcp", 5, NOW_US))
    async with store.transaction() as connection:
        await record(connection, Changes([run], clocks, [INIT]), holder="", epochs={})
        points = await footage_reading.clock_points(connection, [run.id, "unknown"])
        assert points == {run.id: [clocks[1], clocks[0]], "unknown": []}
        assert await footage_reading.clock_points(connection, [run.id], "rtcp") == {run.id: [clocks[2]]}
        assert await footage_reading.inits(connection, [INIT.digest, b"?"]) == {INIT.digest: INIT}
        assert await footage_reading.runs(connection, [run.id, "unknown"]) == {run.id: run}
