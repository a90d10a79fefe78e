"""The light HTTP client against a stand-in for the service: own tokens, one request a device, nothing forgotten."""

import asyncio

import pytest

from simulators.errors import SimulatorError
from simulators.http_pool import HttpPool
from simulators.outgoing import Outgoing
from tests.simulators.conftest import Service, free_port, service


def fix(device: str, number: int) -> Outgoing:
    return Outgoing(device, "fix", b'{"fixed_at":%d,"lat":26.4,"lon":111.6}' % number, (number,), number)


def pool_for(one: Service, devices: int, **options: int) -> HttpPool:
    credentials = [(f"h{i}", one.token) for i in range(devices)]
    return HttpPool(credentials, f"http://127.0.0.1:{one.port}", connections=4, **options)


async def test_everything_is_stored_and_waiting_facts_go_as_arrays() -> None:
    async with service() as one:
        pool = pool_for(one, 20)
        async with pool.opened():
            await pool.online(5)
            for number in range(50):
                for device in pool.devices:
                    pool.send(fix(device, number * 100 + int(device[1:])))
            pool.send(Outgoing("h1", "pos", b'{"kind":"heartbeat","at":"x","boot":"b","seq":1}', ((1, "b", 1),), 1))
            assert await pool.drained(10)
        assert len(one.stored) == 20 * 50 + 1
        assert {path for path, _, _ in one.requests} == {"/v1/fixes", "/v1/pos"}
        assert max(facts for _, _, facts in one.requests) > 1
    assert pool.tally.facts_acked == 1001
    assert pool.tally.acked == pool.tally.sent == len(one.requests)
    assert pool.tally.errors == 0
    assert pool.tally.connects <= 4


async def test_a_store_that_is_away_is_waited_for() -> None:
    async with service() as one:
        one.away = 3
        pool = pool_for(one, 1)
        async with pool.opened():
            pool.send(fix("h0", 1))
            assert await pool.drained(10)
    assert pool.tally.resent == 3
    assert pool.tally.errors == 0
    assert pool.tally.facts_acked == 1


async def test_a_lost_answer_is_asked_for_again() -> None:
    async with service() as one:
        one.cut = 1
        pool = pool_for(one, 1)
        async with pool.opened():
            pool.send(fix("h0", 1))
            assert await pool.drained(10)
        assert len(one.stored) == 1
    assert pool.tally.errors == pool.tally.resent == pool.tally.duplicates == 1


async def test_a_refused_token_is_an_error_and_nothing_is_forgotten() -> None:
    async with service() as one:
        pool = HttpPool([("h0", "wrong")], f"http://127.0.0.1:{one.port}")
        async with pool.opened():
            pool.send(fix("h0", 1))
            await asyncio.sleep(0.2)
            assert pool.tally.errors >= 1
            assert pool.outstanding == 1
            assert not await pool.drained(0.1)


async def test_addresses() -> None:
    with pytest.raises(SimulatorError, match="no address"):
        HttpPool([], "mqtt://127.0.0.1:1883")
    with pytest.raises(ExceptionGroup) as failed:
        async with (pool := HttpPool([], f"http://127.0.0.1:{free_port()}")).opened():
            await pool.online(2)
    assert failed.group_contains(SimulatorError, match="nothing answers")
