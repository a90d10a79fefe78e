"""What cameras look at: street scenes, or a plain pattern that is made at once."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

from simulators.cameras.encoder import Picture
from simulators.cameras.pattern import Pattern

Light = Literal["day", "night"]
SHAKE = "shake"


class Scene(Protocol):
    """Pictures of a loop by time."""

    @property
    def loop_s(self) -> float:
        """Seconds after which they repeat."""

    def frame(self, t_s: float) -> Picture:
        """The picture at t_s seconds, BGR."""


def scene(seed: int, light: Light, size: tuple[int, int], *, pattern: bool, moved: float = 0.0) -> Scene:
    """A scene by seed; size: width, height. moved: strength with which the camera was knocked aside, 0–1."""
    if pattern:
        return Pattern(seed, light, size)
    from simulators.cameras import scenes

    shift = scenes.picture_faults.view_moved(moved, seed) if moved > 0 else (0.0, 0.0, 0.0)
    return scenes.scene(seed, light, size, view_shift=shift)


def spoiled(picture: Picture, kind: str, strength: float, seed: int, t_s: float) -> Picture:
    """The picture with a fault of the camera, as large as before."""
    from simulators.cameras.scenes import picture_faults

    return picture_faults.apply(picture, kind, strength, seed, t_s)


@lru_cache(maxsize=1)
def engine() -> str:
    """Whether scenes are rendered or drawn, and why they are only drawn; for people."""
    from simulators.cameras import scenes

    one = scenes.scene(0, "day", (64, 36))
    return one.engine + (f" ({one.why_drawn})" if one.why_drawn else "")


@lru_cache(maxsize=1)
def version() -> str:
    """Changes whenever the same seed may show something else."""
    files = sorted((Path(__file__).parent / "scenes").glob("*.py"))
    code = b"".join(file.read_bytes() for file in [*files, Path(__file__).with_name("pattern.py")])
    return hashlib.sha256(code + engine().encode()).hexdigest()
