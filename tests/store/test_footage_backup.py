"""A backup of the store knows of all footage; the files themselves are not part of it."""

from pathlib import Path

from store.backup import backup, restore
from store.camera_facts import CameraFactWriter
from store.embedded import EmbeddedPostgres
from store.footage import Changes, ClockRow, record
from store.pool import Store
from tests.store.footage_rows import INIT, NOW_US, execute, make_cameras, run_row, segment_row
from tests.store.test_camera_facts import quality

TABLES = (
    "media_roots",
    "footage_runs",
    "footage_clocks",
    "footage_inits",
    "footage_segments",
    "footage_protections",
    "camera_references",
    "camera_facts",
)


def contents(dsn: str) -> list[object]:
    return [execute(dsn, f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES] + execute(
        dsn, "SELECT value FROM meta ORDER BY name"
    )


async def test_everything_about_footage_comes_back(store: Store, service_folder: Path, tmp_path: Path) -> None:
    (camera,) = await make_cameras(store)
    run = run_row(camera)
    async with store.transaction() as connection:
        changes = Changes([run], [ClockRow(run.id, "map", 0, NOW_US)], [INIT], [segment_row(run, n) for n in range(5)])
        await record(connection, changes, holder="", epochs={})
        await connection.execute(
            "INSERT INTO footage_protections (camera, from_at, to_at, reason, who) "
            "VALUES (%s, now(), now() + interval '1 h', 'theft', 'li')",
            (camera,),
        )
        await connection.execute(
            "INSERT INTO camera_references (camera, light, version, learned_at, reference) "
            "VALUES (%s, 0, 1, now(), 'x')",
            (camera,),
        )
        await connection.execute("UPDATE footage_runs SET gone = '{[7,9)}'")
    await CameraFactWriter(store).write([quality(NOW_US // 1000, 0.5, camera)], NOW_US)
    wanted = contents(store.dsn)
    assert all(wanted)
    backup(store.dsn, tmp_path / "dump")
    restore(tmp_path / "dump", service_folder)
    with EmbeddedPostgres(service_folder) as server:
        assert contents(server.dsn) == wanted
