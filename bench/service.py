"""The real service in a process of its own, for benchmarks: `wangge serve` on a given store, or all of `wangge up`."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from bench.broker import free_port
from core.errors import WanggeError

READY_WITHIN_S = 60.0
ENDS_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Running:
    """A running service. process: the service itself; PostgreSQL and its guard are other processes."""

    process: psutil.Process
    http: str
    mqtt_port: int

    def cpu_s(self) -> float:
        """Processor seconds used so far, user and system, threads included."""
        times = self.process.cpu_times()
        return times.user + times.system

    def resident_bytes(self) -> int:
        """Resident memory now."""
        return int(self.process.memory_info().rss)


@contextlib.contextmanager
def serve(dsn: str, roles: str, folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Running]:
    """`wangge serve --roles …` against `dsn` on free ports, for the block."""
    http_port, mqtt_port = free_port(), free_port()
    environment = {
        "WANGGE_STORE__DSN": dsn,
        "WANGGE_INGEST__MQTT__PORT": str(mqtt_port),
        "WANGGE_LOG__LEVEL": "warning",
        **(settings or {}),
    }
    command = ["serve", "--roles", roles, "--port", str(http_port)]
    with _process(command, environment, folder) as process:
        http = f"http://127.0.0.1:{http_port}"
        _wait_ready(process, http)
        yield Running(psutil.Process(process.pid), http, mqtt_port)


@contextlib.contextmanager
def up(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Running]:
    """`wangge up` on `folder`, every port chosen by the system, for the block."""
    environment = {"WANGGE_LOG__LEVEL": "warning", **(settings or {})}
    with _process(["up", "--data", str(folder), "--port", "0"], environment, folder.parent) as process:
        run = folder / "run.json"
        deadline = time.monotonic() + READY_WITHIN_S
        while not run.exists():
            _still_there(process, deadline)
        facts = json.loads(run.read_text(encoding="utf-8"))
        _wait_ready(process, facts["http"])
        yield Running(psutil.Process(process.pid), facts["http"], int(facts["mqtt"].rpartition(":")[2]))


@contextlib.contextmanager
def _process(command: list[str], environment: Mapping[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    log = folder / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "wangge", *command],
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
            cwd=folder,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_ready(process: subprocess.Popen[bytes], http: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{http}/readyz", timeout=2.0).status_code == 200:
                return
        _still_there(process, deadline)


def _still_there(process: subprocess.Popen[bytes], deadline: float) -> None:
    if process.poll() is not None:
        raise WanggeError(f"the service ended with status {process.returncode}")
    if time.monotonic() > deadline:
        raise WanggeError(f"the service was not ready within {READY_WITHIN_S:g} s")
    time.sleep(0.05)
