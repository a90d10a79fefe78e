"""A run of simulated cameras from first to last: build, serve, do what is planned, write down what was done."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from simulators import truth
from simulators.cameras import fault_kinds, fault_plan, ledger
from simulators.cameras import fleet as fleets
from simulators.cameras.control import Control
from simulators.cameras.discovery import announced
from simulators.cameras.fault_kinds import Planned
from simulators.cameras.fleet import Fleet
from simulators.cameras.injector import Injector
from simulators.cameras.onvif import Device
from simulators.cameras.options import Options
from simulators.cameras.server import Server
from simulators.cameras.small_http import serving
from simulators.errors import SimulatorError

TRUTH_S = 5.0
"""The truth file is written anew so often while the run goes on."""


class Outcome(msgspec.Struct):
    """Figures of a run. connections: sessions, a track each; frames, dropped: units over all of them."""

    cameras: int
    connections: int
    frames: int
    dropped: int
    faults: int


def _nothing(*_: object) -> None:
    """Of a caller who does not want to know."""


async def run_cameras(
    options: Options,
    say: Callable[[str], None] = _nothing,
    *,
    stop: asyncio.Event | None = None,
    ready: Callable[[Server], None] = _nothing,
) -> Outcome:
    """Serves until options.seconds are over or `stop` is set. Raises SimulatorError.

    say: lines for people. ready: called once the port is open.
    """
    planned = [fault_kinds.parsed(text) for text in options.fault]
    fleet = await fleets.build(options, say)
    drawn = fault_plan.drawn(options.faults, list(fleet.cameras), options.seconds, options.seed)
    server = Server(
        fleet.cameras.values(),
        host=options.host,
        port=options.port,
        user=options.user,
        password=options.password,
        qop=options.qop,
    )
    injector = Injector(server, fleet, options.light, options.seed)
    for one in planned:
        await injector.prepare(one.kind, one.value, one.camera)
    try:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(server)
            if options.control is not None:
                port = await stack.enter_async_context(serving(Control(injector).answer, "127.0.0.1", options.control))
                say(f"control http://127.0.0.1:{port}/")
            if options.onvif is not None:
                device = Device(server, fleet, options.user, options.password or "")
                device.port = await stack.enter_async_context(serving(device.answer, options.host, options.onvif))
                service = f"http://{options.host}:{device.port}/onvif/device_service"
                say(f"onvif {service}")
                with contextlib.suppress(OSError):  # somebody else answers probes on this machine
                    await stack.enter_async_context(announced(next(iter(fleet.cameras)), service, options.host))
            _announce(server, fleet, say)
            injector.schedule(planned)
            ready(server)
            await _until(options, stop or asyncio.Event(), injector, drawn)
    except OSError as error:
        raise SimulatorError(f"a port cannot be opened: {error}") from error
    if options.truth is not None:
        await _write(options.truth, injector)
    sent = server.sent
    frames, dropped = sum(one.frames for one in sent), sum(one.dropped for one in sent)
    return Outcome(len(fleet.cameras), len(sent), frames, dropped, len(injector.history))


def _announce(server: Server, fleet: Fleet, say: Callable[[str], None]) -> None:
    for camera in fleet.cameras.values():
        say("  ".join(server.url(camera.id, stream) for stream in camera.streams))


async def _until(options: Options, stop: asyncio.Event, injector: Injector, drawn: list[Planned]) -> None:
    """Waits for the end while faults happen."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(injector.keep_listening()), group.create_task(injector.follow(drawn))]
            if options.truth is not None:
                tasks.append(group.create_task(_keep_writing(options, injector)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(options.seconds):
                    await stop.wait()
            for task in tasks:
                task.cancel()
    except ExceptionGroup as group:
        if isinstance(group.exceptions[0], SimulatorError):
            raise group.exceptions[0] from None
        raise
    finally:
        injector.close()


async def _keep_writing(options: Options, injector: Injector) -> None:
    assert options.truth is not None
    while True:
        await _write(options.truth, injector)
        await asyncio.sleep(TRUTH_S)


async def _write(path: Path, injector: Injector) -> None:
    rows = ledger.rows(injector, injector.server, round(time.time() * 1000))
    try:
        await asyncio.to_thread(truth.write, path, rows)
    except OSError as error:
        raise SimulatorError(f"{path} cannot be written: {error.strerror}") from error
