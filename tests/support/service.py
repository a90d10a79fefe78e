"""The real program in real processes: `wangge(...)` runs a command, `Running` is a service until the test ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("WANGGE_")}


def wangge(*arguments: str, within_s: float = 100, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "wangge", *arguments],
        capture_output=True,
        text=True,
        timeout=within_s,
        env=ENVIRONMENT | environment,
    )


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of `condition`, asked again and again; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come within {seconds} s")


@dataclass
class Running:
    """A `wangge up` in its own process; output goes to files beside the data folder."""

    data: Path
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> "Running":
        """Starts it; `ready` waits."""
        with open(self.data / "out.txt", "ab") as out, open(self.data / "err.txt", "ab") as err:
            command = [sys.executable, "-m", "wangge", "up", "--data", str(self.data), *self.options]
            self.process = subprocess.Popen(command, stdout=out, stderr=err, env=ENVIRONMENT | self.environment)
        return self

    @property
    def run(self) -> dict[str, Any]:
        """run.json."""
        fields: dict[str, Any] = json.loads((self.data / "run.json").read_text())
        return fields

    @property
    def said(self) -> str:
        """What it wrote."""
        return (self.data / "out.txt").read_text() + (self.data / "err.txt").read_text()

    def ready(self, seconds: float = 30) -> "Running":
        """Waits for /readyz 200."""
        until(self.is_ready, seconds, f"readiness ({self.said[-3000:]})")
        return self

    def is_ready(self) -> bool:
        """Whether /readyz is 200 now. Fails when the process has ended."""
        assert self.process.poll() is None, self.said[-3000:]
        try:
            return httpx.get(f"{self.run['http']}/readyz", timeout=5, trust_env=False).status_code == 200
        except (OSError, ValueError, httpx.TransportError):
            return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal and waits for the end, at most 15 s; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(15)


@pytest.fixture
def start(service_folder: Path) -> Iterator[Callable[..., Running]]:
    """`start("--port", "0")` starts a service on the test's own data folder; killed at the end where it still runs."""
    begun: list[Running] = []

    def begin(*options: str, **environment: str) -> Running:
        one = Running(service_folder, options, environment).start()
        begun.append(one)
        return one

    yield begin
    for one in begun:
        if one.process.poll() is None:
            one.process.send_signal(signal.SIGTERM)
            try:
                one.process.wait(20)
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()
