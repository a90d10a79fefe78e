"""Receipts by themselves: whatever a broker loses and however a device sends again, none covers what is not stored."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.mqtt.receipts import MISSING_AFTER_MS, MISSING_SHOWN, MOST_RANGES, Note, Patience, Run, sequence_numbers

PATIENCE = Patience(begin_ms=60_000, gap_ms=86_400_000)


@pytest.mark.parametrize(
    ("payload", "numbers"),
    [
        (b'{"seq": 3, "x": [1]}', {"": [3]}), (b'[{"seq": 1}, {}, {"seq": 2}]', {"": [1, 2]}), (b"{}", {}), (b"", {}),
        (b"bad", {}), (b'{"seq": "3"}', {}), (b"\xff", {}), (b'{"seq": 1e3}', {}), (b"[1]", {}),
        (b'"\xed\xa0\x80"', {}), (b'{"seq": -1}', {}), (b'{"seq": 9223372036854775807}', {}),
        (b'{"seq": 99999999999999999999999}', {}), (b'{"seq": 1, "boot": "a\\u0000"}', {}),
        (b'[{"seq": 1, "boot": "a"}, {"seq": 1, "boot": "b"}, {"seq": 2, "boot": "a"}]', {"a": [1, 2], "b": [1]}),
        (b'{"seq": 1, "boot": "' + b"a" * 65 + b'"}', {}),
    ],
)  # fmt: skip
def test_sequence_numbers(payload: bytes, numbers: dict[str, list[int]]) -> None:
    assert sequence_numbers(payload) == numbers


def advance(run: Run, *numbers: int, after_ms: int = 1000, fresh: int | None = None) -> tuple[int | None, int]:
    """One message with these numbers, all new unless said otherwise."""
    note = Note(numbers, len(numbers) if fresh is None else fresh)
    return run.advance([note], run.heard_ms + after_ms, PATIENCE)


def content(run: Run) -> object:
    receipt = run.receipt()
    return None if receipt is None else json.loads(receipt)


def test_a_gap_holds_back_until_it_is_filled() -> None:
    run = Run()
    for numbers, up_to in (((1,), 1), ((2, 3), 3), ((6,), 3), ((5, 8), 3), ((4,), 6), ((7,), 8)):
        advance(run, *numbers)
        assert content(run) == {"up_to": up_to}
    assert run.beyond == []


@pytest.mark.parametrize("first", [0, 1])
def test_a_counter_that_begins_is_told_at_once(first: int) -> None:
    run = Run()
    advance(run, first)
    assert content(run) == {"up_to": first}


def test_a_counter_from_0_whose_1_came_first() -> None:
    run = Run()
    advance(run, 1)
    assert advance(run, 0) == (0, 0)
    advance(run, 2)
    assert content(run) == {"up_to": 2}


def test_numbers_from_the_middle_wait_for_those_before() -> None:
    run = Run()
    advance(run, 3)
    assert content(run) is None
    advance(run, 2)
    assert content(run) is None
    advance(run, 1)
    assert content(run) == {"up_to": 3}


def test_numbers_from_the_middle_are_told_when_nothing_before_came() -> None:
    run = Run()
    for number in range(700, 800):
        advance(run, number)
        assert (content(run) is None) == (number < 760)
    assert content(run) == {"up_to": 799, "from": 700}
    assert advance(run, 699, 698, fresh=0) == (699, 0)
    assert content(run) == {"up_to": 799, "from": 698}


def test_what_is_sent_again_is_confirmed_and_begins_nothing() -> None:
    run = Run()
    advance(run, *range(1, 11))
    advance(run, 12)
    assert advance(run, 4, 5, fresh=0) == (5, 0)
    assert run.receipt(again=5) == b'{"up_to":5}'
    assert advance(run, 12, fresh=0) == (None, 0)
    assert advance(run, 10, 11, fresh=1) == (10, 0)
    assert content(run) == {"up_to": 12}


def test_a_counter_that_begins_again_is_never_told_an_old_number() -> None:
    run = Run()
    advance(run, *range(1, 500))
    advance(run, 501)
    for number in range(1, 510):
        advance(run, number)
        assert content(run) == {"up_to": number}


def test_a_counter_that_begins_again_within_one_message() -> None:
    run = Run()
    advance(run, *range(1, 499))
    advance(run, 499, 500, 1, 2)
    assert content(run) == {"up_to": 2}
    assert run.beyond == []


def test_missing_numbers_are_told_and_bounded() -> None:
    run = Run()
    advance(run, 1, 3, 4, 7)
    assert content(run) == {"up_to": 1}
    advance(run, 9, after_ms=MISSING_AFTER_MS)
    assert content(run) == {"up_to": 1, "missing": [[2, 2], [5, 6], [8, 8]]}
    advance(run, *range(11, 400, 2))
    missing = json.loads(run.receipt() or b"")["missing"]
    assert len(missing) == MISSING_SHOWN
    assert len(run.beyond) == MOST_RANGES


def test_a_gap_that_is_never_filled_is_given_up() -> None:
    run = Run()
    advance(run, 1, 2, 5, 8)
    given_up = [advance(run, number, after_ms=60_000)[1] for number in range(9, 9 + 24 * 60 + 1)]
    assert given_up == [0] * (24 * 60 - 1) + [4, 0]
    assert content(run) == {"up_to": 24 * 60 + 9}


def test_a_device_that_was_off_finds_its_gap_open() -> None:
    run = Run()
    advance(run, 1, 2, 4)
    advance(run, 5, after_ms=7 * 86_400_000)
    assert json.loads(run.receipt() or b"")["up_to"] == 2
    advance(run, 3)
    assert content(run) == {"up_to": 5}


WINDOW = 12


class Device:
    """Keeps what it sent until a receipt covers it, by the number alone; every number of a run is another record."""

    def __init__(self) -> None:
        self.kept: list[tuple[int, int]] = []
        self.run, self.next = 0, 1

    def make(self) -> None:
        self.kept.append((self.run, self.next))
        self.next += 1

    def begin_again(self) -> None:
        """It has nothing left; its counter begins again."""
        self.run, self.next = self.run + 1, 1

    def read(self, receipt: bytes) -> set[tuple[int, int]]:
        """What it deletes."""
        up_to = json.loads(receipt)["up_to"]
        if up_to >= self.next:
            return set()
        gone = {one for one in self.kept if one[1] <= up_to}
        self.kept = [one for one in self.kept if one not in gone]
        return gone


@settings(deadline=None, max_examples=150)
@given(st.randoms(use_true_random=False), st.floats(0.0, 0.6), st.integers(1, 3))
def test_nothing_deleted_is_missing_whatever_the_broker_loses(dice: random.Random, loss: float, instances: int) -> None:
    """A counter that begins again must have counted further than a device has under way: else, when all that is lost,
    its next number continues the run before.
    """
    device, run, stored, deleted = Device(), Run(), set[tuple[int, int]](), set[tuple[int, int]]()
    for turn in range(60):
        if not device.kept and device.next > WINDOW and dice.random() < 0.5:
            device.begin_again()
        for _ in range(dice.randrange(6) if turn < 40 else 0):
            device.make()
        lost = loss if turn < 40 else 0.0
        sent = [one for one in device.kept[:WINDOW] if dice.random() >= lost]
        parts = [sent] if turn >= 40 else [sent[i::instances] for i in range(instances)]
        for part in parts:
            notes = [Note([one[1]], int(one not in stored)) for one in part]
            stored |= set(part)
            told = run.receipt()
            again, _ = run.advance(notes, run.heard_ms + 1000, PATIENCE)
            receipt = run.receipt()
            if receipt == told:
                receipt = None if again is None else run.receipt(again=again)
            if receipt is not None and dice.random() >= lost:
                deleted |= device.read(receipt)
            assert deleted <= stored
    assert not device.kept
