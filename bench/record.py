"""`wangge bench record`: recording, live view, seeking, quality diagnosis of cameras, each beside its yardstick.

Needs no running service: every part starts its own store, service and simulated cameras and removes them.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial

from rich.console import Console

from bench.broker import MissingYardstick
from bench.live import live
from bench.quality import quality
from bench.recording import many_cameras, recording_cost
from bench.report import Result, show, to_json
from bench.seek import seek
from core import log as logging

PARTS: dict[str, Callable[..., Sequence[Result]]] = {
    "cost": recording_cost,
    "many": many_cameras,
    "live": live,
    "seek": seek,
    "quality": quality,
}


def main(arguments: Sequence[str]) -> int:
    """Runs the parts and prints their results. Exit status 0 done, 1 a yardstick is missing, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="wangge bench record", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="everything small, within 40 s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", choices=sorted(PARTS), help="one part alone")
    given = parser.parse_args(arguments)
    logging.configure("text", "warning", sys.stderr)
    results: list[Result] = []
    for name, part in PARTS.items():
        if given.only not in (None, name):
            continue
        if sys.stderr.isatty():
            sys.stderr.write(f"{name} …\n")
        try:
            results += partial(part, quick=given.quick)()
        except MissingYardstick as error:
            sys.stderr.write(f"{error}\n")
            return 1
    if given.json:
        sys.stdout.write(to_json(results) + "\n")
    else:
        show(results, Console())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
