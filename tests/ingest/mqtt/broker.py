"""A real mosquitto for tests: persistent, on a free port, can be killed and started again."""

import asyncio
import contextlib
import os
import random
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest


def program(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.fail(f"{name} is missing: apt-get install mosquitto mosquitto-clients")
    return path


def free_port() -> int:
    """Outside the range of outgoing connections: while the broker is down, no client's own socket may take it."""
    dice = random.SystemRandom()
    while True:
        port = dice.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


class Mosquitto:
    """One broker process with its folder. Saves every second: with `autosave_on_changes true` mosquitto 2.0.11 does not
    save what is in flight to a connected client. persistence False: a kill loses all that it has.
    """

    def __init__(self, *, persistence: bool = True) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="wangge-broker-"))
        self._folder.chmod(0o777)
        settings = [
            f"listener {self.port} 127.0.0.1", "allow_anonymous true", f"persistence {str(persistence).lower()}",
            f"persistence_location {self._folder}/", "autosave_on_changes false", "autosave_interval 1",
            "max_inflight_messages 100", "max_queued_messages 100000", "log_type error",
        ]  # fmt: skip
        (self._folder / "mosquitto.conf").write_text("\n".join(settings) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._process = await asyncio.to_thread(self._spawn)
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [program("mosquitto"), "-c", str(self._folder / "mosquitto.conf")]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def saved_bytes(self) -> int:
        """Size of the broker's database on disk."""
        database = self._folder / "mosquitto.db"
        return database.stat().st_size if database.exists() else 0

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


async def run(*command: str, data: bytes | None = None, within_s: float = 20.0) -> tuple[int, bytes]:
    """(exit status, output of both streams) of a program."""
    process = await asyncio.create_subprocess_exec(
        program(command[0]), *command[1:],
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "HOME": "/nonexistent"},
    )  # fmt: skip
    try:
        async with asyncio.timeout(within_s):
            out, _ = await process.communicate(data)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, out
