"""What cameras look at: street scenes, rendered or drawn, or a plain pattern that is made at once."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

from simulators.cameras.encoder import Picture
from simulators.cameras.pattern import Pattern
from simulators.errors import SimulatorError

Light = Literal["day", "night"]
Engine = Literal["rendered", "drawn", "pattern"]
ENGINES = ("auto", "rendered", "drawn", "pattern")
SHAKE = "shake"
RENDER_S_PER_MPX = 0.35
"""Seconds to render a million pixels in software on two cores (measured: 82 ms for 640 x 360)."""
PATIENCE_S = 30.0
"""`auto` does not let people wait longer for the first picture."""


class Scene(Protocol):
    """Pictures of a loop by time."""

    @property
    def loop_s(self) -> float:
        """Seconds after which they repeat."""

    def frame(self, t_s: float) -> Picture:
        """The picture at t_s seconds, BGR."""


def scene(seed: int, light: Light, size: tuple[int, int], engine: Engine, moved: float = 0.0) -> Scene:
    """A scene by seed; size: width, height. moved: strength with which the camera was knocked aside, 0–1.

    Raises SimulatorError where the rendered engine is missing.
    """
    if engine == "pattern":
        return Pattern(seed, light, size)
    from simulators.cameras import scenes

    shift = scenes.picture_faults.view_moved(moved, seed) if moved > 0 else (0.0, 0.0, 0.0)
    try:
        return scenes.scene(seed, light, size, engine, shift)
    except scenes.EngineMissing as error:
        raise SimulatorError(f"scenes cannot be rendered: {error}") from error


def stop() -> None:
    """Ends the renderer's own process, if there is one."""
    from simulators.cameras.scenes.rendered import client

    client.stop()


def missing() -> str:
    """Why nothing can be rendered here; "" where it can. Starts the renderer."""
    from simulators.cameras import scenes
    from simulators.cameras.scenes.rendered import client

    try:
        client.renderer()
    except scenes.EngineMissing as error:
        return str(error)
    return ""


def render_seconds(frames: int, size: tuple[int, int]) -> float:
    """About how long rendering takes."""
    return frames * size[0] * size[1] / 1e6 * RENDER_S_PER_MPX


def spoiled(picture: Picture, kind: str, strength: float, seed: int, t_s: float) -> Picture:
    """The picture with a fault of the camera, as large as before."""
    from simulators.cameras.scenes import picture_faults

    return picture_faults.apply(picture, kind, strength, seed, t_s)


@lru_cache(maxsize=3)
def version(engine: Engine) -> str:
    """Changes whenever the same seed may show something else."""
    here = Path(__file__).parent
    pattern = [here / "pattern.py"]
    drawn = sorted((here / "scenes").glob("*.py"))
    rendered = sorted((here / "scenes" / "rendered").glob("*.py"))
    files = {"pattern": pattern, "drawn": drawn, "rendered": drawn + rendered}[engine]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def faults_version() -> str:
    """Changes whenever a fault of the picture may look different."""
    return hashlib.sha256((Path(__file__).parent / "scenes" / "picture_faults.py").read_bytes()).hexdigest()
