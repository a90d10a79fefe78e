"""Devices, their credentials and presence on a real store."""

import asyncio
import hashlib
from datetime import UTC, datetime

import pytest

from core.errors import Conflict, InvalidInput, NotFound
from devices.area import GridRow, put_grids
from devices.credentials import authenticates, digest, issue, issue_many, new_token, revoke
from devices.equipment import (
    DeviceRow,
    add_device,
    give_back,
    hand_out,
    key_of,
    keys_of,
    list_devices,
    put_aliases,
    retire,
    stand_at,
)
from devices.people import give_grid, put_workers
from devices.presence import KindCount, Sight, count_presence, read_presence, write_sights
from devices.records import DeviceRecord
from store.pool import Connection, Store

GRID = "431102001001001"
MAY, JUNE, JULY = (datetime(2026, month, 1, tzinfo=UTC) for month in (5, 6, 7))
SQUARE: dict[str, object] = {
    "type": "Polygon",
    "coordinates": [[[111.6, 26.4], [111.61, 26.4], [111.61, 26.41], [111.6, 26.41], [111.6, 26.4]]],
}


async def some_devices(connection: Connection) -> None:
    await put_workers(connection, [("w1", "李建国", None, None), ("w2", "王秀英", None, None)])
    await put_grids(connection, [GridRow(GRID, "网格一", "urban", SQUARE)])
    await add_device(connection, DeviceRow("h1", "handset"))
    await add_device(connection, DeviceRow("t1", "terminal", name="社区服务站"))
    await add_device(connection, DeviceRow("c1", "camera", url="rtsp://10.0.0.9:554/main"))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (DeviceRow("手持机", "handset"), "id: "),
        (DeviceRow("events", "handset"), "'events' is reserved .* topics of grid events"),
        (DeviceRow("h1", "handset", url="rtsp://10.0.0.9/"), "only cameras"),
        (DeviceRow("c1", "camera"), "needs an address"),
        (DeviceRow("c1", "camera", url="http://10.0.0.9/"), "needs an address"),
        (DeviceRow("c1", "camera", url="rtsp://10.0.0.9:x/"), "needs an address"),
        (DeviceRow("c1", "camera", url="rtsp://admin:secret@10.0.0.9/"), "leave user and password out"),
    ],
)
async def test_a_wrong_device_is_refused(store: Store, row: DeviceRow, reason: str) -> None:
    async with store.transaction() as connection:
        with pytest.raises(InvalidInput, match=reason):
            await add_device(connection, row)


async def test_lists_say_whose_a_device_is(store: Store) -> None:
    async with store.transaction() as connection:
        await some_devices(connection)
        assert await hand_out(connection, "h1", "w1", MAY)
        await give_grid(connection, "w1", GRID, MAY)
        assert await stand_at(connection, "t1", GRID, MAY, (26.405, 111.605))
        assert not await stand_at(connection, "t1", GRID, JUNE, (26.405, 111.605))
        await issue(connection, "h1")
        listed = {device.id: device for device in await list_devices(connection)}
        assert list(listed) == ["c1", "h1", "t1"]
        assert (listed["h1"].worker, listed["h1"].grid, listed["h1"].has_credential) == ("w1", GRID, True)
        assert (listed["t1"].worker, listed["t1"].grid, listed["t1"].has_credential) == (None, GRID, False)
        assert [device.id for device in await list_devices(connection, "handset")] == ["h1"]
        assert [device.id for device in await list_devices(connection, scope="431102")] == ["h1", "t1"]
        assert [device.id for device in await list_devices(connection, after="c1", limit=1)] == ["h1"]


async def test_an_id_is_given_once(store: Store) -> None:
    async with store.transaction() as connection:
        await some_devices(connection)
        with pytest.raises(Conflict, match="taken by a terminal"):
            await add_device(connection, DeviceRow("t1", "handset"))
        with pytest.raises(NotFound):
            await key_of(connection, "nobody")
        with pytest.raises(NotFound, match="No handset"):
            await hand_out(connection, "t1", "w1", MAY)
        with pytest.raises(NotFound):
            await revoke(connection, "nobody")


async def test_a_handset_changes_hands_and_comes_back(store: Store) -> None:
    async with store.transaction() as connection:
        await some_devices(connection)
        await hand_out(connection, "h1", "w1", MAY)
        await hand_out(connection, "h1", "w2", JUNE)
        with pytest.raises(Conflict, match="already belongs to w1"):
            await hand_out(connection, "h1", "w2", MAY)
        assert await give_back(connection, "h1", JULY)
        assert not await give_back(connection, "h1", JULY)
        cursor = await connection.execute("SELECT worker, valid_from, valid_to FROM handset_workers ORDER BY 2")
        assert await cursor.fetchall() == [("w1", MAY, JUNE), ("w2", JUNE, JULY)]


async def test_a_new_token_replaces_the_old_one_and_retiring_ends_it(store: Store) -> None:
    async with store.transaction() as connection:
        await some_devices(connection)
        first = await issue(connection, "h1")
        second = await issue(connection, "h1")
        assert first.token != second.token
        valid = "SELECT token_sha256 FROM credentials WHERE revoked_at IS NULL"
        assert await (await connection.execute(valid)).fetchall() == [(digest(second.token),)]
        assert await revoke(connection, "h1")
        assert not await revoke(connection, "h1")
        await issue(connection, "h1")
        await hand_out(connection, "h1", "w1", MAY)
        await retire(connection, "h1", JUNE)
        assert await (await connection.execute(valid)).fetchall() == []
        with pytest.raises(Conflict, match="retired"):
            await issue(connection, "h1")
        assert [device.id for device in await list_devices(connection, retired=True)] == ["c1", "h1", "t1"]


async def test_two_rotations_at_once_leave_one_token(store: Store) -> None:
    async with store.transaction() as connection:
        await some_devices(connection)

    async def rotate() -> str:
        async with store.transaction() as connection:
            return (await issue(connection, "h1")).token

    tokens = await asyncio.gather(*(rotate() for _ in range(6)))
    async with store.connection() as connection:
        cursor = await connection.execute("SELECT token_sha256 FROM credentials WHERE revoked_at IS NULL")
        rows = await cursor.fetchall()
    assert len(rows) == 1
    assert rows[0][0] in {digest(token) for token in tokens}


async def test_many_tokens_at_once(store: Store) -> None:
    async with store.transaction() as connection:
        await some_devices(connection)
        keys = await keys_of(connection, ["h1", "t1"])
        made = await issue_many(connection, [(key, device_id) for device_id, key in keys.items()])
        made = await issue_many(connection, [(key, device_id) for device_id, key in keys.items()])
        cursor = await connection.execute(
            "SELECT d.id, c.token_sha256 FROM credentials c JOIN devices d ON d.key = c.device WHERE revoked_at IS NULL"
        )
        assert dict(await cursor.fetchall()) == {one.device: digest(one.token) for one in made}


async def test_aliases_move_to_another_device(store: Store) -> None:
    async with store.transaction() as connection:
        await some_devices(connection)
        h1, t1 = await key_of(connection, "h1"), await key_of(connection, "t1")
        assert (await put_aliases(connection, [("jt808", "013900000001", t1)])).added == 1
        assert (await put_aliases(connection, [("jt808", "013900000001", h1)])).changed == 1


def test_only_the_valid_token_authenticates() -> None:
    token = new_token()
    assert len(token) == 43
    record = DeviceRecord(1, "h1", "handset", token_sha256=hashlib.sha256(token.encode()).digest())
    assert authenticates(record, token)
    assert not authenticates(record, token + "x")
    assert not authenticates(DeviceRecord(1, "h1", "handset"), token)
    assert not authenticates(None, token)
    assert not authenticates(None, "")


async def test_an_older_sight_never_replaces_a_newer_one(store: Store) -> None:
    async with store.transaction() as connection:
        await some_devices(connection)
        key = await key_of(connection, "h1")
        now = 1_795_485_600_000
        await write_sights(connection, [Sight(key, now, now, 26.4, 111.6, 0.8, True, now, "mqtt")])
        await write_sights(connection, [Sight(key, now + 5000, now - 60_000, 27.0, 112.0), Sight(99_999)][:1])
        await write_sights(connection, [Sight(key, online=False, online_ms=now - 1)])
        await write_sights(connection, [])
        (presence,) = list(await read_presence(connection, [key]))
        assert (presence.lat, presence.lon, presence.online, presence.via) == (26.4, 111.6, True, "mqtt")
        assert presence.battery == pytest.approx(0.8)
        assert presence.received_at == datetime.fromtimestamp(now / 1000 + 5, UTC)
        await write_sights(connection, [Sight(key, now + 6000, now + 6000, None, None)])
        (presence,) = list(await read_presence(connection))
        assert presence.lat is None
        counts = await count_presence(connection, 1e9)
        assert counts == {"handset": KindCount(1, 1, 1), "terminal": KindCount(1, 0, 0), "camera": KindCount(1, 0, 0)}
