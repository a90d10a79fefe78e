"""The terminal model: rhythm, power cycles and seq, a clean day, and each anomaly as its truth says."""

import itertools
from collections import defaultdict
from typing import Any

import msgspec
import pytest

from simulators.anomalies import AnomalyMix
from simulators.manifest import Terminal
from simulators.outgoing import Outgoing
from simulators.rhythm import AMOUNTS_FEN, hour_of_week, profile_of
from simulators.terminal_kinds import TERMINAL_KINDS
from simulators.terminals import TerminalFleet
from simulators.truth import Injected, epoch_ms
from tests.simulators.conftest import START_MS, city

HOURS_2 = 7200


def run(
    terminals: list[Terminal], seconds: int, *, seed: int = 1, mix: AnomalyMix | None = None, start_ms: int = START_MS
) -> tuple[TerminalFleet, list[Outgoing]]:
    fleet = TerminalFleet(terminals, seconds=seconds, seed=seed, start_ms=start_ms, mix=mix)
    messages = []
    while fleet.now_ms < start_ms + seconds * 1000:
        messages += fleet.step()
    messages.sort(key=lambda message: message.due_ms)
    return fleet, [message for message in messages if message.due_ms < start_ms + seconds * 1000]


def records_of(messages: list[Outgoing]) -> dict[str, list[dict[str, Any]]]:
    """Records in the order sent, each with its time `ms`."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in messages:
        decoded = msgspec.json.decode(message.body)
        for record in decoded if isinstance(decoded, list) else [decoded]:
            found[message.device].append(record | {"ms": epoch_ms(record["at"]), "due": message.due_ms})
    return found


def test_same_arguments_give_the_same_messages_and_truth() -> None:
    terminals = city(0, 30, profiled=True).terminals
    one, first = run(terminals, 1800, mix=AnomalyMix(0.6), seed=4)
    other, second = run(terminals, 1800, mix=AnomalyMix(0.6), seed=4)
    assert first == second
    assert one.truth() == other.truth()
    assert run(terminals, 1800, mix=AnomalyMix(0.6), seed=5)[1] != first


def test_a_clean_day_breaks_no_rule() -> None:
    terminals = city(0, 40).terminals
    fleet, messages = run(terminals, 6 * 3600)
    assert fleet.truth() == []
    assert fleet.replayed > 0, "uploads are repeated on a clean day too"
    for own in records_of(messages).values():
        unique = {(r["boot"], r["seq"]): r for r in own}
        assert len(unique) <= len(own)
        times = sorted(r["ms"] for r in unique.values())
        assert max(b - a for a, b in itertools.pairwise(times)) <= 60_000, "a heartbeat a minute"
        by_boot: dict[str, list[int]] = defaultdict(list)
        for boot, seq in unique:
            by_boot[boot].append(seq)
        for numbers in by_boot.values():
            assert sorted(numbers) == list(range(1, len(numbers) + 1))
        declined = sorted(r["ms"] for r in unique.values() if r.get("result") == "declined")
        assert all(b - a >= 600_000 for a, b in zip(declined, declined[2:], strict=False))
        charged = [r for r in unique.values() if r.get("result") == "approved"]
        assert len({(r["card_ref"], r["service"], r["amount_fen"]) for r in charged}) == len(charged)
        assert all(r["paper"] != "out" for r in unique.values() if r["kind"] == "heartbeat")
        assert not any(r["kind"] in ("fault", "tamper") for r in unique.values())


def test_a_repeated_upload_is_the_same_bytes() -> None:
    _, messages = run(city(0, 40).terminals, 6 * 3600)
    seen: dict[tuple[str, str, int], dict[str, Any]] = {}
    again = 0
    for device, own in records_of(messages).items():
        for record in own:
            plain = {name: value for name, value in record.items() if name != "due"}
            known = seen.setdefault((device, record["boot"], record["seq"]), plain)
            again += known is not plain
            assert known == plain
    assert again > 0


def test_rhythm() -> None:
    profile = profile_of("t1", ["water", "phone"])
    assert profile_of("t1", ["water", "phone"]) == profile
    assert profile_of("t2", ["water", "phone"]) != profile
    assert 50 <= sum(profile.per_hour[:24]) <= 300
    assert profile.per_hour[3] == profile.per_hour[23] == 0
    assert hour_of_week(START_MS) == 24 + 12, "Tuesday noon in Yongzhou"
    _, messages = run(city(0, 60).terminals, 3600, start_ms=START_MS + 12 * 3_600_000)
    kinds = {r["kind"] for own in records_of(messages).values() for r in own}
    assert "transaction" not in kinds, "closed at midnight"


def test_transactions_follow_the_contract() -> None:
    _, messages = run(city(0, 60).terminals, 3600)
    sold = [r for own in records_of(messages).values() for r in own if r["kind"] == "transaction"]
    expected = sum(profile_of(t.id, t.services).rate_per_hour(START_MS) for t in city(0, 60).terminals)
    assert abs(len({(r["boot"], r["seq"]) for r in sold}) - expected) < 5 * expected**0.5
    for record in sold:
        assert record["service"] in AMOUNTS_FEN
        assert record["amount_fen"] > 0
        assert ("decline_code" in record) == (record["result"] == "declined")
        assert len(record["card_ref"]) <= 64
        assert not any(c.isdigit() for c in record["card_ref"])
        assert record["latency_ms"] > 0


Marked = dict[str, list[tuple[Injected, list[dict[str, Any]]]]]


@pytest.fixture(scope="module")
def marked() -> Marked:
    """Every kind on some terminals in two hours; the night kind in a run of its own."""
    found: Marked = defaultdict(list)
    for start_ms, mix in (
        (START_MS, AnomalyMix(1.0, frozenset(TERMINAL_KINDS) - {"unusual_hour"})),
        (START_MS + 13 * 3_600_000, AnomalyMix(0.2, frozenset({"unusual_hour"}))),
    ):
        fleet, messages = run(city(0, 120, profiled=True).terminals, HOURS_2, mix=mix, seed=2, start_ms=start_ms)
        records = records_of(messages)
        for row in fleet.truth():
            if row.code == TERMINAL_KINDS[row.kind].code:
                found[row.kind].append((row, records[row.subject]))
    return found


def test_every_kind_happens(marked: Marked) -> None:
    assert set(marked) == set(TERMINAL_KINDS)
    for kind in set(TERMINAL_KINDS) - {"gap", "gap_filled"}:
        assert any(row.detectable for row, _ in marked[kind]), kind


@pytest.mark.parametrize("kind", ["offline", "link_down"])
def test_offline(marked: Marked, kind: str) -> None:
    for row, records in marked[kind]:
        sent = sorted({r["due"] for r in records})
        gap = max((b - a, a) for a, b in zip(sent, [*sent[1:], START_MS + HOURS_2 * 1000], strict=True))
        boots = {r["boot"] for r in records if r["ms"] > row.began_at_ms}
        if row.near_miss:
            assert gap[0] < 300_000
        else:
            assert gap[1] == row.began_at_ms
            assert gap[0] > 360_000 or not row.detectable
        if row.ended_at_ms is not None:
            before = {r["boot"] for r in records if r["ms"] <= row.began_at_ms}
            assert (boots & before == set()) == (kind == "offline")


def test_momentary_records(marked: Marked) -> None:
    for row, records in marked["tampered"]:
        assert [r["ms"] for r in records if r["kind"] == "tamper"] == [row.began_at_ms]
    for row, records in marked["moved"]:
        places = [(r["lat"], r["lon"]) for r in records if r["kind"] == "location"]
        assert max(abs(a[0] - places[0][0]) for a in places) > 0.003
        assert row.began_at_ms in [r["ms"] for r in records if r["kind"] == "location"]
    for row, records in marked["fault"]:
        assert next(r["ms"] for r in records if r["kind"] == "fault") == row.began_at_ms


def test_paper_out(marked: Marked) -> None:
    for row, records in marked["paper_out"]:
        end = row.ended_at_ms or 2**62
        out = [r["ms"] for r in records if r.get("paper") == "out"]
        assert out[0] == row.began_at_ms
        assert out[-1] < end
        assert not any(r["kind"] == "transaction" and row.began_at_ms < r["ms"] < out[-1] for r in records)


def test_declines(marked: Marked) -> None:
    for row, records in marked["decline_burst"]:
        declined = sorted({r["ms"] for r in records if r.get("result") == "declined"})
        most = max(sum(at <= other < at + 600_000 for other in declined) for at in declined)
        assert most < 5 if row.near_miss else most >= 5 or not row.detectable


def test_repeated_charge(marked: Marked) -> None:
    for row, records in marked["repeated_charge"]:
        times: dict[tuple[Any, ...], set[int]] = defaultdict(set)
        for r in records:
            if r.get("result") == "approved":
                times[r["card_ref"], r["service"], r["amount_fen"]].add(r["ms"])
        twice = [sorted(at) for at in times.values() if len(at) > 1]
        assert len(twice) == 1 or not row.detectable
        for first, second in twice:
            assert first == row.began_at_ms
            assert (second - first > 300_000) == row.near_miss


def test_unusual(marked: Marked) -> None:
    for row, records in marked["unusual_amount"]:
        sold = {(r["boot"], r["seq"]): r["amount_fen"] for r in records if r["kind"] == "transaction"}
        amounts = sorted(sold.values())
        assert amounts[-1] == row.figures["amount_fen"]
        assert amounts[-1] >= 8 * amounts[-2]
    for row, records in marked["unusual_rate"]:
        sold = {r["ms"] for r in records if r["kind"] == "transaction"}
        assert sum(row.began_at_ms <= at <= row.began_at_ms + 600_000 for at in sold) >= 60
    for row, records in marked["unusual_hour"]:
        sold = {r["ms"] for r in records if r["kind"] == "transaction"}
        assert len(sold) == 5 or not row.detectable


def test_gaps(marked: Marked) -> None:
    for kind in ("gap", "gap_filled"):
        for row, records in marked[kind]:
            assert not row.detectable
            boot = max((r["boot"] for r in records), key=lambda b: sum(r["boot"] == b for r in records))
            numbers = {r["seq"] for r in records if r["boot"] == boot}
            missing = set(range(1, max(numbers) + 1)) - numbers
            if kind == "gap":
                assert len(missing) == row.figures["missing"]
            elif row.ended_at_ms is not None:
                assert not missing


def test_gap_is_detectable_after_a_day() -> None:
    fleet, _ = run(city(0, 2).terminals, 30 * 3600, mix=AnomalyMix(1.0, frozenset({"gap"})))
    assert [row.detectable for row in fleet.truth()][:2] == [True, True]


def test_terminals_without_a_past_are_not_asked_for_unusual_transactions() -> None:
    fleet, _ = run(city(0, 60).terminals, HOURS_2, mix=AnomalyMix(1.0))
    assert not {row.code for row in fleet.truth()} & {"POS-05"}


def test_opening_kinds_happen_within_half_a_minute() -> None:
    for seed in range(5):
        fleet, _ = run(city(0, 15).terminals, 600, seed=seed, mix=AnomalyMix(0.3, opening=("tampered", "paper_out")))
        early = {row.kind for row in fleet.truth() if row.began_at_ms < START_MS + 35_000}
        assert early >= {"tampered", "paper_out"}, seed
