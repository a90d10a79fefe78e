"""Cameras by the command line: address, log-in, thresholds and ONVIF of a simulated camera, with the real program."""

import asyncio
import json
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from alerts.settings import RulesSettings
from core.errors import InvalidInput
from devices.camera_secrets import LogIn, LogIns
from devices.importing import import_file
from simulators.cameras.options import Options
from simulators.cameras.run import run_cameras
from store.pool import Store
from tests.devices.test_importing import GRIDS, NOW, OPTIONS, grids
from tests.support.service import wangge
from wangge.cli.camera_work import take_threshold

USER, PASSWORD = "viewer", "Pa55-wort"


@dataclass(frozen=True, slots=True)
class Place:
    """A data folder whose store is the tests' own, with the grid GRID."""

    folder: Path
    dsn: str

    def wangge(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command of `wangge devices`."""
        return wangge("devices", *arguments, "--data", str(self.folder), WANGGE_STORE__DSN=self.dsn)

    def jsoned(self, *arguments: str) -> Any:
        """What a command prints."""
        done = self.wangge(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @property
    def log_ins(self) -> LogIns:
        """The file of log-ins."""
        return LogIns(self.folder / "cameras.toml")


@pytest.fixture
async def place(store: Store, tmp_path: Path) -> Place:
    async with store.transaction() as connection:
        await import_file(connection, "grids.geojson", grids(), OPTIONS, NOW)
    return Place(tmp_path, store.dsn)


def test_a_camera_its_log_in_and_its_thresholds(place: Place) -> None:
    url = f"rtsp://{USER}:{PASSWORD}@10.0.0.7/main"
    added = place.wangge(
        *("add", "camera", "--id", "c-1", "--url", url, "--sub-url", "rtsp://10.0.0.7/sub"),
        *("--audio", "--grid", GRIDS[0], "--json"),
    )
    assert added.returncode == 0, added.stderr
    assert PASSWORD not in added.stdout + added.stderr
    assert json.loads(added.stdout)["url"] == "rtsp://10.0.0.7/main"
    file = place.folder / "cameras.toml"
    assert str(file) in added.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert place.log_ins.of("c-1") == LogIn(USER, PASSWORD)
    listed = {one["id"]: one for one in place.jsoned("list", "--kind", "camera", "--json")}
    assert (listed["c-1"]["url"], listed["c-1"]["sub_url"]) == ("rtsp://10.0.0.7/main", "rtsp://10.0.0.7/sub")

    secret = place.folder / "secret"
    secret.write_text("another-one\nnot this\n")
    changed = place.wangge("login", "c-1", "--user", "u", "--password-file", str(secret))
    assert changed.returncode == 0, changed.stderr
    assert place.log_ins.of("c-1") == LogIn("u", "another-one")
    assert place.wangge("login", "c-2", "--user", "u", "--password-file", str(secret)).returncode == 1
    assert place.wangge("login", "c-1", "--remove").returncode == 0
    assert place.log_ins.of("c-1") is None

    sets = ("--set", "cam_03.sharpness_ratio=0.2", "--set", "cam_01.after_s=30")
    own = place.jsoned("thresholds", "c-1", *sets)
    assert own == {"cam_03": {"sharpness_ratio": 0.2}, "cam_01": {"after_s": 30}}
    refused = place.wangge("thresholds", "c-1", "--set", "cam_03.sharpnes=1")
    assert (refused.returncode, "--set: cam_03: sharpnes" in refused.stderr) == (1, True)
    assert place.jsoned("thresholds", "c-1") == own
    assert place.jsoned("thresholds", "c-1", "--clear") == {}


@pytest.mark.parametrize("wrong", ["cam_03.noise=loud", "pos_01.after_s=1", "cam_03", "cam_02.bad=9", "=", "cam_01.x="])
def test_wrong_thresholds_are_refused_before_they_are_kept(wrong: str) -> None:
    own: dict[str, dict[str, Any]] = {}
    with pytest.raises(InvalidInput, match=r"^--set: "):
        take_threshold(RulesSettings(), own, wrong)
    assert own == {}


async def test_a_simulated_camera_fills_in_its_addresses(place: Place) -> None:
    secret = place.folder / "secret"
    secret.write_text(PASSWORD)
    log_in = ("--user", USER, "--password-file", str(secret))
    options = Options(count=1, engine="pattern", size="1280x720", port=0, onvif=0, user=USER, password=PASSWORD)
    stop, said, ready = asyncio.Event(), [], asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(run_cameras(options, said.append, stop=stop, ready=lambda _: ready.set()))
        await asyncio.wait_for(ready.wait(), 60)
        host = next(line for line in said if line.startswith("onvif")).split("/")[2]
        shown = await asyncio.to_thread(place.wangge, "onvif", host, *log_in, "--json")
        none = await asyncio.to_thread(place.wangge, "onvif", host)
        add = ("--add", "--id", "c-7", "--grid", GRIDS[0], "--json")
        added = await asyncio.to_thread(place.wangge, "onvif", host, *log_in, *add)
        stop.set()
    assert shown.returncode == 0, shown.stderr
    told = json.loads(shown.stdout)
    assert [one["use"] for one in told["profiles"]] == ["main", "sub"]
    assert told["model"] == "Wangge Simulated camera"
    assert none.returncode == 1
    assert "--user" in none.stderr
    assert added.returncode == 0, added.stderr
    assert PASSWORD not in added.stdout + added.stderr
    registered = json.loads(added.stdout)
    assert (registered["url"], registered["sub_url"]) == (told["url"], told["sub_url"])
    assert place.log_ins.of("c-7") == LogIn(USER, PASSWORD)
