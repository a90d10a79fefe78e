"""Services of the fault tests: `up` is a test's own, `gentle` is shared by those that do not break it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Up, running
from tests.support.postgres import reachable_folder


@pytest.fixture
async def up(service_folder: Path) -> AsyncIterator[Up]:
    """A ready `wangge up` of the test's own."""
    service = Up(service_folder / "data")
    async with running(service):
        yield service


@pytest.fixture(scope="session")
def _gentle() -> Iterator[Up]:
    with reachable_folder() as folder:
        service = Up(folder / "data", WANGGE_INGEST__LANES__LINGER_MS="2")  # thousands wait, one after the other
        service.start()
        try:
            yield service
        finally:
            asyncio.run(service.stop())


@pytest.fixture
async def gentle(_gentle: Up) -> Up:
    """One service for all tests that only send to it."""
    await _gentle.ready()
    return _gentle
