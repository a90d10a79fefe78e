"""The render server: a child process, `python -m simulators.cameras.scenes.rendered.server`, that draws on request.

Standard input: one JSON line a frame, {"seed", "light", "size", "shift", "near_miss", "t_s"}. Standard output: first a
JSON line, {"ready": what draws} or {"failed": why}; then a frame each, height × width × 3 bytes BGR. It ends with its
input. What libraries print on the way goes to standard error.
"""

import json
import os
import sys
from typing import Any, BinaryIO


def main() -> int:
    """Serve until the input ends; 1 when nothing can be drawn here."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        from simulators.cameras.scenes.rendered.gl import NoRenderer, Screen
    except ImportError as problem:
        return _say(answers, {"failed": f"panda3d is missing ({problem}): pip install 'wangge[scenes]'"}, 1)
    try:
        screen = Screen()
        _draw(
            screen,
            {},
            {"seed": 0, "light": "day", "size": [64, 36], "shift": [0, 0, 0], "near_miss": None, "t_s": 0.0},
        )
    except NoRenderer as problem:
        return _say(answers, {"failed": str(problem)}, 1)
    _say(answers, {"ready": screen.renderer()}, 0)
    stages: dict[str, Any] = {}
    for line in sys.stdin.buffer:
        answers.write(_draw(screen, stages, json.loads(line)))
        answers.flush()
    return 0


def _say(answers: BinaryIO, message: dict[str, str], status: int) -> int:
    answers.write(json.dumps(message).encode() + b"\n")
    answers.flush()
    return status


def _draw(screen: Any, stages: dict[str, Any], wanted: dict[str, Any]) -> bytes:
    """One frame; the stage of its street is built when it is new and stays (`client` renews this process instead)."""
    from simulators.cameras.scenes.camera import ViewShift, camera_of
    from simulators.cameras.scenes.rendered.stage import Stage
    from simulators.cameras.scenes.traffic import traffic
    from simulators.cameras.scenes.world import street

    t_s = wanted.pop("t_s")
    key = json.dumps(wanted, sort_keys=True)
    if key not in stages:
        place = street(wanted["seed"], wanted["light"] == "night", wanted["near_miss"])
        camera = camera_of(place.view, tuple(wanted["size"]), ViewShift(*wanted["shift"]))
        stages[key] = Stage(screen, place, traffic(place), camera)
    frame: bytes = stages[key].frame(t_s).tobytes()
    return frame


if __name__ == "__main__":
    sys.exit(main())
