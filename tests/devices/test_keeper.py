"""The keeper on a real store: what is committed is known within a second, listeners hear of lost tokens."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from zoneinfo import ZoneInfo

from devices import DeviceRecord, DevicesSettings, RegistryChange, RegistryKeeper
from devices.keeper import renewed
from store.pool import Connection, Store

SETTINGS = DevicesSettings()
ZONE = ZoneInfo("Asia/Shanghai")
SEED = """
INSERT INTO workers (id, name) VALUES ('w1', '李建国'), ('w2', '王秀英');
INSERT INTO grids VALUES ('431102001001001', '网格一', 'urban',
    '{"type": "Polygon", "coordinates": [[[111.6, 26.4], [111.61, 26.4], [111.61, 26.41], [111.6, 26.4]]]}',
    26.4, 111.6, 26.41, 111.61);
INSERT INTO worker_grids VALUES ('w1', '431102001001001', '2026-01-01T00:00Z');
INSERT INTO shift_plans VALUES ('w1', 2, '08:00', '17:00', '2026-01-01'), ('w1', 3, '22:00', '06:00', '2026-01-01');
INSERT INTO shift_exceptions VALUES ('w1', '2026-12-01', 'off', NULL, NULL),
    ('w1', '2026-12-08', 'shift', '09:00', '24:00');
INSERT INTO places VALUES ('p1', '431102001001001', 'work', '派出所', 26.402, 111.602, 50, 0, NULL),
    ('p2', '431102001001001', 'checkpoint', '学校', 26.403, 111.603, 30, 60, 1);
INSERT INTO divisions VALUES ('431102', '零陵区', 'Lingling', 'district');
INSERT INTO devices (id, kind, settings) VALUES ('h1', 'handset', '{"a": 1}'),
    ('h2', 'handset', '{}'), ('t1', 'terminal', '{}');
INSERT INTO handset_workers SELECT key, 'w1', '2026-01-01T00:00Z' FROM devices WHERE id = 'h1';
INSERT INTO device_sites SELECT key, '431102001001001', 26.4, 111.6, '2026-01-01T00:00Z' FROM devices WHERE id = 't1';
INSERT INTO device_aliases SELECT 'jt808', '013900000001', key FROM devices WHERE id = 'h1';
INSERT INTO credentials (device, token_sha256) SELECT key, sha256('one') FROM devices WHERE id = 'h1';
"""
TUESDAY = 1_795_485_600_000  # 2026-11-24T10:00+08:00


@asynccontextmanager
async def running(store: Store) -> AsyncIterator[tuple[RegistryKeeper, list[RegistryChange]]]:
    keeper = RegistryKeeper(store, SETTINGS, ZONE)
    changes: list[RegistryChange] = []
    await keeper.load()
    keeper.listeners.append(changes.append)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(keeper.run())
        try:
            yield keeper, changes
        finally:
            task.cancel()


async def until(holds: Callable[[], bool], within_s: float = 2.0) -> float:
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < within_s, "did not come true in time"
        await asyncio.sleep(0.005)
    return time.monotonic() - begun


async def seed(connection: Connection) -> None:
    for statement in SEED.split(";\n"):
        if statement:
            await connection.execute(statement.encode())


async def test_loads_every_table(store: Store) -> None:
    async with store.transaction() as connection:
        await seed(connection)
    registry = await RegistryKeeper(store, SETTINGS, ZONE).load()
    handset = registry.device("h1")
    assert handset is not None
    assert handset.token_sha256 == hashlib.sha256(b"one").digest()
    assert handset.settings == {"a": 1}
    assert registry.by_alias("jt808", "013900000001") is handset
    duty = registry.duty_at(handset.key, TUESDAY)
    assert (duty.on, duty.planned, duty.until_ms - duty.since_ms) == (True, True, 9 * 3_600_000)
    week = 7 * 86_400_000
    assert not registry.duty_at(handset.key, TUESDAY + week).on
    assert registry.duty_at(handset.key, TUESDAY + 2 * week + 12 * 3_600_000).on
    assert registry.grid_of(handset.key, TUESDAY) == "431102001001001"
    assert [place.id for place in registry.work_places("431102001001001")] == ["p2", "p1"]
    assert [place.id for place in registry.checkpoints("431102001001001")] == ["p2"]
    grid = registry.grid("431102001001001")
    assert grid is not None
    assert grid.contains(26.401, 111.605)
    division = registry.division("431102")
    assert division is not None
    assert division.name == "零陵区"


async def test_a_rotated_credential_is_known_at_once_and_its_device_named_revoked(store: Store) -> None:
    async with store.transaction() as connection:
        await seed(connection)
    async with running(store) as (keeper, changes):
        key = keeper.registry.device("h1").key  # type: ignore[union-attr]
        async with store.transaction() as connection:
            await connection.execute("UPDATE credentials SET revoked_at = now() WHERE device = %s", [key])
            await connection.execute("INSERT INTO credentials (device, token_sha256) VALUES (%s, sha256('two'))", [key])
        new = hashlib.sha256(b"two").digest()
        assert await until(lambda: keeper.registry.by_key(key).token_sha256 == new) < 1.0  # type: ignore[union-attr]
        await until(lambda: bool(changes))
        assert changes == [RegistryChange(frozenset({key}), frozenset({key}))]


async def test_assignments_shifts_and_deletions_are_followed(store: Store) -> None:
    async with store.transaction() as connection:
        await seed(connection)
    async with running(store) as (keeper, changes):
        key = keeper.registry.device("h1").key  # type: ignore[union-attr]
        async with store.transaction() as connection:
            await connection.execute("DELETE FROM shift_plans WHERE worker = 'w1'")
            await connection.execute("DELETE FROM shift_exceptions WHERE worker = 'w1'")
        await until(lambda: not keeper.registry.duty_at(key, TUESDAY).planned)
        assert RegistryChange(frozenset({key}), frozenset()) in changes
        async with store.transaction() as connection:
            await connection.execute("DELETE FROM places")
            await connection.execute("UPDATE handset_workers SET worker = 'w2'")
            await connection.execute("TRUNCATE device_aliases")
        await until(lambda: keeper.registry.worker_of(key, TUESDAY) == "w2")
        await until(lambda: not keeper.registry.work_places("431102001001001"))
        await until(lambda: keeper.registry.by_alias("jt808", "013900000001") is None)
        assert keeper.registry.grid_of(key, TUESDAY) is None


async def test_more_than_200_keys_reload_the_table(store: Store) -> None:
    async with running(store) as (keeper, _):
        async with store.transaction() as connection:
            await connection.execute(
                "INSERT INTO devices (id, kind) SELECT 'h' || n, 'handset' FROM generate_series(1, 1000) AS n"
            )
        await until(lambda: sum(1 for _ in keeper.registry.devices("handset")) == 1000)


async def test_what_no_notice_told_is_found_by_comparing(store: Store) -> None:
    keeper = RegistryKeeper(store, SETTINGS, ZONE)
    await keeper.load()
    async with store.transaction() as connection:
        await seed(connection)
    assert keeper.registry.device("h1") is None
    async with asyncio.TaskGroup() as group:
        task = group.create_task(keeper.run())
        await until(lambda: keeper.registry.device("h1") is not None)
        task.cancel()


async def test_a_change_made_while_the_line_was_cut_is_known_afterwards(store: Store) -> None:
    async with store.transaction() as connection:
        await seed(connection)
    cut = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE pid <> pg_backend_pid() AND datname = current_database()"""
    async with running(store) as (keeper, _):
        await asyncio.sleep(0.3)
        async with store.transaction() as connection:
            await connection.execute("INSERT INTO workers (id, name) VALUES ('w3', '陈静')")
            await connection.execute(cut)
        await until(lambda: keeper.registry.worker("w3") is not None, within_s=10)
        async with store.transaction() as connection:
            await connection.execute("DELETE FROM workers WHERE id = 'w3'")
        await until(lambda: keeper.registry.worker("w3") is None, within_s=10)


def test_what_is_equal_stays_the_same_object() -> None:
    one, two = DeviceRecord(1, "h1", "handset"), DeviceRecord(2, "h2", "handset")
    present = {1: one, 2: two}
    assert renewed(present, {1: DeviceRecord(1, "h1", "handset"), 2: two}, None) is present
    assert renewed(present, {1: DeviceRecord(1, "h1", "handset")}, [1]) is present
    changed = renewed(present, {2: DeviceRecord(2, "h2", "handset", name="a")}, [2])
    assert changed[1] is one
    assert changed[2].name == "a"
    assert renewed(present, {}, [2]) == {1: one}
    assert renewed(present, {1: one}, None) == {1: one}
