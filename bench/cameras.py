"""Simulated cameras and a recording service for benchmarks, each in processes of its own."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import psycopg

from bench.broker import free_port
from bench.own_store import own_store
from bench.service import Running, serve
from core.errors import WanggeError

UP_WITHIN_S = 180.0
"""The first run encodes the loops; later ones take them from the cache."""
RECORDS_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Cameras:
    """A running simulator. truth: NDJSON of what it really sent, written when it ends."""

    process: psutil.Process
    port: int
    ids: tuple[str, ...]

    def url(self, camera: str, *, sub: bool = False) -> str:
        """RTSP address."""
        return f"rtsp://127.0.0.1:{self.port}/{camera}{'/sub' if sub else ''}"


@contextlib.contextmanager
def cameras(count: int, folder: Path, *options: str) -> Iterator[Cameras]:
    """`simulate cameras --count N` on a free port, for the block."""
    port = free_port()
    command = [sys.executable, "-m", "wangge", "simulate", "cameras", "--count", str(count), "--port", str(port)]
    command += ["--engine", "pattern"]
    with (folder / "cameras.log").open("wb") as output:
        process = subprocess.Popen([*command, *options], stdout=output, stderr=output, cwd=folder)
        try:
            _wait_listening(process, port)
            yield Cameras(psutil.Process(process.pid), port, tuple(f"cam-{n:04d}" for n in range(1, count + 1)))
        finally:
            process.terminate()
            process.wait(30)


@dataclass(frozen=True, slots=True)
class Recording:
    """A service with the role streams that records. worker: the camera worker process. root: where files are."""

    service: Running
    worker: psutil.Process
    root: Path
    dsn: str

    def register(self, cameras: Cameras, ids: tuple[str, ...], *, sub: bool = True) -> None:
        """Adds cameras to the registry; the worker takes them within a second."""
        with psycopg.connect(self.dsn) as connection, connection.cursor() as cursor:
            for camera in ids:
                settings = {"sub_url": cameras.url(camera, sub=True)} if sub else {}
                cursor.execute(
                    "INSERT INTO devices (id, kind, url, settings) VALUES (%s, 'camera', %s, %s)",
                    (camera, cameras.url(camera), json.dumps(settings)),
                )

    def wait_until_recorded(self, streams: int) -> None:
        """Until so many streams have a segment with footage. Raises WanggeError after RECORDS_WITHIN_S."""
        deadline = time.monotonic() + RECORDS_WITHIN_S
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            while True:
                row = connection.execute("SELECT count(DISTINCT (camera, stream)) FROM footage_segments").fetchone()
                if row is not None and row[0] >= streams:
                    return
                if time.monotonic() > deadline:
                    raise WanggeError(f"only {row and row[0]} of {streams} streams were recorded; see service.log")
                time.sleep(0.2)


@contextlib.contextmanager
def recording(settings: Mapping[str, str] | None = None) -> Iterator[Recording]:
    """`wangge serve --roles streams` on an own store with an own media root, for the block."""
    with own_store() as store:
        root = store.folder / "footage"
        given = {"WANGGE_STREAMS__ROOT": str(root), **(settings or {})}
        with serve(store.dsn, "streams", store.folder, given) as service:
            yield Recording(service, _worker_of(service.process), root, store.dsn)


def _worker_of(service: psutil.Process) -> psutil.Process:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for child in service.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "wangge.camera_process" in child.cmdline():
                    return child
        time.sleep(0.05)
    raise WanggeError("the service started no camera worker")


def _wait_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + UP_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise WanggeError(f"the simulated cameras ended with status {process.returncode}; see cameras.log")
        with contextlib.suppress(httpx.TransportError, httpx.HTTPError, OSError):
            import socket

            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.1)
    raise WanggeError("the simulated cameras did not start")


def cpu_s(process: psutil.Process) -> float:
    """Processor seconds of a process so far, to the microsecond: of the threads that it has now.

    The clock of cpu_times ticks every 10 ms, which is more than a camera uses in a second.
    """
    nanoseconds = 0
    for file in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            nanoseconds += int(file.read_text(encoding="ascii").split()[0])
    return nanoseconds / 1e9
