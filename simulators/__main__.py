"""`python -m simulators`: the simulators without the service's command line, with a manifest file.

python -m simulators handsets --manifest FILE --mqtt 127.0.0.1:1883 --count 10 --for 60 --seed 1 --truth T.ndjson
"""

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from simulators import manifest as manifests
from simulators import truth as ground_truth
from simulators.anomalies import AnomalyMix
from simulators.cameras import command as camera_command
from simulators.comparison import Report, check
from simulators.errors import SimulatorError
from simulators.load import load
from simulators.manifest import Manifest
from simulators.replay import replay
from simulators.run import run_city
from simulators.session import Options, address
from simulators.truth import epoch_ms


def parser() -> argparse.ArgumentParser:
    """The options of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m simulators", description="Simulated handsets, POS terminals and cameras."
    )
    commands = top.add_subparsers(dest="command", required=True)
    for name in ("handsets", "terminals", "city", "load"):
        command = commands.add_parser(name)
        command.add_argument(
            "--manifest", type=Path, help="devices as JSON; without it made-up ones, for foreign brokers"
        )
        target = command.add_mutually_exclusive_group(required=True)
        target.add_argument("--mqtt", metavar="HOST:PORT")
        target.add_argument("--http", metavar="URL")
        command.add_argument("--count", type=int, default=None, help="devices; default: all of the manifest, else 10")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--window", type=int, default=20, help="unacknowledged messages a device may have")
        command.add_argument("--acked", type=Path, help="NDJSON line for every acknowledged fact")
        if name == "load":
            command.add_argument("--messages", type=int, default=100_000)
            command.add_argument("--array", type=int, default=0, help="fixes in a message; 0: plain objects")
            continue
        command.add_argument("--terminals", type=int, default=None, help="with city: terminals beside --count handsets")
        command.add_argument("--for", dest="seconds", type=float, default=60.0, metavar="S")
        command.add_argument(
            "--interval", type=float, default=10.0, metavar="S", help="seconds between a handset's fixes"
        )
        command.add_argument("--speedup", type=float, default=1.0, metavar="X")
        command.add_argument("--anomalies", default="0.1", help="none, a share of devices, or 0.1:sos,silent")
        command.add_argument("--truth", type=Path, help="ground truth as NDJSON")
        command.add_argument("--paho", action="store_true", help="send with paho-mqtt (tens of devices)")
        command.add_argument("--replay", type=Path, metavar="FILE.gpx", help="the first handset sends this track")
        command.add_argument("--shift-to", metavar="ISO", help="new time of the track's first point")
        command.add_argument(
            "--spacing", type=float, metavar="S", help="even spacing of the track's points in file order"
        )
        command.add_argument("--realtime", action="store_true", help="send the track at its own pace")
        command.add_argument("--array", type=int, default=0, help="points of the track in a message; 0: singly")
    camera_command.add_arguments(commands.add_parser("cameras", help="RTSP cameras that anybody can play"))
    compare = commands.add_parser("check", help="compare events with ground truth; status 1 where they differ")
    compare.add_argument("--truth", type=Path, required=True)
    compare.add_argument("--events", type=Path, required=True, help="JSON array of grid events, as events list --json")
    compare.add_argument("--json", action="store_true")
    return top


def compare_files(truth: Path, events: Path) -> Report:
    """The report on an events file. Raises SimulatorError."""
    try:
        found = msgspec.json.decode(events.read_bytes(), type=list[dict[str, Any]])
        return check(ground_truth.read(truth), found)
    except (OSError, msgspec.DecodeError) as error:
        raise SimulatorError(f"cannot compare {events} with {truth}: {error}") from error


def _devices(arguments: argparse.Namespace) -> Manifest:
    if arguments.manifest is not None:
        return manifests.load(arguments.manifest)
    count = 10 if arguments.count is None else arguments.count
    beside = getattr(arguments, "terminals", None)
    return manifests.made_up(count, count if beside is None else beside, start=datetime.now(UTC))


def _options(arguments: argparse.Namespace) -> Options:
    sender = "http" if arguments.http else "paho" if arguments.paho else "mqtt"
    return Options(
        url=arguments.http or f"mqtt://{arguments.mqtt}",
        sender=sender,  # type: ignore[arg-type]
        seed=arguments.seed,
        mix=AnomalyMix.parse(arguments.anomalies),
        interval_s=arguments.interval,
        speedup=arguments.speedup,
        window=arguments.window,
        truth=arguments.truth,
        acked=arguments.acked,
    )


def work(arguments: argparse.Namespace) -> Coroutine[Any, Any, msgspec.Struct]:
    """What the options ask for. Raises SimulatorError."""
    devices = _devices(arguments)
    if arguments.command == "load":
        if not arguments.mqtt:
            raise SimulatorError("load speaks MQTT; give --mqtt HOST:PORT")
        host, port = address(f"mqtt://{arguments.mqtt}")
        credentials = [(one.id, one.token) for one in devices.first(arguments.count, 0).handsets]
        base_ms = round(time.time() * 1000) - 3_600_000
        return load(
            host,
            port,
            credentials,
            messages=arguments.messages,
            window=arguments.window,
            array=arguments.array,
            base_ms=base_ms,
        )
    options = _options(arguments)
    if arguments.replay is not None:
        shift_to_ms = None if arguments.shift_to is None else epoch_ms(arguments.shift_to)
        return replay(
            arguments.replay,
            devices.first(1, 0).handsets[0],
            options,
            shift_to_ms=shift_to_ms,
            spacing_s=arguments.spacing,
            realtime=arguments.realtime,
            array=arguments.array,
        )
    handsets = 0 if arguments.command == "terminals" else arguments.count
    terminals = {"handsets": 0, "terminals": arguments.count, "city": arguments.terminals}[arguments.command]
    return run_city(devices, arguments.seconds, options, handsets=handsets, terminals=terminals)


async def _until_signal(job: Coroutine[Any, Any, msgspec.Struct]) -> msgspec.Struct:
    """SIGTERM ends the job as Ctrl-C does: ground truth is still written."""
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await job


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done, 1 failed or cut short, 2 wrong usage."""
    arguments = parser().parse_args(argv)
    status = 0
    try:
        if arguments.command == "check":
            report = compare_files(arguments.truth, arguments.events)
            sys.stdout.write((report.json().decode() if arguments.json else report.table()) + "\n")
            return 0 if report.passed else 1
        if arguments.command == "cameras":
            camera_command.main(camera_command.options_of(arguments))
            return 0
        result = uvloop.run(_until_signal(work(arguments)))
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n")
    except* SimulatorError as group:
        for error in _leaves(group):
            sys.stderr.write(f"{error}\n")
        status = 1
    except* (asyncio.CancelledError, KeyboardInterrupt):
        sys.stderr.write("cut short\n")
        status = 1
    return status


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    return [
        leaf for one in group.exceptions for leaf in (_leaves(one) if isinstance(one, BaseExceptionGroup) else [one])
    ]


if __name__ == "__main__":
    sys.exit(main())
