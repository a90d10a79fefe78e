"""A mosquitto of our own on a free port, and a paho subscriber behind it: the yardstick of the listener."""

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from core.errors import WanggeError

# Unbounded queues: the subscriber gets everything it can take; with the defaults the broker would drop most of it.
CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_queued_messages 0
max_inflight_messages 1000
log_dest none
"""


class MissingYardstick(WanggeError):
    """A benchmark's yardstick is not installed; the message names the package."""

    kind = "missing_yardstick"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """Runs mosquitto for the block; yields its port. Raises MissingYardstick without it."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise MissingYardstick("mosquitto is missing: sudo apt-get install mosquitto")
    port = free_port()
    file = folder / "mosquitto.conf"
    file.write_text(CONFIGURATION.format(port=port), encoding="utf-8")
    process = subprocess.Popen([program, "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for_port(port)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait_for_port(port: int, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return
        if time.monotonic() > deadline:
            raise WanggeError(f"nothing listens on port {port} after {timeout_s:g} s")
        time.sleep(0.02)


class Subscriber:
    """The do-nothing paho subscriber in a process of its own."""

    def __init__(self, port: int, total: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.subscriber", "127.0.0.1", str(port), str(total)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            raise WanggeError("the paho subscriber did not start")

    def result(self, timeout_s: float = 120.0) -> tuple[int, float]:
        """Messages received and the seconds from the first to the last."""
        output, _ = self._process.communicate(timeout=timeout_s)
        received, seconds = output.split()
        return int(received), float(seconds)
