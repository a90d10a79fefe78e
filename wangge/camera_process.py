"""A camera worker as a process: `python -m wangge.camera_process`, started by `wangge.streams_part`.

Reads one JSON line from stdin (`WorkerPlan`) and works until that pipe ends or SIGTERM comes. Says on stdout how it is,
one JSON line a change (`{"state", "why"}`); logs go to stderr as the service's do. Footage is whole whatever kills it.
"""

import asyncio
import os
import secrets
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import structlog
import uvloop

from core import log as logging
from core.clock import SystemClock
from core.health import Board, PartHealth
from core.supervise import RestartPolicy, Supervisor
from devices.keeper import RegistryKeeper
from store.embedded import raise_file_limit
from store.pool import Store
from streams.media_port import create_app
from streams.worker import Place, Worker, WorkerBroken
from wangge.configuration import validated
from wangge.http_server import serving
from wangge.settings import Settings

log = structlog.get_logger()

OPENS_WITHIN_S = 30.0
POOL_SIZE = 6
SAY_EVERY_S = 5.0
"""So the service sees that the event loop turns (`wangge.streams_part`)."""


class WorkerPlan(msgspec.Struct, frozen=True):
    """What a worker is told. settings: as in a configuration file, without secrets. data: the service's folder."""

    number: int
    dsn: str
    settings: dict[str, Any]
    data: str | None
    log_format: str
    log_level: str


def main() -> int:
    """Exit status 0: told to end."""
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=WorkerPlan)
    settings = validated(plan.settings)
    logging.configure(plan.log_format, plan.log_level)  # type: ignore[arg-type]
    raise_file_limit()
    uvloop.run(_work(plan, settings))
    return 0


async def _work(plan: WorkerPlan, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    threading.Thread(target=_until_stdin_ends, args=(loop, stop), daemon=True).start()
    store = Store(plan.dsn, max_size=POOL_SIZE, statement_timeout_s=settings.store.statement_timeout_s)
    await store.open(OPENS_WITHIN_S)
    try:
        await _run(plan, settings, store, stop)
    finally:
        await store.close()


async def _run(plan: WorkerPlan, settings: Settings, store: Store, stop: asyncio.Event) -> None:
    streams = settings.streams
    listener = _listener(streams.media_host)
    clock, board = SystemClock(), Board()
    keeper = RegistryKeeper(store, settings.devices, settings.site.zone)
    await keeper.load()
    data = None if plan.data is None else Path(plan.data)
    place = Place(
        holder=f"{os.uname().nodename}:{os.getpid()}:{secrets.token_hex(4)}",
        number=plan.number,
        host=os.uname().nodename,
        url=_url(streams.media_host, listener),
        folder=streams.folder(data),
        secrets_file=streams.log_ins(data),
    )
    worker = await Worker.open(streams, place, store, lambda: keeper.registry, clock)
    app = create_app(worker)
    board.listen(lambda _changed: _say(board))
    async with Supervisor(board, clock) as tree:
        tree.start("registry", _following(keeper))
        tree.start("media port", lambda part: serving(part, app, listener))
        for name, run in worker.parts().items():
            tree.start(name, run, RestartPolicy(final=(WorkerBroken,)), vital=True)
        while not stop.is_set():
            _say(board)
            with suppress(TimeoutError):
                async with asyncio.timeout(SAY_EVERY_S):
                    await stop.wait()
        log.info("streams.worker_ending")
    await worker.stop()


def _following(keeper: RegistryKeeper) -> Any:
    async def run(part: Any) -> None:
        part.ready()
        await keeper.run()

    return run


def _listener(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind((host, 0))
    listener.listen(256)
    listener.setblocking(False)
    return listener


def _url(host: str, listener: socket.socket) -> str:
    shown = os.uname().nodename if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
    return f"http://{shown}:{listener.getsockname()[1]}"


def _say(board: Board) -> None:
    """The worst state with the reasons of all parts that are not well."""
    bad: list[PartHealth] = [line for line in board.parts() if line.state != "ok"]
    said = {"state": board.worst(), "why": "; ".join(f"{line.part}: {line.why}" for line in bad)[:500]}
    with suppress(OSError):  # the service is gone; the end of stdin tells
        os.write(1, msgspec.json.encode(said) + b"\n")


def _until_stdin_ends(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    with suppress(OSError):
        while os.read(0, 4096):
            pass
    with suppress(RuntimeError):  # the loop is over
        loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    sys.exit(main())
