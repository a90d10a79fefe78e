"""`wangge up` and `wangge serve`: from the command line to a running service and back to exit status 0.

Signals only set an event: SIGTERM and SIGINT drain the service. A second one does nothing more: the end is bounded.
"""

import asyncio
import gc
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvloop

from core import log as logging
from core.errors import ConfigurationError, WanggeError
from store.embedded import raise_file_limit, write_run
from store.embedded.home import make_folder
from store.embedded.instance import RUN_NAME
from store.pool import Store
from wangge import ports
from wangge.announcing import lines
from wangge.demo import Demo
from wangge.first_start import FirstAdministrator, first_administrator, new_local_token
from wangge.service import ROLES, Plan, Service
from wangge.settings import Settings
from wangge.storehouse import StoreHouse

log = structlog.get_logger()

PLANNED_ROLES = ("patrol",)
POOL_OPENS_WITHIN_S = 20.0
YOUNG_OBJECTS = (20_000, 20, 20)
SWITCH_S = 0.0005


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line. data None: `wangge serve`. seconds: stop after so many, once started."""

    settings: Settings
    roles: frozenset[str]
    data: Path | None
    port: int | None = None
    seconds: float | None = None
    demo: bool = False


def roles_of(text: str) -> frozenset[str]:
    """Roles from `a,b`. Raises ConfigurationError for one that there is not (yet)."""
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if later := sorted(names & set(PLANNED_ROLES)):
        raise ConfigurationError(f"The role {later[0]} is not part of this version; there are {', '.join(ROLES)}.")
    if unknown := sorted(names - set(ROLES)):
        raise ConfigurationError(f"There is no role {unknown[0]!r}; choose from {', '.join(ROLES)}.")
    if not names:
        raise ConfigurationError(f"--roles names no role; choose from {', '.join(ROLES)}.")
    return names


def main(wish: Wish) -> None:
    """Runs the service until it is told to stop. Raises what keeps it from starting or made it give up."""
    settings = wish.settings
    logging.configure(settings.log.format, settings.log.level)
    raise_file_limit()
    chosen = ports.wanted(settings, wish.port)
    listener = ports.listening(settings.http.host, chosen.http, "http.port")
    if "ingest" in wish.roles and settings.ingest.mqtt.enabled:
        ports.check_free(settings.ingest.mqtt.host, chosen.mqtt, "ingest.mqtt.port")
    house = StoreHouse(settings.store, wish.data)
    if wish.data is not None:
        make_folder(wish.data)
    try:
        uvloop.run(_serve(wish, Plan(settings, wish.roles, wish.data, chosen, listener), house))
    except BaseExceptionGroup as group:
        raise _first_of_ours(group) from group
    finally:
        listener.close()


async def _serve(wish: Wish, plan: Plan, house: StoreHouse) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await asyncio.to_thread(house.start)
        try:
            if not stop.is_set():
                await _with_store(wish, plan, house, stop)
        finally:
            if plan.data is not None:  # ours: the folder is locked
                (plan.data / RUN_NAME).unlink(missing_ok=True)
    finally:
        await asyncio.to_thread(house.stop)
        log.info("service.ended")


async def _with_store(wish: Wish, plan: Plan, house: StoreHouse, stop: asyncio.Event) -> None:
    settings = plan.settings.store
    store = Store(house.dsn, max_size=settings.pool_size, statement_timeout_s=settings.statement_timeout_s)
    await store.open(POOL_OPENS_WITHIN_S)
    try:
        first = await first_administrator(store, plan.data) if "console" in plan.roles else None
        if plan.data is not None:
            plan.local_token = new_local_token(plan.data)
        service = Service(plan, house, store)
        demo = None
        if wish.demo and plan.data is not None:
            demo = Demo(service, plan.data, ports.for_cameras(wish.port))

        async def started(running: Service) -> None:
            _settle_interpreter()
            _announce(running, house, first, demo)
            if wish.seconds is not None:
                asyncio.get_running_loop().call_later(wish.seconds, stop.set)

        if demo is not None:
            await demo.make_city(store)
        await service.run(stop, started, demo.parts() if demo is not None else {})
    finally:
        await store.close()


def _settle_interpreter() -> None:
    """What was made at the start stays: it is not looked at again, and young objects are looked at in larger lots.

    A writer's thread waits at most SWITCH_S for the event loop's at each of its steps. Measured under full load:
    garbage 3 % of the processor at single fixes; arrays 157,000 fixes a second, 118,000 with Python's own 5 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*YOUNG_OBJECTS)
    sys.setswitchinterval(SWITCH_S)


def _announce(service: Service, house: StoreHouse, first: FirstAdministrator | None, demo: Demo | None) -> None:
    """run.json for programs, the address (and once the password) for people."""
    addresses = service.addresses()
    data = service.plan.data
    if data is not None:
        fields: dict[str, object] = {**addresses, "jt808": None, "rtsp": None if demo is None else demo.rtsp}
        if house.server is not None:
            fields |= {"dsn_file": str(house.server.dsn_file), "store_dir": str(house.server.store_dir)}
        else:
            fields |= {"dsn_file": None, "store_dir": None}
        write_run(data, fields)
    for line in lines(addresses, service.plan.settings.http, data, first, demo=demo is not None):
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _first_of_ours(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that a person can do something about, out of a group."""
    ours, others = group.split(WanggeError)
    one: BaseException = ours or others or group
    while isinstance(one, BaseExceptionGroup):
        one = one.exceptions[0]
    return one
