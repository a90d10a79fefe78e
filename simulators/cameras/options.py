"""What can be asked of simulated cameras, with a default for everything."""

from dataclasses import dataclass
from pathlib import Path

from simulators.cameras.encoder import Form
from simulators.cameras.footage import Plan
from simulators.errors import SimulatorError

SUB_SIZE, SUB_KBPS = (640, 360), 400
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
    scenes: int = 4
    """Different loops; more cameras than that share them, each at another place of it."""
    light: str = "day"
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

    def plan(self, scene: int) -> Plan:
        """The plan of the n-th loop. Raises SimulatorError."""
        width, height = self.dimensions()
        if self.codec not in ("h264", "h265"):
            raise SimulatorError(f"--codec takes h264 or h265, not {self.codec!r}")
        if self.light not in ("day", "night"):
            raise SimulatorError(f"--light takes day or night, not {self.light!r}")
        if not (0.5 <= self.gop_s <= 30 and 2 <= self.fps <= 60):
            raise SimulatorError("--gop-s goes from 0.5 to 30 seconds, --fps from 2 to 60")
        main = Form(
            width,
            height,
            self.fps,
            self.kbps,
            self.gop_s,
            self.codec,  # type: ignore[arg-type]
            self.bframes,
        )
        sub = Form(*SUB_SIZE, self.fps / 2, SUB_KBPS, self.gop_s)
        return Plan(self.seed * 1000 + scene, main, sub, self.light, self.vfr)  # type: ignore[arg-type]

    def dimensions(self) -> tuple[int, int]:
        """Width and height of the main stream. Raises SimulatorError."""
        width, times, height = self.size.partition("x")
        if not times or not width.isdigit() or not height.isdigit():
            raise SimulatorError(f"--size takes a size like 1280x720, not {self.size!r}")
        pixels = int(width), int(height)
        if not all(64 <= side <= 4096 and side % 2 == 0 for side in pixels):
            raise SimulatorError("--size: both sides are even and from 64 to 4096")
        return pixels
