"""The handset model: the same seed gives the same city, a clean city is clean, each anomaly is what its truth says."""

import itertools
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from simulators.anomalies import AnomalyMix
from simulators.geometry import beyond_m, plane_of
from simulators.handset_kinds import HANDSET_KINDS
from simulators.handsets import HandsetFleet
from simulators.manifest import Handset, WorkPlace
from simulators.outgoing import Outgoing
from simulators.truth import Injected
from tests.simulators.conftest import START_MS, city

HOURS_2 = 7200


def run(
    handsets: list[Handset], seconds: int, *, seed: int = 1, mix: AnomalyMix | None = None, **options: Any
) -> tuple[HandsetFleet, list[Outgoing]]:
    fleet = HandsetFleet(handsets, seconds=seconds, seed=seed, start_ms=START_MS, mix=mix, **options)
    messages = []
    while fleet.now_ms < START_MS + seconds * 1000:
        messages += fleet.step()
    return fleet, messages


def fixes_of(messages: list[Outgoing]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in messages:
        decoded = msgspec.json.decode(message.body)
        found[message.device] += decoded if isinstance(decoded, list) else [decoded]
    return found


def metres_between(handset: Handset, fixes: list[dict[str, Any]]) -> np.ndarray:
    plane = plane_of(handset.polygon)
    points = np.array([plane.xy(fix["lon"], fix["lat"]) for fix in fixes])
    return np.hypot(*np.diff(points, axis=0).T)


def outside(handset: Handset, fixes: list[dict[str, Any]]) -> np.ndarray:
    plane = plane_of(handset.polygon)
    return beyond_m(plane.ring(handset.polygon), np.array([plane.xy(fix["lon"], fix["lat"]) for fix in fixes]))


def test_same_arguments_give_the_same_messages_and_truth() -> None:
    handsets = city(40).handsets
    mix = AnomalyMix(0.5)
    one, first = run(handsets, 1800, seed=7, mix=mix)
    other, second = run(handsets, 1800, seed=7, mix=mix)
    assert first == second
    assert one.truth() == other.truth()
    _, third = run(handsets, 1800, seed=8, mix=mix)
    assert first != third


def test_another_start_is_another_walk() -> None:
    """Else a second run with the same seed would look like a replayed track, and be one."""
    handsets = city(5).handsets
    later = HandsetFleet(handsets, seconds=60, seed=1, start_ms=START_MS + 600_000, dead_zones=False)
    moved = fixes_of(later.step())[handsets[0].id]
    _, messages = run(handsets, 60, dead_zones=False)
    assert (moved[0]["lat"], moved[0]["lon"]) not in {(f["lat"], f["lon"]) for f in fixes_of(messages)[handsets[0].id]}


def test_a_clean_city_sends_every_interval_and_breaks_no_rule() -> None:
    handsets = city(60).handsets
    fleet, messages = run(handsets, HOURS_2)
    fixes = fixes_of(messages)
    assert fleet.truth() == []
    for handset in handsets:
        own = fixes[handset.id]
        times = [fix["fixed_at"] for fix in own]
        assert times == sorted(set(times))
        assert len(own) >= HOURS_2 / 10 - 37, "only what a dead zone keeps at the end may be missing"
        assert all(b - a == 10_000 for a, b in itertools.pairwise(times))
        assert [fix["seq"] for fix in own] == list(range(1, len(own) + 1))
        assert outside(handset, own).max() < 100
        assert metres_between(handset, own).max() < 10 * 6.5 + 60
        assert all(0.2 <= fix["battery"] <= 1 and "alarm" not in fix and "mock" not in fix for fix in own)
        places = {(fix["lat"], fix["lon"]) for fix in own}
        assert len(places) > 0.99 * len(own), "a receiver that works never repeats itself"


def test_a_bent_grid_is_patrolled_from_inside() -> None:
    lon, lat, long, wide = 111.5, 26.4, 0.03, 0.004
    ell = [(0, 0), (long, 0), (long, wide), (wide, wide), (wide, long), (0, long), (0, 0)]
    polygon = [(lon + x, lat + y) for x, y in ell]
    elsewhere = WorkPlace(lat + long, lon + long)
    bent = [msgspec.structs.replace(h, polygon=polygon, work_places=[elsewhere]) for h in city(20).handsets]
    _, messages = run(bent, HOURS_2)
    for handset in bent:
        own = fixes_of(messages)[handset.id]
        assert outside(handset, own).max() < 180
        assert metres_between(handset, own).sum() > 2000


def test_sending_is_spread_over_the_interval() -> None:
    _, messages = run(city(100).handsets, 20, dead_zones=False)
    second = np.bincount([(message.due_ms - START_MS) // 1000 for message in messages], minlength=20)
    assert second.min() == second.max() == 10


@pytest.mark.parametrize(("interval", "fixes"), [(1.0, 60), (2.5, 24), (30.0, 2), (0.5, 120)])
def test_interval(interval: float, fixes: int) -> None:
    _, messages = run(city(5).handsets, 60, interval_s=interval, dead_zones=False)
    assert {len(own) for own in fixes_of(messages).values()} == {fixes}


def test_dead_zones_are_filled_back_in_arrays() -> None:
    _, messages = run(city(80).handsets, HOURS_2)
    arrays = [message for message in messages if message.body.startswith(b"[")]
    assert len(arrays) > 10
    for message in arrays:
        assert message.keys == tuple(fix["fixed_at"] for fix in msgspec.json.decode(message.body))
        assert message.due_ms == message.keys[-1]
        assert 30_000 < message.due_ms - int(str(message.keys[0])) < 420_000, "shorter than silence on duty"


def test_a_quiet_handset_sends_nothing_outside_the_shift() -> None:
    handset = city(1).handsets[0]
    begin = handset.shift[0][0].fromtimestamp(START_MS / 1000 + 600, handset.shift[0][0].tzinfo)
    end = begin.fromtimestamp(START_MS / 1000 + 900, begin.tzinfo)
    late = msgspec.structs.replace(handset, shift=[(begin, end)])
    _, messages = run([late], 1800, dead_zones=False, off_duty=False)
    assert all(START_MS + 600_000 <= message.due_ms < START_MS + 900_000 for message in messages)
    assert len(messages) == 30


def test_off_duty_only_alarms_are_injected() -> None:
    handsets = city(80, now_ms=START_MS - 20 * 3_600_000).handsets
    fleet, messages = run(handsets, 3600, mix=AnomalyMix(1.0), dead_zones=False)
    assert len(messages) == 80 * 360, "they send all the same"
    rows = fleet.truth()
    assert {row.code for row in rows} == {"TRK-01"}
    assert len(rows) > 60


def test_anomalies_find_the_hours_on_duty() -> None:
    handsets = city(60, now_ms=START_MS + 4 * 3_600_000).handsets
    fleet, _ = run(handsets, 3 * HOURS_2, mix=AnomalyMix(0.7), interval_s=30.0)
    duty = [row for row in fleet.truth() if row.code not in ("TRK-01",)]
    assert {row.code for row in duty} >= {"TRK-02", "TRK-03", "TRK-06", "TRK-07"}
    assert all(row.began_at_ms >= START_MS + 3 * 3_600_000 - 30_000 for row in duty)


@pytest.fixture(scope="module")
def marked() -> dict[str, list[tuple[Injected, Handset, list[dict[str, Any]]]]]:
    """Every kind on about eight handsets in two and a half hours: truth, handset, fixes."""
    handsets = city(len(HANDSET_KINDS) * 8).handsets
    fleet, messages = run(handsets, 9000, mix=AnomalyMix(1.0), seed=3)
    fixes, by_id = fixes_of(messages), {handset.id: handset for handset in handsets}
    found: dict[str, list[tuple[Injected, Handset, list[dict[str, Any]]]]] = defaultdict(list)
    for row in fleet.truth():
        found[row.kind].append((row, by_id[row.subject], fixes[row.subject]))
    return found


Marked = dict[str, list[tuple[Injected, Handset, list[dict[str, Any]]]]]


def during(row: Injected, fixes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    end = row.ended_at_ms or 2**62
    return [fix for fix in fixes if row.began_at_ms <= fix["fixed_at"] < end]


def test_every_kind_happens_and_most_are_detectable(marked: Marked) -> None:
    assert set(marked) == set(HANDSET_KINDS)
    for kind, rows in marked.items():
        assert any(row.detectable for row, _, _ in rows), kind
        assert all(row.code == HANDSET_KINDS[kind].code for row, _, _ in rows if kind != "at_home")
    near = {kind for kind, rows in marked.items() if any(row.near_miss for row, _, _ in rows)}
    assert near <= {"silent", "astray", "low_battery", "still"}
    assert near


def test_only_implausible_tracks_jump(marked: Marked) -> None:
    for rows in marked.values():
        for row, handset, fixes in rows:
            moved = metres_between(handset, fixes)
            seconds = np.diff([fix["fixed_at"] for fix in fixes]) / 1000
            if row.code != "TRK-06":
                assert (moved / seconds).max() < 22, row


@pytest.mark.parametrize("kind", ["sos", "fall", "removed"])
def test_alarms(marked: Marked, kind: str) -> None:
    for row, _, fixes in marked[kind]:
        alarms = [fix["fixed_at"] for fix in fixes if fix.get("alarm") == kind]
        assert alarms[0] == row.began_at_ms
        assert len(alarms) == (len(during(row, fixes)) if kind == "removed" else 1)


def test_silence_lasts_as_long_as_its_truth_says(marked: Marked) -> None:
    for row, _, fixes in marked["silent"]:
        times = [fix["fixed_at"] for fix in fixes]
        later = [t for t in times if t > row.began_at_ms]
        assert row.began_at_ms in times
        assert (later[0] if later else None) == row.ended_at_ms
        lasts = ((row.ended_at_ms or START_MS + 9_000_000) - row.began_at_ms) / 1000
        assert lasts < 900 if row.near_miss else lasts >= 960 or not row.detectable


def test_astray_is_beyond_200_m_while_its_truth_says(marked: Marked) -> None:
    for row, handset, fixes in marked["astray"]:
        away = outside(handset, during(row, fixes))
        assert np.median(away) > 250
        before = [fix for fix in fixes if fix["fixed_at"] < row.began_at_ms]
        assert outside(handset, before).max() < 260
        assert abs(float(row.figures["beyond_m"]) - away.max()) < 60
        lasts = len(away) * 10
        assert lasts < 540 if row.near_miss else lasts > 660 or not row.detectable


def test_low_battery(marked: Marked) -> None:
    for row, _, fixes in marked["low_battery"]:
        levels = [fix["battery"] for fix in during(row, fixes)]
        if row.near_miss:
            assert 0.15 < min(fix["battery"] for fix in fixes) <= 0.2
        else:
            assert max(levels) < 0.15
            assert [fix["battery"] for fix in fixes if fix["fixed_at"] < row.began_at_ms][-1] >= 0.15


def test_implausible_tracks(marked: Marked) -> None:
    for row, _, fixes in marked["mock"]:
        assert all(fix["mock"] for fix in during(row, fixes))
    for row, handset, fixes in marked["teleport"]:
        first = next(i for i, fix in enumerate(fixes) if fix["fixed_at"] == row.began_at_ms)
        assert metres_between(handset, fixes[first - 1 : first + 1])[0] > 3500
    for row, _, fixes in marked["frozen"]:
        frozen = during(row, fixes)
        assert len({(fix["lat"], fix["lon"]) for fix in frozen}) == 1
        assert min(fix["speed_mps"] for fix in frozen) > 0.5
    for row, handset, fixes in marked["two_as_one"]:
        both = sorted(during(row, fixes), key=lambda fix: fix["fixed_at"])
        assert len(both) * 5 >= 150
        assert np.median(metres_between(handset, both)) > 3000
    for row, _, fixes in marked["replayed"]:
        known = {(fix["lat"], fix["lon"]) for fix in fixes if fix["fixed_at"] < row.began_at_ms}
        again = during(row, fixes)
        assert len(again) >= 55
        assert all((fix["lat"], fix["lon"]) in known for fix in again)


@pytest.mark.parametrize("kind", ["at_home", "still"])
def test_standing_still_away_from_work(marked: Marked, kind: str) -> None:
    for row, handset, fixes in marked[kind]:
        if row.code != "TRK-07":
            continue
        plane = plane_of(handset.polygon)
        points = np.array([plane.xy(fix["lon"], fix["lat"]) for fix in during(row, fixes)])
        spread = np.hypot(*(points - np.median(points, axis=0)).T)
        assert np.quantile(spread, 0.95) < 40
        work = np.array([plane.xy(place.lon, place.lat) for place in handset.work_places])
        assert np.hypot(*(np.median(points, axis=0) - work).T).min() > 100
        lasts = len(points) * 10
        assert lasts < 3300 if row.near_miss else lasts > 3660 or not row.detectable


def test_home_outside_the_grid_is_two_conditions() -> None:
    handset = city(1).handsets[0]
    lon, lat = handset.polygon[0]
    far = msgspec.structs.replace(handset, home=(lon - 0.03, lat))
    fleet, messages = run([far], HOURS_2, mix=AnomalyMix(1.0, frozenset({"at_home"})))
    assert metres_between(far, fixes_of(messages)[far.id]).max() < 100, "at home from the first fix on"
    assert {row.code for row in fleet.truth()} == {"TRK-07", "TRK-03"}


def test_without_a_shift_plan_no_duty_rule_can_be_broken() -> None:
    plain = [msgspec.structs.replace(handset, shift=[]) for handset in city(60).handsets]
    fleet, messages = run(plain, HOURS_2, mix=AnomalyMix(1.0))
    assert messages
    assert not {row.code for row in fleet.truth()} & {"TRK-02", "TRK-03", "TRK-07"}


def test_long_runs_have_anomalies_all_along() -> None:
    fleet, _ = run(city(30).handsets, 4 * HOURS_2, mix=AnomalyMix(0.5), interval_s=60.0)
    rows = fleet.truth()
    quarters = {(row.began_at_ms - START_MS) // (HOURS_2 * 1000) for row in rows}
    assert quarters >= {0, 1, 2, 3}
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        spans[row.subject].append((row.began_at_ms, row.ended_at_ms or START_MS + 4 * HOURS_2 * 1000))
    for own in spans.values():
        own.sort()
        assert all(a[1] <= b[0] or a == b for a, b in itertools.pairwise(own))


def test_opening_kinds_happen_at_once_and_are_never_near_misses() -> None:
    mix = AnomalyMix(0.6, near_miss=1.0, opening=("sos", "removed", "mock", "low_battery", "tampered"))
    for seed in range(5):
        fleet, _ = run(city(30).handsets, 600, seed=seed, mix=mix)
        early = {row.kind for row in fleet.truth() if row.began_at_ms < START_MS + 30_000 and not row.near_miss}
        assert early >= {"sos", "removed", "mock", "low_battery"}, seed


def test_change_of_shift_stops_only_what_needs_a_whole_shift() -> None:
    change = datetime.fromtimestamp(START_MS / 1000 + 60, UTC)
    shifts = [(change - timedelta(hours=8), change), (change, change + timedelta(hours=8))]
    handsets = [msgspec.structs.replace(handset, shift=shifts) for handset in city(10).handsets]
    fleet, _ = run(handsets, 600, mix=AnomalyMix(0.3, opening=("low_battery", "removed")))
    assert {"low_battery", "removed"} <= {row.kind for row in fleet.truth()}
    silent, _ = run(handsets, 1800, mix=AnomalyMix(1.0, frozenset({"silent"}), opening=("silent",)))
    assert all(row.began_at_ms >= START_MS + 50_000 for row in silent.truth())


def test_a_handset_goes_on_where_it_was_seen() -> None:
    handsets = city(10).handsets
    lon, lat = handsets[0].polygon[0]
    inside = [
        msgspec.structs.replace(one, start=(one.polygon[0][0] + 1e-3, one.polygon[0][1] + 1e-3)) for one in handsets
    ]
    _, messages = run(inside, 60, dead_zones=False)
    for handset in inside:
        first = fixes_of(messages)[handset.id][0]
        plane = plane_of(handset.polygon)
        assert handset.start is not None
        gap = np.hypot(*np.subtract(plane.xy(first["lon"], first["lat"]), plane.xy(*handset.start)))
        assert gap < 100, "GNSS error and ten seconds of walking"
    far = msgspec.structs.replace(handsets[0], start=(lon + 1.0, lat))
    _, messages = run([far], 60, dead_zones=False)
    assert outside(far, fixes_of(messages)[far.id]).max() < 100
