"""A live listener with the in-memory room behind it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import uvloop

from ingest.mqtt import Listener, MqttSettings
from ingest.mqtt.contract import Clock
from tests.ingest.mqtt.double import MemoryIntake, MemoryStore, Notes, RealClock


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, object]:
    """The loop that production runs on."""
    return {"uvloop": uvloop.new_event_loop}


class House:
    """The listener and everything around it."""

    def __init__(self, settings: MqttSettings, intake: MemoryIntake, store: MemoryStore, clock: Clock) -> None:
        self.intake, self.store, self.notes, self.clock = intake, store, Notes(), clock
        self.listener = Listener(settings, intake, store, self.notes, clock)

    @property
    def port(self) -> int:
        return self.listener.port


HouseMaker = Callable[..., AbstractAsyncContextManager[House]]


@asynccontextmanager
async def _house(
    *,
    intake: MemoryIntake | None = None,
    store: MemoryStore | None = None,
    clock: Clock | None = None,
    **settings: object,
) -> AsyncIterator[House]:
    made = House(
        MqttSettings.model_validate({"port": 0, **settings}), intake or MemoryIntake(), store or MemoryStore(),
        clock or RealClock(),
    )  # fmt: skip
    running = asyncio.ensure_future(made.listener.run())
    started = asyncio.ensure_future(made.listener.started.wait())
    await asyncio.wait({running, started}, return_when=asyncio.FIRST_COMPLETED)
    started.cancel()
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, started, return_exceptions=True)
        error = None if running.cancelled() else running.exception()
        if error is not None:
            raise error


@pytest.fixture
def house() -> HouseMaker:
    """`async with house(intake=…, clock=…, setting=…) as made:`"""
    return _house
