"""Folders and services of the fault tests. `gentle` is one service for all tests that do not break it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.harness import Up, running


@pytest.fixture
async def up(service_folder: Path) -> AsyncIterator[Up]:
    """A ready `wangge up` of the test's own."""
    service = Up(service_folder / "data")
    async with running(service):
        yield service
