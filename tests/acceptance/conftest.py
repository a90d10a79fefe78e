"""One running service for all acceptance tests that do not need their own, used from outside only: CLI, curl, MQTT."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.postgres import reachable_folder
from tests.support.service import Running, start, wangge

__all__ = ["House", "house", "program", "start"]


@dataclass(frozen=True)
class House:
    """A running service and how a stranger uses it."""

    service: Running

    @property
    def data(self) -> tuple[str, str]:
        """The option that finds it."""
        return "--data", str(self.service.data)

    @property
    def http(self) -> str:
        """Its address."""
        return str(self.service.run["http"])

    @property
    def mqtt(self) -> tuple[str, str]:
        """Host and port of its MQTT listener."""
        host, _, port = str(self.service.run["mqtt"]).rpartition(":")
        return host, port

    def does(self, *words: str) -> str:
        """Runs a command that must succeed; what it printed."""
        done = wangge(*words, *self.data)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def tells(self, *words: str) -> Any:
        """The JSON that a command prints."""
        return json.loads(self.does(*words, "--json"))

    def handset(self, device: str) -> str:
        """Registers a handset; its token, already known to the running service (a second later, as promised)."""
        self.does("devices", "add", "handset", "--id", device)
        made = self.tells("devices", "credential", device)
        assert set(made) == {"device", "token"}
        assert made["device"] == device
        time.sleep(1.0)
        return str(made["token"])


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    with reachable_folder() as folder:
        service = Running(folder, ("--port", "0")).start()
        try:
            yield House(service.ready())
            assert service.stop() == 0
        finally:
            service.process.kill()
            service.process.wait()


@pytest.fixture
def program() -> Callable[[str], str]:
    """The path of a foreign program; the test is skipped where there is none."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed")
        return path

    return find
