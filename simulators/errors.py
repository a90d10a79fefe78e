"""The one error of this room, so that a command line can tell a wrong request from a fault of ours."""

from typing import ClassVar


class SimulatorError(Exception):
    """What was asked cannot be simulated (manifest, track, broker); the sentence says what to do."""

    kind: ClassVar[str] = "simulator"
