"""The OpenAPI document fuzzed: whatever is sent, no answer is a 500, and answers are as the document says (short)."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from console.app import create_app
from store.pool import Store
from tests.console.conftest import built

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SKIPPED = {"/api/stream"}
"""Never ends; test_stream has it."""


@dataclass
class Live:
    """A server in a thread of its own."""

    url: str
    token: str
    document: dict[str, Any]


@pytest.fixture
def live(migrated_dsn: str) -> Iterator[Live]:
    started: list[Live | BaseException] = []
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with Store(migrated_dsn) as store, built(store) as city:
            app = create_app(city.console)
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
            with socket.create_server(("127.0.0.1", 0)) as listener:
                url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                started.append(Live(url, city.tokens["local"], app.openapi()))
                ready.set()
                async with asyncio.TaskGroup() as group:
                    group.create_task(server._serve([listener]))
                    await asyncio.to_thread(stop.wait)
                    server.should_exit = True

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            started.append(error)
            ready.set()
            raise

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(30)
    assert isinstance(started[0], Live), started[0]
    yield started[0]
    stop.set()
    thread.join(30)


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_input_is_a_server_error(live: Live) -> None:
    schema = schemathesis.openapi.from_dict(live.document)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 30
    for operation in operations:
        if operation.path not in SKIPPED:
            fuzzed(operation, live)


def fuzzed(operation: Any, live: Live) -> None:
    """Sends generated requests of one operation."""
    headers = {"Authorization": f"Bearer {live.token}"}

    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def sent(case: Any) -> None:
        answer = case.call(base_url=live.url, headers=headers)
        case.validate_response(answer, checks=CHECKS, headers=headers)

    sent()


@pytest.mark.parametrize(
    "path",
    [
        "/api/events?subject=%00",
        "/api/operators?cursor=%FF",
        "/api/grids?name=%00",
        "/api/audit?who=%00",
        "/api/quarantine?device=%00",
        "/api/devices/x/track?from=0001-01-01T00:00:00%2B14:00&to=9999-12-31T23:59:59-14:00",
        "/api/events?since=0001-01-01T00:00:00%2B14:00",
        "/api/" + "x" * 5000,
    ],
)
def test_nasty_queries(live: Live, path: str) -> None:
    answer = httpx.get(live.url + path, headers={"Authorization": f"Bearer {live.token}"}, trust_env=False)
    assert answer.status_code in (200, 404, 422), answer.text


def test_bodies_over_the_limit(live: Live) -> None:
    headers = {"Authorization": f"Bearer {live.token}", "Content-Type": "application/json"}
    url = f"{live.url}/api/session"
    declared = httpx.post(url, content=b" " * (2 << 20), headers=headers, trust_env=False)
    assert declared.status_code == 413
    streamed = httpx.post(url, content=(b" " * 65536 for _ in range(40)), headers=headers, trust_env=False)
    assert streamed.status_code == 413
    assert streamed.json()["kind"] == "too_large"
    half = httpx.post(url, content=b'{"name": "\\ud800", "password": "x"}', headers=headers, trust_env=False)
    assert half.status_code == 422
