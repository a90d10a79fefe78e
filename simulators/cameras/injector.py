"""Faults that happen: begins and ends them on the cameras of a server, and remembers what was really done."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from random import Random

from simulators.cameras.camera import Camera
from simulators.cameras.fault_kinds import Kind, Planned, checked
from simulators.cameras.feed import PLAIN
from simulators.cameras.fleet import Fleet
from simulators.cameras.server import Server
from simulators.errors import SimulatorError
from simulators.truth import Injected, is_detectable

NO_EVENT = "NONE"
MOMENT_MS = 2500
"""A camera that is back by then was not lost."""


@dataclass(eq=False, slots=True)
class Running:
    """A fault in force, or one that was. Times: epoch milliseconds."""

    camera: Camera
    kind: Kind
    value: float
    began_ms: int
    ended_ms: int | None = None
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class Injector:
    """Of one event loop. light: day or night, as the scenes are."""

    server: Server
    fleet: Fleet
    light: str
    seed: int
    history: list[Running] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _timers: list[asyncio.TimerHandle] = field(default_factory=list)

    def cameras(self, identity: str | None) -> list[Camera]:
        """The one with this name, all for None. Raises SimulatorError."""
        if identity is None:
            return list(self.fleet.cameras.values())
        if identity not in self.fleet.cameras:
            raise SimulatorError(f"there is no camera {identity!r}")
        return [self.fleet.cameras[identity]]

    async def prepare(self, name: str, value: float | None, identity: str | None) -> tuple[Kind, float]:
        """Makes what the fault needs; seconds where a loop has to be encoded. Raises SimulatorError."""
        kind, amount = checked(name, value)
        variant = kind.variant(amount)
        for camera in self.cameras(identity):
            if variant is not None:
                await self.fleet.load(camera.id, variant)
        return kind, amount

    def schedule(self, planned: Iterable[Planned]) -> None:
        """Lets prepared faults happen at their seconds from now."""
        loop = asyncio.get_running_loop()
        for one in planned:
            kind, value = checked(one.kind, one.value)
            for camera in self.cameras(one.camera):
                self._timers.append(loop.call_later(one.start_s, self.begin, camera, kind, value, one.lasts_s))

    async def follow(self, planned: Iterable[Planned]) -> None:
        """Prepares faults in order of their beginning while cameras are served; some may begin late."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for one in sorted(planned, key=lambda one: one.start_s):
            await self.prepare(one.kind, one.value, one.camera)
            passed_s = loop.time() - began_s
            self.schedule([replace(one, start_s=max(one.start_s - passed_s, 0.0))])

    def begin(self, camera: Camera, kind: Kind, value: float, lasts_s: float | None) -> Running:
        """Begins a fault that is prepared; one of the same kind that is in force ends."""
        for other in self.active(camera):
            if other.kind is kind:
                self.end(other)
        one = Running(camera, kind, value, round(time.time() * 1000))
        self.history.append(one)
        if kind.name in ("disconnect", "refuse"):
            camera.cut()
        if kind.name == "timestamp_jump":
            camera.jump(value)
        if kind.name == "disconnect" and lasts_s is None:
            lasts_s = 0.0
        if lasts_s is not None:
            one.timer = asyncio.get_running_loop().call_later(lasts_s, self.end, one)
        self._apply(camera)
        return one

    def end(self, one: Running) -> None:
        """Ends a fault; the camera is as its other faults have it. Time stamps that jumped stay where they are."""
        if one.ended_ms is not None:
            return
        one.ended_ms = round(time.time() * 1000)
        if one.timer is not None:
            one.timer.cancel()
        if one.kind.name == "half_open":
            one.camera.cut()
        self._apply(one.camera)

    def active(self, camera: Camera) -> list[Running]:
        """Faults in force, oldest first."""
        return [one for one in self.history if one.camera is camera and one.ended_ms is None]

    def close(self) -> None:
        """Nothing happens any more; faults in force stay so."""
        for timer in [*self._timers, *(one.timer for one in self.history if one.timer is not None)]:
            timer.cancel()

    async def keep_listening(self) -> None:
        """Closes the port while every camera refuses, opens it again afterwards; for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if all(camera.conditions.refusing for camera in self.fleet.cameras.values()):
                self.server.deafen()
            else:
                await self.server.listen()

    def rows(self, run_end_ms: int) -> list[Injected]:
        """Ground truth of all faults; code NONE: no event is about it."""
        return [self._row(one, run_end_ms) for one in self.history]

    def _apply(self, camera: Camera) -> None:
        """What is wrong with the camera follows from its faults in force."""
        active = self.active(camera)
        names = {one.kind.name for one in active}
        values = {one.kind.name: one.value for one in active}
        state = camera.conditions
        state.stalled = "stall" in names
        state.mute = "half_open" in names
        state.refusing = bool(names & {"refuse", "disconnect"})
        state.garbage = (state.garbage or Random(f"{self.seed} {camera.id}")) if "garbage" in names else None
        state.clock_offset_s = values.get("wrong_clock", 0.0)
        state.share = values.get("slow")
        shown = [one.kind.variant(one.value) for one in active]
        camera.show(next((fault.name for fault in reversed(shown) if fault is not None), PLAIN))
        self._changed.set()

    def _row(self, one: Running, run_end_ms: int) -> Injected:
        mild = one.kind.is_mild(one.value)
        long = is_detectable(one.began_ms, one.ended_ms, run_end_ms, one.kind.threshold_s)
        lasted_ms = (one.ended_ms or run_end_ms) - one.began_ms
        momentary = one.kind.code == "CAM-01" and one.ended_ms is not None and lasted_ms < MOMENT_MS
        return Injected(
            one.kind.code_of(self.light) or NO_EVENT,
            one.kind.name,
            one.camera.id,
            one.began_ms,
            one.ended_ms,
            long and not mild,
            near_miss=mild or momentary,
            figures={"value": one.value, "light": self.light},
        )
