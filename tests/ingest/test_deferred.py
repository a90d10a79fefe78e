"""Old fixes that find their lane full: kept in order and bounded; what is urgent or live goes past them."""

import asyncio

import pytest

from core.lane import Lane
from ingest.deferred import Deferred, is_late, looks_late
from ingest.lanes import Piece
from ingest.mqtt.contract import Device, Inbound

OLD = b'[{"fixed_at": 1764000000000, "lat": 26.4, "lon": 111.6}]'


def message(payload: bytes = OLD) -> Inbound:
    return Inbound(Device("h1", 1, "handset"), "fix", "wangge/v1/h1/fix", payload, 1764000900000, False, None, None)


@pytest.mark.parametrize(
    ("payload", "late"),
    [
        (OLD, True),
        (OLD.replace(b"1764000000000", b"1764000899000"), False),
        (OLD.replace(b"}", b', "alarm": "sos"}'), False),
        (b'{"fixed_at": 1764000000000, "lat": 26.4, "lon": 111.6}', False),
        (b'[{"fixed_at": "2025-11-24T16:00:00Z", "lat": 26.4, "lon": 111.6}]', False),
        (b"[", False),
        (b"", False),
    ],
)
def test_only_arrays_that_begin_long_ago_and_hold_no_alarm_look_late(payload: bytes, late: bool) -> None:
    assert looks_late(payload, 1764000780000) is late


def piece(lane: Lane) -> tuple[int, Piece]:
    return int(lane), Piece(None, "fix", [b""], (0,), (1,), 0, 0, 0)


def test_what_holds_something_urgent_is_not_late() -> None:
    assert is_late([piece(Lane.BACKFILL)])
    assert is_late([piece(Lane.BACKFILL), piece(Lane.LIVE)])
    assert not is_late([piece(Lane.BACKFILL), piece(Lane.URGENT)])
    assert not is_late([piece(Lane.LIVE)])


async def test_messages_are_placed_in_order_when_there_is_room_and_the_bound_holds() -> None:
    room = 0
    placed: list[Inbound] = []

    def place(one: Inbound) -> int | None:
        nonlocal room
        if not room:
            return None
        room -= 1
        placed.append(one)
        return 1

    deferred = Deferred(3 * len(OLD), place)
    messages = [message() for _ in range(4)]
    assert [deferred.add(one) for one in messages] == [True, True, True, False]
    await asyncio.sleep(0)
    assert placed == []
    room = 2
    deferred.room_again()
    await asyncio.sleep(0)
    assert placed == messages[:2]
    assert (len(deferred), deferred.bytes) == (1, len(OLD))
    room = 5
    deferred.room_again()
    await asyncio.sleep(0)
    assert placed == messages[:3]
    assert (len(deferred), deferred.bytes) == (0, 0)
