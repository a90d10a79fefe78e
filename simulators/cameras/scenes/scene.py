"""A scene: a street by seed as one camera sees it, frame by frame, by one of two engines."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.cameras.scenes import near_misses
from simulators.cameras.scenes.camera import Picture, ViewShift, camera_of
from simulators.cameras.scenes.drawn import DrawnEngine, pixel_box
from simulators.cameras.scenes.movers import LOOP_S, pose
from simulators.cameras.scenes.rendered.client import EngineMissing, RenderedEngine
from simulators.cameras.scenes.sensor import Sensor, exposure
from simulators.cameras.scenes.traffic import traffic
from simulators.cameras.scenes.world import NEAR_MISSES, street

Light = Literal["day", "night"]
Engine = Literal["auto", "rendered", "drawn"]


class _Painter(Protocol):
    def frame(self, t_s: float) -> Picture: ...


@dataclass(frozen=True, slots=True)
class Seen:
    """One mover in the picture. box: left, top, right, bottom in pixels, cut at the picture's edge."""

    kind: str
    box: tuple[int, int, int, int]
    moving: bool


class Scene:
    """Frames by time. Not for several threads at once.

    engine: which one draws; why_drawn: a line that says why it is the plain one, "" when it was asked for or is not.
    """

    loop_s = LOOP_S
    """Seconds after which the pictures repeat: frame(t) = frame(t + loop_s)."""

    def __init__(
        self,
        seed: int,
        light: Light,
        size: tuple[int, int],
        engine: Engine,
        view_shift: ViewShift,
        near_miss: str | None,
    ) -> None:
        self.seed, self.light, self.size, self.near_miss = seed, light, size, near_miss
        self.engine: Literal["rendered", "drawn"] = "drawn"
        self.why_drawn = ""
        place = street(seed, light == "night", near_miss)
        self._movers = traffic(place)
        self._camera = camera_of(place.view, size, view_shift)
        self._sensor = Sensor(seed, place.night, size)
        self._painter = self._rendered(engine, view_shift) or DrawnEngine(place, self._movers, self._camera)
        self._exposure = exposure(self._painter.frame(0.0), place.night)

    def _rendered(self, engine: Engine, view_shift: ViewShift) -> _Painter | None:
        """The rendered engine if it is wanted and can run."""
        if engine == "drawn":
            return None
        try:
            painter = RenderedEngine(self.seed, self.light, self.size, view_shift, self.near_miss)
        except EngineMissing as problem:
            if engine == "rendered":
                raise
            self.why_drawn = str(problem)
            return None
        self.engine = "rendered"
        return painter

    def frame(self, t_s: float) -> NDArray[np.uint8]:
        """The picture at t_s seconds, (h, w, 3) uint8 BGR; the caller's own."""
        t_s = round(t_s % LOOP_S, 6) % LOOP_S
        picture = self._painter.frame(t_s)
        if not picture.flags.writeable:
            picture = picture.copy()
        near_misses.overlay(picture, self.near_miss, self.seed, t_s)
        return self._sensor.expose(
            picture, t_s, self._exposure * near_misses.gain(self.near_miss, self.light == "night", t_s)
        )

    def truth(self, t_s: float) -> tuple[Seen, ...]:
        """Vehicles and people inside the picture, whether or not something stands before them."""
        found = []
        for mover in self._movers:
            at = pose(mover, t_s % LOOP_S)
            box = pixel_box(self._camera, at)
            if box is not None and at.fade > 0.5:
                found.append(Seen(mover.kind, box, not mover.parked))
        return tuple(found)


def scene(
    seed: int,
    light: Light,
    size: tuple[int, int] = (1280, 720),
    engine: Engine = "auto",
    view_shift: ViewShift | tuple[float, ...] = ViewShift(),  # noqa: B008 - immutable
    near_miss: str | None = None,
) -> Scene:
    """The street of a seed by day or night.

    size: width, height in pixels. engine: "auto" takes the rendered one where it can run
    (Scene.why_drawn says why not); "rendered" raises EngineMissing instead. view_shift: the camera turned
    from where it looked. near_miss: one of NEAR_MISSES. Raises ValueError for an unknown light or near miss.
    """
    if light not in ("day", "night"):
        raise ValueError(f"light is 'day' or 'night', not {light!r}")
    if near_miss is not None and near_miss not in NEAR_MISSES:
        raise ValueError(f"near_miss is one of {', '.join(NEAR_MISSES)}, not {near_miss!r}")
    return Scene(seed, light, size, engine, ViewShift(*view_shift), near_miss)
