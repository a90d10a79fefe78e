"""Makes the cameras of a run: loops from the cache or encoded now, each camera at its own place of its loop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from simulators.cameras import audio, cache, scenery
from simulators.cameras.camera import Camera, camera
from simulators.cameras.feed import PLAIN
from simulators.cameras.footage import Plan, plan_of
from simulators.cameras.loop import Loop, prepared
from simulators.cameras.options import Options
from simulators.cameras.source import FileSource, SceneSource, Source, cached, make_all
from simulators.cameras.variants import Fault
from simulators.errors import SimulatorError

Say = Callable[[str], None]


@dataclass(slots=True)
class Fleet:
    """The cameras; sources: where each has its pictures from (the same object: the same pictures)."""

    cameras: dict[str, Camera] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    _ready: dict[tuple[Source, str], tuple[Loop, Loop]] = field(default_factory=dict)

    async def load(self, identity: str, fault: Fault) -> None:
        """Makes the camera able to show the fault; takes seconds where it was never made before."""
        source = self.sources[identity]
        known = (source, fault.name)
        if known not in self._ready:
            main, sub = await asyncio.to_thread(source.spoiled, fault)
            self._ready[known] = prepared(main), prepared(sub)
        for name, loop in zip(("main", "sub"), self._ready[known], strict=True):
            if name not in self.cameras[identity].streams:
                continue
            feed = self.cameras[identity].streams[name][0]
            if not _fits(loop, feed.loops[PLAIN]):
                raise SimulatorError(f"{fault.name} cannot be shown: its key frames are not where the plain ones are")
            feed.loops[fault.name] = loop


def plans_of(options: Options, say: Say) -> list[Plan]:
    """Plans of the scenes, by the engine that was asked for or can be had; says which one. Blocking."""
    if options.engine not in scenery.ENGINES:
        raise SimulatorError(f"--engine takes {', '.join(scenery.ENGINES)}, not {options.engine!r}")
    numbers = range(min(options.count, max(options.scenes, 1)))
    drawn = [plan_of(options, number) for number in numbers]
    rendered = [replace(plan, engine="rendered") for plan in drawn]
    kept = f"loops are encoded once and kept in {cache.folder()}"
    if options.engine == "pattern":
        say(f"scenes: a plain pattern; {kept}")
        return [replace(plan, engine="pattern") for plan in drawn]
    missing = [plan for plan in rendered if not cached(plan, cache.folder())]
    form = rendered[0].main
    seconds = scenery.render_seconds(len(missing) * rendered[0].pictures(), (form.width, form.height))
    why = "as asked for" if options.engine == "drawn" else ""
    if options.engine == "auto" and seconds > scenery.PATIENCE_S:
        why = f"--engine rendered takes about {max(round(seconds / 60), 1)} min, once"
    elif not why and missing:
        why = scenery.missing()
    say(f"scenes: drawn ({why}); {kept}" if why else f"scenes: rendered; {kept}")
    return drawn if why else rendered


def _fits(loop: Loop, plain: Loop) -> bool:
    """Whether a feed may change from one to the other at any key frame."""
    ours, theirs = ([(n, unit.pts) for n, unit in enumerate(one.units) if unit.is_key] for one in (loop, plain))
    return len(loop.units) == len(plain.units) and ours == theirs


async def build(options: Options, say: Say) -> Fleet:
    """The fleet that the options describe. Raises SimulatorError."""
    sounds = await asyncio.to_thread(audio.loops, options.audio)
    fleet = Fleet()
    if options.file is not None:
        chosen: list[Source] = [FileSource(options.file, options.keep_codec, options.gop_s, options.seed)]
        names = [options.id]
    else:
        if not 1 <= options.count <= 9999:
            raise SimulatorError("--count goes from 1 to 9999")
        plans = await asyncio.to_thread(plans_of, options, say)
        await asyncio.to_thread(make_all, plans)
        chosen = [SceneSource(plan) for plan in plans]
        names = [f"cam-{number + 1:04d}" for number in range(options.count)]
    pairs = [await asyncio.to_thread(source.pair) for source in chosen]
    if any(isinstance(one, SceneSource) and one.plan.engine == "rendered" for one in chosen):
        await asyncio.to_thread(scenery.stop)
    ready = [(prepared(main), prepared(sub)) for main, sub in pairs]
    for number, name in enumerate(names):
        main_loop, sub_loop = ready[number % len(ready)]
        tracks = [sub_loop, *sounds] if options.sub else []
        fleet.cameras[name] = camera(name, [main_loop, *sounds], tracks, options.seed)
        fleet.sources[name] = chosen[number % len(ready)]
    return fleet
