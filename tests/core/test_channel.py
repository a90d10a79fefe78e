"""Bounded channels: the waiting one loses nothing, the dropping one counts what it lost, closing runs dry."""

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.channel import ChannelClosed, DropOldestChannel, WaitingChannel


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(1, 40))
def test_nothing_is_lost_doubled_or_over_capacity(capacity: int, senders: int, readers: int, each: int) -> None:
    async def run() -> None:
        channel: WaitingChannel[tuple[int, int]] = WaitingChannel("x", capacity)
        got: list[tuple[int, int]] = []

        async def send(sender: int) -> None:
            for n in range(each):
                await channel.put((sender, n))
                assert len(channel) <= capacity

        async def read() -> None:
            with contextlib.suppress(ChannelClosed):
                while True:
                    got.extend(await channel.get_batch(3, 0))
                    await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(readers):
                tasks.create_task(read())
            async with asyncio.TaskGroup() as sending:
                for sender in range(senders):
                    sending.create_task(send(sender))
            channel.close()
        assert sorted(got) == [(s, n) for s in range(senders) for n in range(each)]
        if readers == 1:
            for sender in range(senders):
                assert [n for s, n in got if s == sender] == list(range(each))
        assert channel.counts().put == senders * each

    asyncio.run(run())


async def test_a_full_channel_holds_the_sender_back_in_order() -> None:
    channel: WaitingChannel[int] = WaitingChannel("x", 1)
    await channel.put(0)
    assert not channel.try_put(9)
    async with asyncio.TaskGroup() as tasks:
        for n in (1, 2, 3):
            tasks.create_task(channel.put(n))
        await settle()
        assert channel.counts().waited == 3
        assert [await channel.get() for _ in range(4)] == [0, 1, 2, 3]
    assert channel.try_put(4)


async def test_a_cancelled_waiter_hands_its_wake_up_on() -> None:
    channel: WaitingChannel[int] = WaitingChannel("x", 1)
    first, second = asyncio.ensure_future(channel.get()), asyncio.ensure_future(channel.get())
    await settle()
    await channel.put(1)
    first.cancel()
    assert await asyncio.wait_for(second, 1) == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_cancelled_sender_lets_the_next_one_in() -> None:
    channel: WaitingChannel[int] = WaitingChannel("x", 1)
    await channel.put(0)
    first, second = asyncio.ensure_future(channel.put(1)), asyncio.ensure_future(channel.put(2))
    await settle()
    assert await channel.get() == 0
    first.cancel()
    await asyncio.wait_for(second, 1)
    assert await channel.get() == 2
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_batch_waits_for_more_but_not_for_ever() -> None:
    channel: WaitingChannel[int] = WaitingChannel("x", 10)
    await channel.put(1)
    batch = asyncio.ensure_future(channel.get_batch(3, 5.0))
    await settle()
    await channel.put(2)
    await channel.put(3)
    assert await asyncio.wait_for(batch, 1) == [1, 2, 3]
    await channel.put(4)
    assert await channel.get_batch(3, 0.01) == [4]


async def test_closing_refuses_puts_and_runs_dry() -> None:
    channel: WaitingChannel[int] = WaitingChannel("x", 1)
    await channel.put(1)
    waiting = asyncio.ensure_future(channel.put(2))
    await settle()
    channel.close()
    channel.close()
    with pytest.raises(ChannelClosed):
        await waiting
    with pytest.raises(ChannelClosed):
        channel.try_put(3)
    assert channel.is_closed
    assert await channel.get() == 1
    with pytest.raises(ChannelClosed):
        await channel.get()


async def test_closing_wakes_a_reader() -> None:
    channel: WaitingChannel[int] = WaitingChannel("x", 1)
    reader = asyncio.ensure_future(channel.get_batch(5, 1))
    await settle()
    channel.close()
    with pytest.raises(ChannelClosed):
        await reader


@given(st.integers(1, 8), st.lists(st.integers(), max_size=30))
def test_the_dropping_channel_keeps_the_newest(capacity: int, items: list[int]) -> None:
    async def run() -> None:
        channel: DropOldestChannel[int] = DropOldestChannel("x", capacity)
        gone = [g for item in items if (g := channel.put(item)) is not None]
        kept = [await channel.get() for _ in range(len(channel))]
        assert kept == items[-capacity:]
        assert gone == items[: len(items) - len(kept)]
        assert channel.counts().dropped == len(gone)

    asyncio.run(run())


def test_a_channel_holds_something() -> None:
    with pytest.raises(ValueError, match="at least one"):
        WaitingChannel("x", 0)
