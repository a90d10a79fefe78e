"""Kinds of faults: what a camera does then, which event it must lead to, and how a fault is written.

`KIND[=VALUE]@START[+DURATION][:ID]`: seconds from the run's beginning; without a duration until its end, without an ID
on all cameras; a `disconnect` without a duration is over at once. `blur@120+300:cam-0002`, `wrong_clock=-3600@10`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from simulators.cameras.variants import FREEZE, RESOLUTION, Fault
from simulators.errors import SimulatorError

JUDGED_S = 60.0
"""Seconds within which several samples of a picture or of a clock are taken."""
LOST_S = 25.0
"""Seconds after which a silent camera is a lost one."""
MILD = 0.3
"""Pictures with a fault weaker than this are not to be reported."""
_WRITTEN = re.compile(r"([a-z_]+)(?:=(-?\d+(?:\.\d+)?))?@(\d+(?:\.\d+)?)(?:\+(\d+(?:\.\d+)?))?(?::(.+))?")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. code: of the event by day; night: by night, where it is another one; "": none is expected.

    threshold_s: the event must come when the fault lasts longer. value: unless another is given; bounds: of it.
    """

    name: str
    code: str
    threshold_s: float
    value: float = 1.0
    bounds: tuple[float, float] = (0.0, 1.0)
    night: str = ""
    is_picture: bool = False

    def code_of(self, light: str) -> str:
        """The event's code by `day` or `night`."""
        return self.night or self.code if light == "night" else self.code

    def is_mild(self, value: float) -> bool:
        """Whether nobody is to report it."""
        if self.name == "wrong_clock":
            return abs(value) < 2.0
        return self.is_picture and value < MILD

    def variant(self, value: float) -> Fault | None:
        """The loop that shows it; None where the picture stays."""
        return Fault(self.name, value) if self.is_picture or self.name == RESOLUTION else None


def _picture(name: str, code: str, night: str = "") -> Kind:
    return Kind(name, code, JUDGED_S, night=night, is_picture=True)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        _picture("dark", "CAM-02", "CAM-04"),
        _picture("blur", "CAM-03"),
        _picture("cover", "CAM-02"),
        _picture(FREEZE, "CAM-05"),
        _picture("shake", "CAM-06"),
        _picture("noise", "CAM-03"),
        _picture("over_exposed", "CAM-03"),
        _picture("cast", "CAM-03"),
        Kind("stall", "CAM-01", LOST_S),
        Kind("disconnect", "CAM-01", LOST_S),
        Kind("refuse", "CAM-01", LOST_S),
        Kind("half_open", "CAM-01", LOST_S),
        Kind("garbage", "CAM-01", float("inf")),
        Kind("slow", "", float("inf"), 0.5, (0.01, 1.0)),
        Kind("wrong_clock", "CAM-07", JUDGED_S, 3600.0, (-4e9, 4e9)),
        Kind("timestamp_jump", "", float("inf"), 1000.0, (-40_000.0, 40_000.0)),
        Kind(RESOLUTION, "", float("inf"), 0.75, (0.1, 2.0)),
    )
}
PICTURE_KINDS = tuple(name for name, kind in KINDS.items() if kind.is_picture)


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault to come. camera None: all. start_s: seconds of the run; lasts_s None: until its end."""

    kind: str
    value: float
    start_s: float
    lasts_s: float | None
    camera: str | None = None


def checked(name: str, value: float | None) -> tuple[Kind, float]:
    """The kind and its value. Raises SimulatorError."""
    kind = KINDS.get(name)
    if kind is None:
        raise SimulatorError(f"unknown fault {name!r}; known are {', '.join(KINDS)}")
    value = kind.value if value is None else value
    if not kind.bounds[0] <= value <= kind.bounds[1]:
        raise SimulatorError(f"{name} takes a value from {kind.bounds[0]:g} to {kind.bounds[1]:g}, not {value:g}")
    return kind, value


def parsed(text: str) -> Planned:
    """A fault as it is written. Raises SimulatorError."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise SimulatorError(
            f"--fault takes KIND[=VALUE]@START[+DURATION][:ID], e.g. blur@120+300:cam-0002; not {text!r}"
        )
    name, value, start, lasts, camera = found.groups()
    kind, amount = checked(name, None if value is None else float(value))
    return Planned(kind.name, amount, float(start), None if lasts is None else float(lasts), camera)
