"""Loops of scenes: the same pictures as main stream and as sub-stream, plain or with a picture fault."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from simulators.cameras import cache, scenery
from simulators.cameras.encoder import Form, LoopEncoder, Picture, instants
from simulators.cameras.loop import VIDEO_HZ

Light = Literal["day", "night"]
LONGEST_S = 60.0
FREEZE = "freeze"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a loop shows and how it is encoded. main: of the main stream; the sub-stream has every second picture."""

    seed: int
    main: Form
    sub: Form
    light: Light = "day"
    irregular: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the picture. strength: 0–1."""

    kind: str
    strength: float = 1.0


def duration_s(scene_s: float, gop_s: float) -> float:
    """Length of a loop: whole GOPs, at least one turn of the scene."""
    return min(math.ceil(max(scene_s, gop_s) / gop_s - 1e-9) * gop_s, max(LONGEST_S // gop_s, 1) * gop_s)


def loops(plan: Plan, fault: Fault | None = None, where: Path | None = None) -> cache.Pair:
    """Both loops, from the cache or made now (blocking, seconds; rendered scenes: minutes)."""
    parts = [_as_parts(plan), None if fault is None else asdict(fault), scenery.version(), _own_version()]
    return cache.pair(cache.key_of(parts), lambda: _made(plan, fault), where)


def _as_parts(plan: Plan) -> dict[str, object]:
    return asdict(plan)


def _own_version() -> str:
    """Changes with the code that encodes."""
    here = Path(__file__).parent
    files = (here / name for name in ("encoder.py", "footage.py", "nal.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _made(plan: Plan, fault: Fault | None) -> cache.Pair:
    scene = scenery.scene(plan.seed, plan.light, (plan.main.width, plan.main.height))
    length_s = duration_s(scene.loop_s, plan.main.gop_s)
    duration = round(length_s * VIDEO_HZ)
    frozen = fault is not None and fault.kind == FREEZE
    main = LoopEncoder(replace(plan.main, steady_qp=frozen), duration)
    sub = LoopEncoder(replace(plan.sub, steady_qp=frozen), duration)
    for number, (pts, picture) in enumerate(_pictures(plan, fault, scene, duration)):
        main.add(picture, pts)
        if number % 2 == 0:
            sub.add(picture, pts)
    return main.finish(), sub.finish()


def _pictures(plan: Plan, fault: Fault | None, scene: scenery.Scene, duration: int) -> Iterator[tuple[int, Picture]]:
    """The pictures at their instants; a GOP always begins with one that both streams have."""
    random = np.random.default_rng([plan.seed, 5]) if plan.irregular else None
    held: Picture | None = None
    for pts in instants(duration, plan.main.fps, irregular=random):
        t_s = pts / VIDEO_HZ
        if fault is not None and fault.kind == FREEZE:
            held = scene.frame(0.0) if held is None else held
            yield pts, held
            continue
        picture = scene.frame(t_s % scene.loop_s)
        yield pts, picture if fault is None else scenery.spoiled(picture, fault.kind, fault.strength, t_s, plan.seed)
