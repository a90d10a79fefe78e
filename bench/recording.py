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
YARDSTICKS = 4
"""ffmpeg processes at a time; one alone uses too few ticks of the clock to be measured."""
_ALONE = {"WANGGE_STREAMS__QUALITY__ON": "false"}
"""Recording alone: ffmpeg does not judge pictures either."""


def recording_cost(*, quick: bool) -> Sequence[Result]:
    """`record_cpu`, `record_cpu_alone` and `record_memory`. Raises MissingYardstick without ffmpeg.

    A worker is made for many cameras: `record_cpu` is the share of one of them in a worker that records several,
    against one of several ffmpeg processes at the same time. `record_cpu_alone` is a worker that has a single camera,
    with all that it does besides (leases, health, cleaning).
    """
    if shutil.which("ffmpeg") is None:
        raise MissingYardstick("ffmpeg is missing: sudo apt-get install ffmpeg")
    seconds, more = (8.0, 7) if quick else (60.0, 31)
    with temporary_folder() as folder, cameras(1 + more, folder) as sources, recording(_ALONE) as one:
        one.register(sources, sources.ids[:1], sub=False)
        one.wait_until_recorded(1)
        time.sleep(SETTLE_S)
        (alone,) = _cpu_over(seconds, one.worker)
        memory = _memory_of_more(one, sources)
        with contextlib.ExitStack() as stack:
            theirs = [stack.enter_context(_ffmpeg(sources, camera, folder)) for camera in sources.ids[:YARDSTICKS]]
            time.sleep(SETTLE_S)
            ours_all, *each = _cpu_over(seconds, one.worker, *theirs)
            theirs_memory = _pss(theirs[-1])
    yardstick = sum(each) / len(each)
    return [
        _at_most("record_cpu", ours_all / (1 + more), yardstick, 1.0, "core", cameras=1 + more, seconds=seconds),
        _at_most("record_cpu_alone", alone, yardstick, 1.0, "core", seconds=seconds),
        _at_most("record_memory", memory, theirs_memory, 1 / 3, "B", cameras=more),
    ]


def _at_most(name: str, value: float, yardstick: float, most: float, unit: str, **details: object) -> Result:
    ratio = value / yardstick if yardstick else float("inf")
    goal = f"≤ {most:.2g} × yardstick"
    return Result(name, value, unit, goal, ratio <= most, yardstick, round(ratio, 3), details)


def _cpu_over(seconds: float, *processes: psutil.Process) -> tuple[float, ...]:
    """Share of a core that each used over so many seconds."""
    before = [cpu_s(process) for process in processes]
    began = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    return tuple((cpu_s(process) - used) / took for process, used in zip(processes, before, strict=True))


def _memory_of_more(one: Recording, sources: Cameras) -> float:
    """Bytes (PSS) that a further camera costs us."""
    before = _pss(one.worker)
    further = sources.ids[1:]
    one.register(sources, further, sub=False)
    one.wait_until_recorded(len(sources.ids))
    time.sleep(2 * SETTLE_S)
    return (_pss(one.worker) - before) / len(further)


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
