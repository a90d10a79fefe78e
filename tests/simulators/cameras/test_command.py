"""The command as people run it: a file by foreign player, truth against frames, faults by HTTP, a clean end."""

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from simulators import truth
from simulators.cameras import files
from simulators.cameras.options import Options
from simulators.cameras.run import run_cameras
from simulators.errors import SimulatorError
from tests.simulators.cameras.conftest import probe

FOOTAGE = Path("../shared/data/footage")


@asynccontextmanager
async def command(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[str]]]:
    """A running command and what it has said until its cameras were there."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators", "cameras", "--port", "0", *arguments),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stderr is not None
    said: list[str] = []
    async with asyncio.timeout(60):
        while not said or not said[-1].startswith("rtsp://"):
            line = (await process.stderr.readline()).decode().strip()
            assert line, said
            said.append(line)
    try:
        yield process, said
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def made(path: Path, *options: str) -> Path:
    """A three-second video by ffmpeg."""
    source = ("-f", "lavfi", "-i", "testsrc2=size=322x180:rate=10:duration=3", "-g", "10")
    subprocess.run(["ffmpeg", "-v", "error", "-y", *source, *options, str(path)], check=True)
    return path


async def test_a_file_is_played_and_counted(tmp_path: Path) -> None:
    video = made(tmp_path / "v.mp4", "-c:v", "libx264", "-bf", "0", "-pix_fmt", "yuv420p")
    told = tmp_path / "truth.ndjson"
    async with command("--file", str(video), "--id", "gate", "--truth", str(told)) as (process, said):
        urls = re.findall(r"rtsp://\S+", said[-1])
        async with asyncio.TaskGroup() as group:
            seen = [group.create_task(probe(url)) for url in urls]
            await asyncio.sleep(4.5)
            process.send_signal(signal.SIGTERM)
        out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    frames = {row.figures["stream"]: row.figures["frames"] for row in truth.read(told) if row.code == "SENT"}
    assert {"main": seen[0].result().frames, "sub": seen[1].result().frames} == frames
    assert [one.result().errors for one in seen] == ["", ""]
    assert msgspec.json.decode(out)["frames"] == sum(frames.values())  # type: ignore[arg-type]


async def test_faults_by_http(tmp_path: Path) -> None:
    async with command(
        "--engine", "pattern", "--count", "2", "--scenes", "1", "--size", "128x72", "--control", "0"
    ) as (_, said):
        base = next(line.split(" ")[1] for line in said if line.startswith("control"))
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            begun = await client.post(f"{base}cam-0001/dark?for=60&value=0.9")
            assert (begun.status_code, begun.json()[0]["kind"]) == (200, "dark")
            assert len((await client.post(f"{base}all/stall")).json()) == 2
            state = (await client.get(base)).json()
            assert [one["kind"] for one in state["cameras"]["cam-0001"]["faults"]] == ["dark", "stall"]
            assert len((await client.delete(f"{base}all/stall")).json()) == 2
            assert len((await client.delete(f"{base}cam-0001")).json()) == 1
            wrong = {
                "cam-0009/dark": 404, "cam-0001/nothing": 400, "cam-0001/dark?value=7": 400,
                "cam-0001/dark?for=x": 400, "cam-0001": 404,
            }  # fmt: skip
            for path, status in wrong.items():
                assert (await client.post(base + path)).status_code == status


@pytest.mark.parametrize(
    ("options", "copied"),
    [
        (("-c:v", "libx264", "-bf", "0", "-pix_fmt", "yuv420p"), True),
        (("-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p"), False),
        (("-c:v", "libx264", "-bf", "0", "-pix_fmt", "yuv444p"), False),
        (("-c:v", "mpeg4"), False),
        (("-c:v", "libx265", "-x265-params", "log-level=none"), False),
    ],
)
def test_what_is_copied_and_what_is_transcoded(tmp_path: Path, options: tuple[str, ...], copied: bool) -> None:
    path = made(tmp_path / "v.mkv", *options)
    main, sub = files.loops(path)
    assert (main.codec, sub.codec, sub.width) == ("h264", "h264", 322)
    assert len(main.units) == 30
    assert abs(main.duration - 270_000) < 2000
    keys = sum(unit.is_key for unit in main.units)
    assert keys == (3 if copied else 2)
    assert all(unit.pts == unit.dts for unit in main.units)


def test_h265_is_kept_when_asked(tmp_path: Path) -> None:
    path = made(tmp_path / "v.mp4", "-c:v", "libx265", "-x265-params", "log-level=none:bframes=0")
    main, sub = files.loops(path, keep_codec=True)
    assert (main.codec, sub.codec) == ("h265", "h264")


@pytest.mark.skipif(not FOOTAGE.is_dir(), reason="the real footage is not here")
def test_real_footage() -> None:
    for path in sorted(FOOTAGE.glob("*.mp4")):
        main, sub = files.loops(path)
        assert main.codec == sub.codec == "h264"
        assert len(main.units) > 300


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(file=Path("nowhere.mp4")), "cannot be played"),
        (Options(file=Path(__file__)), "cannot be played"),
        (Options(fault=("nothing@1",)), "unknown fault"),
        (Options(size="12"), "--size"),
        (Options(codec="vp9"), "--codec"),
        (Options(light="dusk"), "--light"),
        (Options(engine="painted"), "--engine"),
        (Options(audio="mp3"), "--audio"),
        (Options(gop_s=0), "--gop-s"),
        (Options(engine="pattern", size="128x72", count=1, faults=2.0), "--faults"),
        (Options(engine="pattern", size="128x72", count=1, port=0, truth=Path("/nowhere/t")), "cannot be written"),
        (Options(engine="pattern", size="128x72", count=1, port=0, fault=("stall@1:who",)), "no camera"),
        (Options(engine="pattern", size="128x72", count=1, port=1, host="203.0.113.1"), "cannot be opened"),
    ],
)
async def test_what_cannot_be_simulated(options: Options, said: str) -> None:
    with pytest.raises(SimulatorError, match=said):
        await run_cameras(options)
