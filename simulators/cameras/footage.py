"""Loops of scenes: the same pictures as main stream and as sub-stream."""

import hashlib
import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from simulators.cameras import cache, nal, scenery
from simulators.cameras.encoder import Form, LoopEncoder, instants
from simulators.cameras.loop import VIDEO_HZ
from simulators.cameras.options import Options
from simulators.errors import SimulatorError

LONGEST_S = 60.0
SUB_SIZE, SUB_KBPS = (640, 360), 400


@dataclass(frozen=True, slots=True)
class Plan:
    """What a loop shows and how it is encoded. main: of the main stream; the sub-stream has every second picture.

    irregular: pictures at irregular times (VFR). moved: see scenery.
    """

    seed: int
    main: Form
    sub: Form
    light: scenery.Light = "day"
    irregular: bool = False
    engine: scenery.Engine = "drawn"
    moved: float = 0.0

    def key(self) -> str:
        """Of the cache."""
        return cache.key_of(["scene", asdict(self), scenery.version(self.engine), own_version()])

    def pictures(self) -> int:
        """About how many a loop has."""
        return round(duration_s(20.0, self.main.gop_s) * self.main.fps)


def plan_of(options: Options, scene: int) -> Plan:
    """The plan of the n-th scene of a run, drawn. Raises SimulatorError."""
    if options.codec not in ("h264", "h265"):
        raise SimulatorError(f"--codec takes h264 or h265, not {options.codec!r}")
    if options.light not in ("day", "night"):
        raise SimulatorError(f"--light takes day or night, not {options.light!r}")
    if not (0.5 <= options.gop_s <= 30 and 2 <= options.fps <= 60 and 100 <= options.kbps <= 50_000):
        raise SimulatorError("--gop-s goes from 0.5 to 30 seconds, --fps from 2 to 60, --kbps from 100 to 50000")
    codec: nal.Codec = "h264" if options.codec == "h264" else "h265"
    light: scenery.Light = "day" if options.light == "day" else "night"
    size = _size(options.size)
    main = Form(*size, options.fps, options.kbps, options.gop_s, codec, options.bframes)
    small = SUB_SIZE if size > SUB_SIZE else size
    sub = Form(*small, options.fps / 2, SUB_KBPS, options.gop_s)
    return Plan(options.seed * 1000 + scene, main, sub, light, options.vfr)


def _size(text: str) -> tuple[int, int]:
    width, times, height = text.partition("x")
    if not times or not width.isdigit() or not height.isdigit():
        raise SimulatorError(f"--size takes a size like 1280x720, not {text!r}")
    pixels = int(width), int(height)
    if not all(64 <= side <= 4096 and side % 2 == 0 for side in pixels):
        raise SimulatorError("--size: both sides are even and from 64 to 4096")
    return pixels


@lru_cache(maxsize=1)
def own_version() -> str:
    """Changes with the code that encodes."""
    here = Path(__file__).parent
    files = (here / name for name in ("encoder.py", "footage.py", "nal.py", "variants.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def duration_s(scene_s: float, gop_s: float) -> float:
    """Length of a loop: whole GOPs, at least one turn of the scene, at most about a minute."""
    return min(math.ceil(max(scene_s, gop_s) / gop_s - 1e-9) * gop_s, max(LONGEST_S // gop_s, 1) * gop_s)


def loops(plan: Plan, where: Path | None = None) -> cache.Pair:
    """Both loops, from the cache or made now (blocking, seconds; rendered scenes: minutes). Raises SimulatorError."""
    return cache.pair(plan.key(), lambda: _made(plan), where)


def make(plan: Plan, where: Path) -> None:
    """Sees to it that the loops are in the cache; for another process."""
    loops(plan, where)


def _made(plan: Plan) -> cache.Pair:
    size = (plan.main.width, plan.main.height)
    scene = scenery.scene(plan.seed, plan.light, size, plan.engine, plan.moved)
    duration = round(duration_s(scene.loop_s, plan.main.gop_s) * VIDEO_HZ)
    main, sub = LoopEncoder(plan.main, duration), LoopEncoder(plan.sub, duration)
    random = np.random.default_rng([plan.seed, 5]) if plan.irregular else None
    for number, pts in enumerate(instants(duration, plan.main.fps, irregular=random)):
        picture = scene.frame(pts / VIDEO_HZ % scene.loop_s)
        main.add(picture, pts)
        if number % 2 == 0:
            sub.add(picture, pts)
    if plan.engine == "rendered":
        scenery.stop()
    return main.finish(), sub.finish()
