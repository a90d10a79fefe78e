"""What recording costs: processor and memory a camera, beside `ffmpeg -c copy -f segment` of the very same camera, and
64 cameras with their simulators on one machine.
"""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import psycopg

from bench.broker import MissingYardstick
from bench.cameras import Cameras, Recording, cameras, cpu_s, recording
from bench.own_store import temporary_folder
from bench.report import Result, at_most

SETTLE_S = 6.0
_ALONE = {"WANGGE_STREAMS__QUALITY__ON": "false"}
"""Recording alone: ffmpeg does not judge pictures either."""


def recording_cost(*, quick: bool) -> Sequence[Result]:
    """`record_cpu` and `record_memory`. Raises MissingYardstick without ffmpeg."""
    if shutil.which("ffmpeg") is None:
        raise MissingYardstick("ffmpeg is missing: sudo apt-get install ffmpeg")
    seconds, more = (8.0, 3) if quick else (60.0, 8)
    with temporary_folder() as folder, cameras(1 + more, folder) as sources, recording(_ALONE) as one:
        one.register(sources, sources.ids[:1], sub=False)
        one.wait_until_recorded(1)
        with _ffmpeg(sources, sources.ids[0], folder) as first:
            time.sleep(SETTLE_S)
            ours, theirs = _cpu_over(seconds, one.worker, first)
            memory, theirs_memory = _memory_of_more(one, sources, folder)
        time.sleep(SETTLE_S)
        (ours_all,) = _cpu_over(seconds, one.worker)
    each = (ours_all - ours) / more
    return [
        Result(
            "record_cpu",
            ours,
            "core",
            "≤ 1 × yardstick",
            ours <= theirs,
            theirs,
            round(ours / theirs, 3) if theirs else None,
            {"further_camera": round(each, 5), "seconds": seconds},
        ),
        Result(
            "record_memory",
            memory,
            "B",
            "≤ 1/3 × yardstick",
            memory <= theirs_memory / 3,
            theirs_memory,
            round(memory / theirs_memory, 3),
            {"cameras": more},
        ),
    ]


def _cpu_over(seconds: float, *processes: psutil.Process) -> tuple[float, ...]:
    """Share of a core that each used over so many seconds."""
    before = [cpu_s(process) for process in processes]
    began = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    return tuple((cpu_s(process) - used) / took for process, used in zip(processes, before, strict=True))


def _memory_of_more(one: Recording, sources: Cameras, folder: Path) -> tuple[float, float]:
    """Bytes (PSS) a further camera costs us, and a further ffmpeg process while one runs already."""
    before = _pss(one.worker)
    further = sources.ids[1:]
    one.register(sources, further, sub=False)
    one.wait_until_recorded(len(sources.ids))
    time.sleep(3 * SETTLE_S)
    ours = (_pss(one.worker) - before) / len(further)
    with _ffmpeg(sources, sources.ids[1], folder) as second:
        time.sleep(SETTLE_S)
        return ours, _pss(second)


def _pss(process: psutil.Process) -> float:
    """Proportional set size: shared pages are divided among those who share them."""
    return float(process.memory_full_info().pss)


@contextlib.contextmanager
def _ffmpeg(sources: Cameras, camera: str, folder: Path) -> Iterator[psutil.Process]:
    """The yardstick: copies the camera's packets into segments of a minute."""
    command = ["ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", sources.url(camera)]
    command += ["-c", "copy", "-f", "segment", "-segment_time", "60", str(folder / f"{camera}-%05d.mp4")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(10)


def many_cameras(*, quick: bool) -> Sequence[Result]:
    """64 cameras with sub-streams, quality diagnosis and simulators on this machine: nothing dropped, no gap."""
    count, seconds = (16, 10.0) if quick else (64, 600.0)
    with temporary_folder() as folder, cameras(count, folder) as sources, recording() as one:
        one.register(sources, sources.ids)
        one.wait_until_recorded(2 * count)
        time.sleep(SETTLE_S)
        processes = [sources.process, one.worker, one.service.process]
        used = sum(_cpu_over(seconds, *processes))
        gaps, segments = _gaps(one.dsn)
        cores = psutil.cpu_count() or 1
        details: dict[str, object] = {"cameras": count, "seconds": seconds, "segments": segments}
        details["worker_pss_mib"] = round(_pss(one.worker) / (1 << 20), 1)
    return [
        at_most("cameras_machine_share", used / cores, 0.6, "", **details),
        at_most("cameras_gaps", gaps, 0, "gaps", **details),
    ]


def _gaps(dsn: str) -> tuple[int, int]:
    """Gap facts and segments of this run."""
    with psycopg.connect(dsn) as connection:
        gaps = connection.execute("SELECT count(*) FROM camera_facts WHERE kind = 3").fetchone()
        segments = connection.execute("SELECT count(*) FROM footage_segments").fetchone()
    assert gaps is not None
    assert segments is not None
    return gaps[0], segments[0]
