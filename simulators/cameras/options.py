"""What can be asked of simulated cameras, with a default for everything."""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_PORT = 8554


@dataclass(slots=True)
class Options:
    """Of one run; the words are those of the command line. seconds None: until stopped."""

    count: int = 4
    file: Path | None = None
    id: str = "cam-0001"
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    seconds: float | None = None
    seed: int = 0
    user: str | None = None
    password: str | None = None
    qop: bool = False
    scenes: int = 2
    """Different loops; more cameras than that share them, each at another place of it."""
    light: str = "day"
    engine: str = "auto"
    size: str = "1280x720"
    fps: float = 15.0
    kbps: int = 2000
    gop_s: float = 2.0
    codec: str = "h264"
    keep_codec: bool = False
    bframes: bool = False
    vfr: bool = False
    sub: bool = True
    audio: str = "none"
    fault: tuple[str, ...] = ()
    faults: float = 0.0
    control: int | None = None
    truth: Path | None = None
    onvif: int | None = None
