"""Asks the render server for frames: one child process for all scenes of this process, started when first needed."""

import atexit
import json
import select
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

import numpy as np

from simulators.cameras.scenes.camera import Picture, ViewShift

_START_S = 60.0
"""A renderer that is not ready by then is taken as missing."""
_FRAME_S = 60.0
_MOST_STREETS = 4
"""Streets that one child draws before another takes its place. Each holds 85 MiB; letting go of one within a process
releases shadows of those that live (tried: their streets turn dark)."""
_ROOT = Path(__file__).resolve().parents[4]


class EngineMissing(RuntimeError):
    """The rendered engine cannot run here; the text is one line that says why and what to install."""


class RenderedEngine:
    """Frames of one street from the render server, BGR, without the sensor's marks."""

    def __init__(self, seed: int, light: str, size: tuple[int, int], shift: ViewShift, near_miss: str | None) -> None:
        """Starts the server if it is not running. Raises EngineMissing."""
        self._size = size
        self._wanted = {"seed": seed, "light": light, "size": list(size), "shift": list(shift), "near_miss": near_miss}
        _SERVER.start()

    def frame(self, t_s: float) -> Picture:
        """The picture at a time of the loop. Raises EngineMissing when the server has died."""
        width, height = self._size
        data = _SERVER.ask({**self._wanted, "t_s": t_s}, width * height * 3)
        return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def renderer() -> str:
    """What draws, in the driver's words. Starts the server. Raises EngineMissing."""
    return _SERVER.start()


class _Server:
    """The child process; calls from several threads wait for each other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._complaints: deque[str] = deque(maxlen=20)
        self._answer = self._refusal = ""
        self._streets: set[str] = set()

    def start(self) -> str:
        """What draws; starts the child when none runs. A refusal is remembered."""
        with self._lock:
            return self._start()

    def _start(self) -> str:
        if self._child is not None and self._child.poll() is None:
            return self._answer
        if self._refusal:
            raise EngineMissing(self._refusal)
        command = [sys.executable, "-m", "simulators.cameras.scenes.rendered.server"]
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=_ROOT,
            bufsize=0,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, args=(self._child,), name="renderer-complaints", daemon=True).start()
        said = json.loads(self._line() or b'{"failed": ""}')
        if "ready" not in said:
            self.stop()
            self._refusal = said["failed"] or f"the renderer does not start ({self._last_words()})"
            raise EngineMissing(self._refusal)
        self._answer = str(said["ready"])
        return self._answer

    def _listen(self, child: "subprocess.Popen[bytes]") -> None:
        assert child.stderr is not None
        with child.stderr as complaints:
            for line in complaints:
                self._complaints.append(line.decode(errors="replace").strip())

    def _last_words(self) -> str:
        return self._complaints[-1] if self._complaints else "it said nothing"

    def _line(self) -> bytes:
        """The child's first line, b"" when it ended or took too long."""
        line, until = b"", time.monotonic() + _START_S
        while not line.endswith(b"\n"):
            part = self._read(1, max(0.0, until - time.monotonic()))
            if not part:
                return b""
            line += part
        return line

    def _read(self, most: int, seconds: float) -> bytes:
        assert self._child is not None
        assert self._child.stdout is not None
        # poll, not select: a simulator of many cameras has more than 1,024 files open.
        waiting = select.poll()
        waiting.register(self._child.stdout, select.POLLIN)
        return self._child.stdout.read(most) or b"" if waiting.poll(seconds * 1000) else b""

    def ask(self, wanted: dict[str, object], size: int) -> bytes:
        """One frame of size bytes; a server that has died is started once more."""
        with self._lock:
            self._renew(json.dumps({**wanted, "t_s": 0}))
            for _ in range(2):
                self._start()
                data = self._once(wanted, size)
                if data is not None:
                    return data
                self.stop()
            raise EngineMissing(f"the renderer stopped ({self._last_words()})")

    def _renew(self, street: str) -> None:
        """A new child after so many streets."""
        if street not in self._streets and len(self._streets) >= _MOST_STREETS:
            self.stop()
        self._streets.add(street)

    def _once(self, wanted: dict[str, object], size: int) -> bytes | None:
        assert self._child is not None
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(wanted).encode() + b"\n")
        except BrokenPipeError:
            return None
        data = bytearray()
        while len(data) < size:
            part = self._read(size - len(data), _FRAME_S)
            if not part:
                return None
            data += part
        return bytes(data)

    def stop(self) -> None:
        """End the child; the next request starts another."""
        child, self._child = self._child, None
        self._streets.clear()
        if child is None:
            return
        assert child.stdin is not None
        child.stdin.close()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        assert child.stdout is not None
        child.stdout.close()


_SERVER = _Server()
atexit.register(_SERVER.stop)


def stop() -> None:
    """End the render server now; the next frame starts it again."""
    _SERVER.stop()
