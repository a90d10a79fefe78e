"""`python -m simulators cameras`: the options as arguments, lines for people, a signal that ends the run."""

import argparse
import asyncio
import contextlib
import signal
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import msgspec
import uvloop

from simulators.cameras.options import Options
from simulators.cameras.server import Server

if TYPE_CHECKING:
    from simulators.cameras.run import Outcome

_HELP = {
    "count": "how many cameras: cam-0001, cam-0002, …",
    "file": "play this video for ever instead, as one camera",
    "id": "with --file: the camera's name",
    "host": "address to listen on",
    "port": "RTSP port; 0: the system chooses",
    "seconds": "for how long; default: until stopped",
    "seed": "the same seed shows and does the same things",
    "user": "ask for digest authentication",
    "password": "with --user",
    "qop": "digest with qop=auth",
    "scenes": "different loops; more cameras share them",
    "light": "day or night",
    "engine": "auto, rendered, drawn or pattern (made at once)",
    "size": "of the main stream",
    "fps": "pictures a second of the main stream; the sub-stream has half",
    "kbps": "kilobits a second of the main stream",
    "gop_s": "seconds between key frames",
    "codec": "h264 or h265 (main stream)",
    "keep_codec": "with --file: serve H.265 as it is",
    "bframes": "main stream with B-frames",
    "vfr": "variable frame rate",
    "no_sub": "no sub-stream",
    "audio": "none, pcma or aac",
    "fault": "KIND[=VALUE]@START+DURATION[:ID], seconds of the run; repeatable",
    "faults": "share of cameras that get a fault by seed, 0-1",
    "control": "HTTP port for faults on command",
    "truth": "write what was really done and sent, as NDJSON",
    "onvif": "port of an ONVIF device for the first camera",
}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options, with the names of Options (seconds is --for)."""
    defaults = Options()
    for one in fields(Options):
        value = getattr(defaults, one.name)
        if one.name == "sub":
            command.add_argument("--no-sub", dest="sub", action="store_false", help=_HELP["no_sub"])
            continue
        flag = "--for" if one.name == "seconds" else "--" + one.name.replace("_", "-")
        if isinstance(value, bool):
            command.add_argument(flag, dest=one.name, action="store_true", help=_HELP[one.name])
        elif one.name == "fault":
            command.add_argument(flag, action="append", default=[], metavar="F", help=_HELP[one.name])
        else:
            kind = _KINDS.get(one.name, str if value is None else type(value))
            command.add_argument(flag, dest=one.name, type=kind, default=value, help=_HELP[one.name])


_KINDS: dict[str, type] = {"file": Path, "truth": Path, "seconds": float, "control": int, "onvif": int}


def options_of(arguments: argparse.Namespace) -> Options:
    """The options that were given."""
    values = {one.name: getattr(arguments, one.name) for one in fields(Options)}
    return Options(**values | {"fault": tuple(values["fault"])})


async def until_signal(options: Options, told: TextIO) -> "Outcome":
    """Runs; once cameras can be played, SIGTERM and Ctrl-C end the run in good order.

    told: where addresses and other lines for people go, at once.
    """
    from simulators.cameras.run import run_cameras

    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def obey(_: Server) -> None:
        with contextlib.suppress(NotImplementedError):
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)

    def say(line: str) -> None:
        told.write(line + "\n")
        told.flush()

    return await run_cameras(options, say, stop=stop, ready=obey)


def main(options: Options) -> None:
    """Runs and prints the figures. Raises SimulatorError."""
    result = uvloop.run(until_signal(options, sys.stderr))
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
