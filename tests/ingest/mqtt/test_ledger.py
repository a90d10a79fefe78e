"""The ledger on a real PostgreSQL: memory over restarts, several instances at once, bounded power cycles."""

import asyncio
import json
import random
from collections.abc import Sequence

import pytest

from devices.equipment import DeviceRow, add_device
from ingest.mqtt import MqttSettings
from ingest.mqtt.ledger import Due, StoreLedger
from ingest.mqtt.receipts import Note
from store.pool import Store
from store.receipts import KEPT_BOOTS

SETTINGS = MqttSettings()


@pytest.fixture
async def keys(store: Store) -> list[int]:
    async with store.transaction() as connection:
        return [await add_device(connection, DeviceRow(f"t{i}", "terminal")) for i in range(20)]


def heard(key: int, *numbers: int, boot: str = "", fresh: bool = True) -> dict[tuple[int, str], Sequence[Note]]:
    return {(key, boot): [Note([number], int(fresh)) for number in numbers]}


def told(due: Due) -> list[object]:
    return [json.loads(receipt) for _, receipt in due.receipts]


async def test_remembers_over_a_restart(store: Store, keys: list[int]) -> None:
    first = StoreLedger(store, SETTINGS)
    assert told(await first.record(heard(keys[0], 1, 2, 5))) == [{"up_to": 2}]
    again = StoreLedger(store, SETTINGS)
    assert told(await again.record(heard(keys[0], 4))) == []
    assert told(await again.record(heard(keys[0], 2, fresh=False))) == [{"up_to": 2}]
    assert told(await again.record(heard(keys[0], 3))) == [{"up_to": 5}]


async def test_what_may_be_recorded_twice_begins_no_new_run(store: Store, keys: list[int]) -> None:
    ledger = StoreLedger(store, SETTINGS)
    await ledger.record(heard(keys[0], 1, 2, 3))
    assert told(await ledger.record(heard(keys[0], 2, 3, fresh=False))) == [{"up_to": 3}]
    assert told(await ledger.record(heard(keys[0], 4))) == [{"up_to": 4}]


async def test_each_power_cycle_counts_by_itself_and_few_are_remembered(store: Store, keys: list[int]) -> None:
    ledger = StoreLedger(store, SETTINGS)
    assert told(await ledger.record(heard(keys[0], 1, 2, 3, boot="a"))) == [{"up_to": 3, "boot": "a"}]
    mixed = heard(keys[0], 4, boot="a") | heard(keys[0], 1, boot="b")
    assert told(await ledger.record(mixed)) == [{"up_to": 4, "boot": "a"}, {"up_to": 1, "boot": "b"}]
    for boot in "cdefg":
        await ledger.record(heard(keys[0], 1, boot=boot))
    async with store.connection() as connection:
        cursor = await connection.execute("SELECT boot FROM receipts WHERE device = %s ORDER BY boot", [keys[0]])
        assert [row[0] for row in await cursor.fetchall()] == list("defg")[-KEPT_BOOTS:]


async def test_gap_given_up(store: Store, keys: list[int]) -> None:
    ledger = StoreLedger(store, MqttSettings(broker_gap_s=0.2))
    await ledger.record(heard(keys[0], 1, 4))
    for number in range(5, 9):
        await asyncio.sleep(0.06)
        due = await ledger.record(heard(keys[0], number))
    assert (due.given_up, told(due)) == (2, [{"up_to": 8}])


async def test_first_numbers_above_1_wait(store: Store, keys: list[int]) -> None:
    ledger = StoreLedger(store, MqttSettings(broker_begin_s=0.2))
    for number in range(50, 54):
        assert told(await ledger.record(heard(keys[0], number))) == []
        await asyncio.sleep(0.06)
    assert told(await ledger.record(heard(keys[0], 54))) == [{"up_to": 54, "from": 50}]


async def test_instances_that_share_devices(store: Store, keys: list[int]) -> None:
    """Numbers of every device are dealt among three instances that record at the same time: in the end all is told."""
    dice = random.Random(7)
    numbers = [(key, number) for number in range(1, 61) for key in keys]
    dealt: list[list[tuple[int, int]]] = [[], [], []]
    for one in numbers:
        dealt[dice.randrange(3)].append(one)
    highest = dict.fromkeys(keys, 0)
    stored: dict[int, set[int]] = {key: set() for key in keys}

    async def instance(mine: list[tuple[int, int]]) -> None:
        ledger = StoreLedger(store, SETTINGS)
        for start in range(0, len(mine), 40):
            notes: dict[tuple[int, str], Sequence[Note]] = {}
            for key, number in mine[start : start + 40]:
                stored[key].add(number)
                notes[key, ""] = [*notes.get((key, ""), ()), Note([number], 1)]
            for (key, _), receipt in (await ledger.record(notes)).receipts:
                up_to = json.loads(receipt)["up_to"]
                assert set(range(1, up_to + 1)) <= stored[key]
                highest[key] = max(highest[key], up_to)

    async with asyncio.TaskGroup() as group:
        for mine in dealt:
            group.create_task(instance(mine))
    assert set(highest.values()) == {60}
