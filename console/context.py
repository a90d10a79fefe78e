"""What the console's routes stand on: one object, made by `wangge` and kept in `app.state.console`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import HTTPConnection

from console.attempts import Attempts
from console.bell import Bell
from console.media import Media
from console.passwords import Passwords
from console.recent import Recent
from console.settings import ConsoleSettings, HttpSettings
from console.viewing import Viewings
from core.health import Board
from devices.registry import Registry
from store.pool import Store

COUNTS_KEEP_S = 2.0


@dataclass(slots=True)
class Console:
    """The parts that routes use.

    registry: the newest snapshot. board: health of the parts. is_ready: started, and no needed part is down.
    local_token: digest of the local administrator's token (file in the data folder); None: there is none.
    log_ins: file where log-ins of cameras go (devices.camera_secrets); None: no camera is read on this machine.
    rates: current figures by name. changed: wakes live streams. addresses: where devices connect, by protocol.
    """

    store: Store
    settings: ConsoleSettings
    http: HttpSettings
    zone: ZoneInfo
    registry: Callable[[], Registry]
    board: Board
    is_ready: Callable[[], bool]
    rates: Callable[[], dict[str, float]] = dict
    local_token: bytes | None = None
    log_ins: Path | None = None
    addresses: Callable[[], dict[str, str]] = dict
    passwords: Passwords = field(default_factory=Passwords)
    attempts: Attempts = field(init=False)
    media: Media = field(init=False)
    viewings: Viewings = field(default_factory=Viewings)
    changed: Bell = field(default_factory=Bell)
    streams: int = 0
    counts: Recent[Any] = field(default_factory=lambda: Recent(COUNTS_KEEP_S))
    """Counts of the status page, which anybody may open."""

    def __post_init__(self) -> None:
        self.attempts = Attempts(self.settings.sign_in_attempts, self.settings.sign_in_window_s)
        self.media = Media(self.store)


def console_of(request: HTTPConnection) -> Console:
    """The console behind a request."""
    console = request.app.state.console
    assert isinstance(console, Console)
    return console
