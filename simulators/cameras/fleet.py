"""Makes the cameras of a run: loops from the cache or encoded now, each camera at its own place of its loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from simulators.cameras import cache, files, footage, scenery
from simulators.cameras.camera import Camera, camera
from simulators.cameras.loop import Loop, prepared
from simulators.cameras.options import Options
from simulators.errors import SimulatorError

Say = Callable[[str], None]
MAKERS = 2


@dataclass(slots=True)
class Fleet:
    """The cameras; scene_of: which loop each of them plays, none for a file."""

    cameras: list[Camera]
    options: Options
    scene_of: dict[str, int] = field(default_factory=dict)


async def build(options: Options, say: Say) -> Fleet:
    """The fleet that the options describe. Raises SimulatorError."""
    audio: list[Loop] = []
    if options.file is not None:
        main, sub = await asyncio.to_thread(
            files.loops, options.file, keep_codec=options.keep_codec, gop_s=options.gop_s
        )
        one = camera(options.id, [prepared(main), *audio], [prepared(sub), *audio] if options.sub else [], options.seed)
        say(f"{options.file.name}: {main.codec} {main.width}x{main.height}, {main.duration / main.clock_hz:.1f} s")
        return Fleet([one], options)
    if not 1 <= options.count <= 9999:
        raise SimulatorError("--count goes from 1 to 9999")
    plans = [options.plan(number) for number in range(min(options.count, max(options.scenes, 1)))]
    say(f"scenes are {scenery.engine()}; loops are encoded once and kept in {cache.folder()}")
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(MAKERS) as makers:
        pairs = await asyncio.gather(*(loop.run_in_executor(makers, footage.loops, plan) for plan in plans))
    ready = [(prepared(main), prepared(sub)) for main, sub in pairs]
    fleet = Fleet([], options)
    for number in range(options.count):
        name = f"cam-{number + 1:04d}"
        main_loop, sub_loop = ready[number % len(ready)]
        fleet.scene_of[name] = number % len(ready)
        tracks = [sub_loop, *audio] if options.sub else []
        fleet.cameras.append(camera(name, [main_loop, *audio], tracks, options.seed))
    return fleet
