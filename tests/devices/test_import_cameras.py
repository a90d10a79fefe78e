"""Cameras by file: sub-streams and sound go to the registry, log-ins to their file and nowhere else."""

from pathlib import Path

from core.errors import ConfigurationError
from devices.camera_secrets import LogIn, LogIns
from devices.equipment import change_settings, settings_of
from devices.importing import ImportOptions, ImportReport, import_file
from store.pool import Connection, Store
from tests.devices.test_importing import NOW, ZONE, grids, rows_of, table

SECRET = "Pa55wort"
HEAD = "编号,主码流,子码流,用户名,密码,音频,纬度,经度"


async def take(
    connection: Connection, log_ins: Path | None, *rows: str, head: str = HEAD, dry_run: bool = False
) -> ImportReport:
    options = ImportOptions(ZONE, log_ins=log_ins, dry_run=dry_run)
    return await import_file(connection, "cameras.csv", table(head, *rows), options, NOW)


async def test_log_ins_go_to_their_file_and_nowhere_else(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "cameras.toml"
    rows = (
        f"c1,rtsp://10.0.0.9/main,rtsp://10.0.0.9/sub,viewer,{SECRET},是,26.405,111.605",
        f"c2,rtsp://a:{SECRET}2@10.0.0.8/main,,,,,26.405,111.605",
        "c3,rtsp://10.0.0.7/main,,,,,26.405,111.605",
    )
    async with store.transaction() as connection:
        await import_file(connection, "grids.geojson", grids(), ImportOptions(ZONE), NOW)
        report = await take(connection, file, *rows, dry_run=True)
        assert report.succeeded
        assert not file.exists()
        report = await take(connection, file, *rows)
        assert report.applied
        assert SECRET not in repr(report)
        log_ins = LogIns(file)
        assert log_ins.of("c1") == LogIn("viewer", SECRET)
        assert log_ins.of("c2") == LogIn("a", f"{SECRET}2")
        assert log_ins.of("c3") is None
        found = await settings_of(connection, ["c1", "c2", "c3"])
        assert found == {"c1": {"sub_url": "rtsp://10.0.0.9/sub", "audio": True}, "c2": {}, "c3": {}}
        everything = await rows_of(connection, "SELECT d::text FROM devices d")
        assert SECRET not in repr(everything)
        report = await take(connection, file, *rows)
        assert report.counts["devices"].same == 3


async def test_a_file_changes_only_what_it_speaks_of(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "cameras.toml"
    async with store.transaction() as connection:
        await import_file(connection, "grids.geojson", grids(), ImportOptions(ZONE), NOW)
        await take(connection, file, f"c1,rtsp://10.0.0.9/main,rtsp://10.0.0.9/sub,u,{SECRET},,26.405,111.605")
        await change_settings(connection, "c1", {"thresholds": {"cam_03": {"noise": 20}}})
        await take(connection, file, "c1,rtsp://10.0.0.9/other,26.405,111.605", head="id,url,lat,lon")
        (settings,) = (await settings_of(connection, ["c1"])).values()
        assert settings == {"sub_url": "rtsp://10.0.0.9/sub", "thresholds": {"cam_03": {"noise": 20}}}
        await take(connection, file, "c1,rtsp://10.0.0.9/other,,26.405,111.605", head="id,url,sub_url,lat,lon")
        (settings,) = (await settings_of(connection, ["c1"])).values()
        assert settings == {"thresholds": {"cam_03": {"noise": 20}}}
        assert LogIns(file).of("c1") == LogIn("u", SECRET)


async def test_bad_rows_are_told_without_their_passwords(store: Store, tmp_path: Path) -> None:
    rows = (
        f"c1,rtsp://u:{SECRET}@/main,,,,,26.405,111.605",
        f"c2,rtsp://10.0.0.9/main,rtsp://u:{SECRET}@10.0.0.9:x/,,,,26.405,111.605",
        f"c3,rtsp://10.0.0.9/main,,,{SECRET},,26.405,111.605",
        f"c4,rtsp://10.0.0.9/main,,u,{SECRET}\x01,,26.405,111.605",
        f"c5,rtsp://10.0.0.9/main,,u:{SECRET},x,,26.405,111.605",
        f"c6,rtsp://u:{SECRET}{'x' * 500}@10.0.0.9/main,,,,,26.405,111.605",
    )
    async with store.transaction() as connection:
        await import_file(connection, "grids.geojson", grids(), ImportOptions(ZONE), NOW)
        for row in rows:
            report = await take(connection, tmp_path / "cameras.toml", row)
            assert report.bad_rows == 1
            assert SECRET not in repr(report)
        report = await take(connection, None, f"c1,rtsp://10.0.0.9/main,,u,{SECRET},,26.405,111.605")
        assert [error.field for error in report.errors] == ["user"]
        assert await rows_of(connection, "SELECT id FROM devices") == []
    assert not (tmp_path / "cameras.toml").exists()


async def test_without_its_log_in_no_camera_is_there(store: Store, tmp_path: Path) -> None:
    (tmp_path / "cameras.toml").write_text("this is no TOML")
    refused = False
    try:
        async with store.transaction() as connection:
            await import_file(connection, "grids.geojson", grids(), ImportOptions(ZONE), NOW)
            row = f"c1,rtsp://10.0.0.9/main,,u,{SECRET},,26.405,111.605"
            await take(connection, tmp_path / "cameras.toml", row)
    except ConfigurationError:
        refused = True
    assert refused
    async with store.connection() as connection:
        assert await rows_of(connection, "SELECT id FROM devices") == []
