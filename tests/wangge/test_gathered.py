"""Many questions, few statements; and sessions read and written by the hundred against a real store."""

import asyncio
from collections.abc import Mapping

import pytest

from core.errors import StoreUnavailable
from ingest.mqtt import Downlink, SessionRecord
from store.pool import Store
from wangge.gathered import Gathered
from wangge.mqtt_sessions import KeptSessions


async def test_questions_are_gathered() -> None:
    asked: list[list[int]] = []

    async def ask(keys: list[int]) -> Mapping[int, str]:
        asked.append(keys)
        await asyncio.sleep(0.01)
        if 13 in keys:
            raise StoreUnavailable("away")
        return {key: str(key) for key in keys if key != 5}

    gathered = Gathered(ask, 10)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(gathered.run())
        found = await asyncio.gather(*(gathered.get(key) for key in [1, 1, *range(2, 8)]))
        assert found == ["1", "1", "2", "3", "4", None, "6", "7"]
        assert asked == [list(range(1, 8))]
        answers = await asyncio.gather(*(gathered.get(key) for key in range(8, 28)), return_exceptions=True)
        assert [len(keys) for keys in asked] == [7, 10, 10]
        assert all(isinstance(one, StoreUnavailable) for one in answers[:10])
        assert answers[10:] == [str(key) for key in range(18, 28)]
        running.cancel()


async def test_an_asker_that_gives_up_disturbs_nobody() -> None:
    go = asyncio.Event()

    async def ask(keys: list[int]) -> Mapping[int, str]:
        await go.wait()
        raise StoreUnavailable("away")

    gathered = Gathered(ask, 10)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(gathered.run())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await gathered.get(1)
        other = group.create_task(gathered.get(2))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        other.cancel()


async def test_sessions_of_a_city(store: Store) -> None:
    """1,200 sessions saved, forgotten by the process, and read again at once."""
    records = [
        SessionRecord(key, f"c{key % 3}", {f"wangge/v1/h{key}/task": 1}, ((1, Downlink("t", b"x", 1)),))
        for key in range(1, 1201)
    ]
    first = KeptSessions(store)
    for record in records:
        first.save(record, 60.0)
    first.discard(1, "c1")
    await first.flush()

    second = KeptSessions(store)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(second.run())
        found = await asyncio.gather(*(second.load(record.device_key, record.client_id) for record in records))
        assert found == [None, *records[1:]]
        assert await second.load(2, "other") is None
        running.cancel()


async def test_retained_messages_of_devices(store: Store) -> None:
    async with store.connection() as connection:
        await connection.execute("INSERT INTO devices (id, kind) VALUES ('h1', 'handset'), ('h10', 'handset')")
        rows = await (await connection.execute("SELECT id, key FROM devices")).fetchall()
    keys = dict(rows)
    first = KeptSessions(store)
    first.retain(keys["h1"], "wangge/v1/h1/state", b"one")
    first.retain(keys["h1"], "wangge/v1/h1/task", b"task")
    first.retain(keys["h10"], "wangge/v1/h10/state", b"ten")
    await first.flush()
    first.retain(keys["h1"], "wangge/v1/h1/task", b"")
    await first.flush()

    second = KeptSessions(store)
    second.retain(keys["h10"], "wangge/v1/h10/task", b"waits")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(second.run())
        one, ten = await asyncio.gather(second.retained(keys["h1"]), second.retained(keys["h10"]))
        assert one == [("wangge/v1/h1/state", b"one")]
        assert sorted(ten) == [("wangge/v1/h10/state", b"ten"), ("wangge/v1/h10/task", b"waits")]
        running.cancel()
