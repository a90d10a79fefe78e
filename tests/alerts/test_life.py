"""The six steps: the table, optimistic versions, and what rules may still do to an event that people work on."""

import itertools
from typing import get_args

import pytest

from alerts.life import TRANSITIONS, Action, move, next_step
from core.errors import Conflict, InvalidInput
from core.event import FINAL_STEPS, Step
from core.fix import AlarmCode
from core.lane import Lane
from store.event_queries import EventFilter, changes_since, event_figures, event_history, list_events, show_event
from store.pool import Store
from tests.alerts.room import Room, room
from tests.support.city import make_city

LOOP: tuple[Action, ...] = ("accept", "dispatch", "start", "answer", "rework", "answer", "verify", "archive")


def test_every_pair_of_step_and_action_is_decided() -> None:
    for step, action in itertools.product(get_args(Step), TRANSITIONS):
        if step in TRANSITIONS[action].before:
            assert next_step(step, action) == TRANSITIONS[action].step
        else:
            with pytest.raises(Conflict):
                next_step(step, action)


def test_final_steps_have_no_way_out() -> None:
    assert not any(transition.before & FINAL_STEPS for transition in TRANSITIONS.values())


async def walk(r: Room, *actions: Action) -> None:
    for action in actions:
        async with r.store.transaction() as connection:
            (event,) = await list_events(connection, EventFilter(only_open=True))
            await move(connection, event, action, "operator:li", "done")


async def test_the_whole_loop_leaves_its_history(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed([r.fix(0, alarm=int(AlarmCode.SOS))], Lane.URGENT)
        await walk(r, *LOOP)
        async with store.connection() as connection:
            (event,) = await list_events(connection, EventFilter(step="archived"))
            history = await event_history(connection, event.id)
            assert [c.what for c in history] == [
                "opened",
                "accepted",
                "dispatched",
                "started",
                "answered",
                "rework",
                "answered",
                "verified",
                "archived",
            ]
            assert [c.version for c in history] == list(range(1, 10))
            assert history[0].who == "rule:TRK-01@1"
            assert (await changes_since(connection, history[3].seq))[0] == history[4]
            figures = await event_figures(connection, EventFilter(division="4311"))
            assert (figures.total, figures.by_code, figures.by_step) == (1, {"TRK-01": 1}, {"archived": 1})


async def test_two_people_at_once_one_is_told(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed([r.fix(0, alarm=int(AlarmCode.SOS))], Lane.URGENT)
        (event,) = await r.events()
        async with store.transaction() as connection:
            await move(connection, event, "accept", "operator:li")
        with pytest.raises(Conflict):
            async with store.transaction() as connection:
                await move(connection, event, "accept", "operator:wang")
        with pytest.raises(InvalidInput):
            async with store.transaction() as connection:
                await move(connection, await show_event(connection, event.id), "reject", "operator:wang", " ")


async def test_after_dispatch_an_end_is_only_noted(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed([r.fix(0)])
        await r.until(1000)
        await walk(r, "accept", "dispatch")
        await r.feed([r.fix(1100)])
        (event,) = await r.events()
        assert event.step == "dispatched"
        assert event.ended_at_ms is not None


async def test_a_press_after_archiving_opens_a_new_event(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed([r.fix(0, alarm=int(AlarmCode.SOS))], Lane.URGENT)
        await walk(r, "reject")
        await r.feed([r.fix(30, alarm=int(AlarmCode.SOS))], Lane.URGENT)
        await r.feed([r.fix(60, alarm=int(AlarmCode.SOS))], Lane.URGENT)
        events = await r.events()
        assert [(e.step, e.count) for e in events] == [("rejected", 1), ("reported", 2)]
        await walk(r, "reject")
        await r.feed([r.fix(90, alarm=int(AlarmCode.SOS))], Lane.URGENT)
        assert [e.step for e in await r.events()] == ["rejected", "rejected", "reported"]


async def test_the_outside_names_of_an_event(store: Store) -> None:
    async with room(store, make_city(1)) as r:
        await r.feed([r.fix(0, alarm=int(AlarmCode.SOS))], Lane.URGENT)
        (event,) = await r.events()
    told = event.as_json()
    assert list(told) == [
        "id",
        "code",
        "severity",
        "level",
        "grid",
        "subject",
        "lat",
        "lon",
        "began_at",
        "detected_at",
        "ended_at",
        "count",
        "late",
        "step",
        "due_at",
        "evidence",
        "causes",
    ]
    assert told["began_at"] == "2026-11-24T06:00:00.000Z"
    assert told["causes"]["key"].startswith("TRK-01:h0:")
    assert told["causes"]["rule_version"] == 1
    assert len(told["id"]) == 26
