"""Scopes under attack: devices that moved, workers of other divisions, accounts that ended while a stream was open."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from console import accounts
from core.fix import StoredFix
from devices import equipment, people
from store.session import connect
from tests.console.conftest import GRID, LOCAL, City
from tests.console.test_stream import served
from tests.support.facts import FactWriter

NOW = datetime.now(UTC).replace(microsecond=0)
MOVED = NOW - timedelta(hours=1)


@pytest.fixture
async def moved(city: City) -> City:
    """h1 belonged to w1 (431102) until an hour ago, then to w2 (431103); it has fixes and refused input of both."""
    async with city.store.transaction() as connection:
        await equipment.hand_out(connection, "h1", "w2", MOVED)
    await city.keeper.load()
    with connect(city.store.dsn) as connection:
        key = connection.execute("SELECT key FROM devices WHERE id = 'h1'").fetchone()
        assert key is not None
        for at, reason in ((MOVED - timedelta(minutes=30), "before"), (MOVED + timedelta(minutes=30), "after")):
            connection.execute(
                """INSERT INTO quarantine (received_at, batch_id, device, via, kind, reason, raw)
                   VALUES (%s, 0, %s, 'http', 'time', %s, '')""",
                [at, key[0], reason],
            )
    times = [round((MOVED + timedelta(minutes=m)).timestamp() * 1000) for m in (-30, 30)]
    fixes = [StoredFix(int(key[0]), at, at, n, 26.42, 111.61, 0, 1) for n, at in enumerate(times)]
    with FactWriter(city.store.dsn) as writer:
        writer.fixes(fixes)
    return city


async def test_a_track_ends_where_the_device_left_the_scope(moved: City) -> None:
    async def lines(role: str, since: datetime, until: datetime) -> tuple[int, int]:
        period = {"from": since.isoformat(), "to": until.isoformat(), "format": "csv"}
        answer = await moved.client.get("/api/devices/h1/track", params=period, headers=moved.headers(role))
        return answer.status_code, len(answer.text.strip().splitlines()) - 1 if answer.is_success else 0

    day = timedelta(hours=12)
    assert await lines("local", NOW - day, NOW) == (200, 2)
    assert await lines("supervisor", NOW - day, NOW) == (200, 1)
    assert await lines("other", NOW - day, NOW) == (200, 1), "its own part, though it began elsewhere"
    assert await lines("supervisor", MOVED + timedelta(minutes=1), NOW) == (404, 0)
    assert await lines("other", NOW - day, MOVED) == (404, 0)
    assert await lines("worker", NOW - day, NOW) == (200, 1)


async def test_refused_input_is_seen_by_those_it_belonged_to_then(moved: City) -> None:
    async def reasons(role: str) -> list[str]:
        answer = await moved.client.get("/api/quarantine", headers=moved.headers(role))
        return [row["reason"] for row in answer.json()["items"]]

    assert await reasons("local") == ["after", "before"]
    assert await reasons("supervisor") == ["before"]
    assert await reasons("other") == ["after"]


async def test_nobody_reaches_workers_of_another_division(city: City) -> None:
    async with city.store.transaction() as connection:
        await people.put_workers(connection, [("w2", "李四", None, "t2")])
    event = f"/api/events/{city.events[0]}"
    assert (await city.client.post(f"{event}/accept", json={}, headers=city.headers("dispatcher"))).status_code == 200
    for to in ("worker:w2", "team:t2", "worker:nobody"):
        answer = await city.client.post(f"{event}/dispatch", json={"to": to}, headers=city.headers("dispatcher"))
        assert answer.status_code == 422, to
    admin = city.headers("administrator")
    device = {"id": "h9", "kind": "handset", "grid": GRID, "worker": "w2"}
    assert (await city.client.post("/api/devices", json=device, headers=admin)).status_code == 422
    account = {"name": "mole", "role": "worker", "division": "431102", "worker": "w2"}
    assert (await city.client.post("/api/operators", json=account, headers=admin)).status_code == 422
    for role in ("local", "other"):
        everybody = (await city.client.get("/api/devices", headers=city.headers(role))).json()["items"]
        assert "h9" not in {one["id"] for one in everybody}
    answer = await city.client.post(f"{event}/dispatch", json={"to": "team:t1"}, headers=city.headers("dispatcher"))
    assert answer.status_code == 200, answer.text


async def test_a_worker_sees_and_answers_what_was_dispatched_to_the_own_name(city: City) -> None:
    async with city.store.transaction() as connection:
        await people.put_workers(connection, [("w3", "赵六", None, None)])
        await people.give_grid(connection, "w3", GRID, datetime(2026, 1, 1, tzinfo=UTC))
        await accounts.add(connection, LOCAL, "third", "worker", division="431102", worker="w3")
        token = await accounts.new_bearer(connection, LOCAL, "third")
    third = {"Authorization": f"Bearer {token}"}
    event = f"/api/events/{city.events[2]}"
    assert (await city.client.get(event, headers=third)).status_code == 404
    local = city.headers("local")
    assert (await city.client.post(f"{event}/accept", json={}, headers=local)).status_code == 200
    assert (await city.client.post(f"{event}/dispatch", json={"to": "worker:w3"}, headers=local)).status_code == 200
    assert (await city.client.get(event, headers=third)).status_code == 200
    answer = await city.client.post(f"{event}/answer", json={"text": "done"}, headers=third)
    assert answer.status_code == 200, answer.text
    other = await city.client.post(f"{event}/answer", json={"text": "x"}, headers=city.headers("worker"))
    assert other.status_code == 404


async def ends(city: City, end: Callable[[], Awaitable[object]], headers: dict[str, str]) -> float:
    """Seconds from `end` until an open stream of this caller closes."""
    async with (
        served(city) as url,
        httpx.AsyncClient(trust_env=False, timeout=10) as client,
        client.stream("GET", f"{url}/api/stream", headers=headers) as answer,
    ):
        lines = answer.aiter_lines()
        await anext(lines)
        began = time.monotonic()
        await end()
        async with asyncio.timeout(8):
            async for _ in lines:
                pass
        return time.monotonic() - began


async def test_a_stream_ends_with_the_account(city: City) -> None:
    admin = city.headers("local")

    async def disable() -> None:
        assert (await city.client.delete("/api/operators/viewer", headers=admin)).status_code == 204

    assert await ends(city, disable, city.headers("viewer")) < 3


async def test_a_stream_ends_with_its_token(city: City) -> None:
    async def replace() -> None:
        body = {"revoke_others": True}
        answer = await city.client.post("/api/operators/viewer/tokens", json=body, headers=city.headers("local"))
        assert answer.status_code == 201

    assert await ends(city, replace, city.headers("viewer")) < 3


async def test_live_streams_are_counted_before_they_begin(city: City) -> None:
    city.console.settings = city.console.settings.model_copy(update={"stream_connections": 3})
    async with served(city) as url, httpx.AsyncClient(trust_env=False, timeout=10) as client:
        request = [client.build_request("GET", f"{url}/api/stream", headers=city.headers("local")) for _ in range(8)]
        answers = await asyncio.gather(*(client.send(one, stream=True) for one in request))
        assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 5
        for answer in answers:
            await answer.aclose()
    assert city.console.streams == 0, "all of them are over when the server is"
