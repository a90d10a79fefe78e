"""Real clips played as cameras, recorded, exported: every frame that was sent is in the clip, and nothing goes back.

The clips are recordings of others (../shared/data, and vtest.avi of the Debian package opencv-doc where it is there); a
clip that is missing is skipped. The short form records ten seconds, the soak three minutes.
"""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from bench.broker import free_port
from tests.acceptance.conftest import House
from tests.support.service import ENVIRONMENT, until

FOOTAGE = Path(__file__).parents[3] / "shared" / "data" / "footage"
VTEST = sorted(Path("/usr/share/doc").glob("opencv*/**/vtest.avi"))
CLIPS = {
    "car-park": FOOTAGE / "car-park.mp4",
    "motorway": FOOTAGE / "motorway.mp4",
    "suburban-street": FOOTAGE / "suburban-street.mp4",
    "pedestrians": VTEST[0] if VTEST else Path("vtest.avi"),
}


@contextmanager
def played(clip: Path, camera: str, truth: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The clip as a camera in a process of its own; ground truth is whole once it has ended."""
    port = free_port()
    command = [sys.executable, "-m", "wangge", "simulate", "cameras", "--file", str(clip), "--id", camera, "--no-sub"]
    with (truth.parent / "camera.txt").open("wb") as said:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--truth", str(truth)], stdout=said, stderr=said, env=ENVIRONMENT
        )
    try:
        said_so = truth.parent / "camera.txt"
        until(lambda: b"rtsp://" in said_so.read_bytes(), 100, "the camera")
        yield f"rtsp://127.0.0.1:{port}/{camera}", process
    finally:
        process.kill()
        process.wait()


def is_whole(house: House, camera: str) -> bool:
    """Whether the camera is gone and its files are closed."""
    token = (house.service.data / "local-token").read_text().strip()
    found = httpx.get(
        f"{house.http}/api/cameras/{camera}", headers={"Authorization": f"Bearer {token}"}, trust_env=False
    ).json()
    return bool(found["streams"]["main"]["state"] == "lost")


def record_and_compare(house: House, name: str, seconds: float, tmp_path: Path) -> None:
    """Plays, records for so long, ends the camera, exports everything and counts."""
    clip, camera = CLIPS[name], f"real-{name}-{seconds:g}"
    if not clip.is_file():
        pytest.skip(f"{clip} is not there")
    truth, file, since = tmp_path / "truth.ndjson", tmp_path / "clip.mp4", datetime.now(UTC)
    with played(clip, camera, truth) as (url, process):
        house.does("devices", "add", "camera", "--id", camera, "--url", url)
        until(lambda: house.tells("clips", "list", "--camera", camera)["spans"], 30, "footage")
        began = time.monotonic()
        until(lambda: time.monotonic() - began >= seconds, seconds + 5, "the end")
        process.terminate()
        process.wait(20)
    until(lambda: is_whole(house, camera), 30, "the end of the camera")
    rows = [json.loads(line) for line in truth.read_text().splitlines()]
    (sent,) = [row for row in rows if row["code"] == "SENT"]

    def exported() -> list[float]:
        span = ("--from", (since - timedelta(seconds=5)).isoformat(), "--to", datetime.now(UTC).isoformat())
        house.does("clips", "export", "--camera", camera, *span, "--out", str(file))
        return times_of(file)

    times = until(lambda: len(found := exported()) >= sent["figures"]["frames"] and found, 20, "the last rows")
    assert len(times) == sent["figures"]["frames"], "frames in the clip are frames sent"
    assert all(b > a for a, b in itertools.pairwise(times)), "no time goes back or stands"
    house.does("devices", "retire", camera)


def times_of(file: Path) -> list[float]:
    """Presentation times of every frame that ffprobe decodes; fails on any complaint of it."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "csv=p=0", file],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [float(line.split(",")[0]) for line in done.stdout.split() if line]


@pytest.mark.parametrize("name", CLIPS)
def test_every_frame_of_a_real_clip_is_recorded(house: House, name: str, tmp_path: Path) -> None:
    record_and_compare(house, name, 5.0, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CLIPS)
def test_for_minutes(house: House, name: str, tmp_path: Path) -> None:
    record_and_compare(house, name, 180.0, tmp_path)
