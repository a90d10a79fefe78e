"""What cameras look at: street scenes where they can be had, else a plain pattern."""

from typing import Protocol

from simulators.cameras.encoder import Picture
from simulators.cameras.pattern import Pattern


class Scene(Protocol):
    """Pictures of a loop by time."""

    engine: str
    """`rendered` or `drawn`."""
    loop_s: float

    def frame(self, t_s: float) -> Picture:
        """The picture at t_s seconds, BGR."""


def scene(seed: int, light: str, size: tuple[int, int]) -> Scene:
    """A scene by seed; size: width, height."""
    return Pattern(seed, light, size)


def version() -> str:
    """Changes whenever the same seed shows something else."""
    return "pattern 1"


def spoiled(picture: Picture, kind: str, strength: float, t_s: float, seed: int) -> Picture:
    """The picture with a fault of the camera."""
    raise NotImplementedError(kind)


def engine() -> str:
    """Whether scenes are rendered or drawn, in words."""
    return "drawn (a plain pattern)"
