"""Small parts that rules are made of: bursts, coverage of a gap, the hour ring, trails; and the table itself."""

import random
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.rule import key_of
from alerts.rules import RULE_TABLE
from alerts.rules.episodes import Episodes, occur
from alerts.rules.place import metres
from alerts.rules.terminal.missing import Missing, MissingSettings, MissingState
from alerts.rules.terminal.profile import HOUR_MS, RING, WEEK, Profile, counted, hour_count
from alerts.rules.track.replay import NO_TRAIL, retrace
from alerts.rules.track.silence import Gap, Silence, SilenceSettings
from alerts.settings import RulesSettings
from alerts.state import RuleSet
from core.event import CATALOGUE, Finding
from core.place import distance_m
from core.reading import StoredReading

MINUTE = 60_000


def found(at_ms: int) -> Finding:
    return Finding("open", "TRK-01", f"k{at_ms}", "h", at_ms)


def test_occurrences_join_their_own_episode_in_any_order() -> None:
    episodes: Episodes = ()
    said = []
    for at in (100, 105, 900, 95, 102, 890):
        episodes, findings = occur(episodes, found(at), window_ms=20)
        said += [(f.kind, f.key) for f in findings]
    assert said == [
        ("open", "k100"),
        ("repeat", "k100"),
        ("open", "k900"),
        ("repeat", "k100"),
        ("repeat", "k100"),
        ("repeat", "k900"),
    ]


def test_a_quiet_time_lengthens_without_a_word() -> None:
    episodes, _ = occur((), found(0), 100, quiet_ms=10)
    episodes, findings = occur(episodes, found(5), 100, quiet_ms=10)
    assert findings == ()
    episodes, findings = occur(episodes, found(30), 100, quiet_ms=10)
    assert [f.kind for f in findings] == ["repeat"]


@given(st.lists(st.integers(1, 200), unique=True, min_size=1), st.randoms(use_true_random=False))
def test_coverage_of_a_gap_does_not_depend_on_order(minutes: list[int], rng: random.Random) -> None:
    rule = Silence(SilenceSettings())
    gap = Gap("k", 0, 201 * MINUTE)
    shuffled = list(minutes)
    rng.shuffle(shuffled)
    for minute in shuffled:
        gap = rule._covered(gap, minute * MINUTE)
    ordered = [0, *sorted(minutes), 201]
    explained = all(b - a <= 15 for a, b in pairwise(ordered))
    assert rule._explains(gap) == explained


def test_the_hour_ring_forgets_after_five_weeks_and_ignores_older_hours() -> None:
    profile = Profile()
    for hour in (1000, 1000, 1001, 1000 + RING - 1):
        profile = counted(profile, hour * HOUR_MS, 500)
    assert [hour_count(profile, h) for h in (1000, 1001, 1002, 1000 + RING - 1)] == [2, 1, 0, 1]
    profile = counted(profile, (1000 + RING) * HOUR_MS, 500)
    assert hour_count(profile, 1000) == 0
    assert hour_count(profile, 1000 + RING) == 1
    assert counted(profile, 999 * HOUR_MS, 500) is profile
    far = counted(profile, (1000 + 20 * WEEK) * HOUR_MS, 500)
    assert sum(far.hours) == 1


def test_a_trail_notices_its_own_past_only_in_order() -> None:
    rng = random.Random(1)
    track = [(26.4 + rng.random() / 100, 111.6 + rng.random() / 100) for _ in range(60)]
    trail = NO_TRAIL
    for place in track:
        trail = retrace(trail, *place)
    assert trail.run == 0
    forth = back = trail
    for place in track:
        forth = retrace(forth, *place)
    for place in reversed(track):
        back = retrace(back, *place)
    assert forth.run >= 10
    assert back.run <= 1


def test_flat_distances_agree_with_the_sphere() -> None:
    assert metres(26.4, 111.6, 26.43, 111.65) == pytest.approx(distance_m(26.4, 111.6, 26.43, 111.65), rel=1e-4)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_holes_in_seq_are_what_is_missing_between_least_and_greatest(seqs: list[int]) -> None:
    rule = Missing(MissingSettings())
    state = MissingState()
    for n, seq in enumerate(seqs):
        state, _ = rule.step(state, StoredReading(1, n, n, n, "b", seq, 0, 0, 1), _Anybody())
    missing = {s for hole in state.boots[0].holes for s in range(hole.first, hole.last + 1)}
    assert missing == set(range(min(seqs), max(seqs))) - set(seqs)


class _Anybody:
    id = "t0"
    now_ms = 0


def test_every_code_of_the_catalogue_has_a_rule_and_settings() -> None:
    assert {line.code for line in RULE_TABLE} == set(CATALOGUE)
    for line in RULE_TABLE:
        rule = line.make(RulesSettings().section(line.settings))
        assert rule.code == line.code
        assert isinstance(rule.start, msgspec.Struct)
    assert len({line.memory for line in RULE_TABLE}) == len(RULE_TABLE)


def test_states_survive_their_row_and_an_unreadable_row_begins_anew() -> None:
    rules = RuleSet("handset", RULE_TABLE, RulesSettings())
    states = list(rules.starts)
    states[0] = msgspec.structs.replace(states[0], episodes=occur((), found(7), 1)[0])  # type: ignore[type-var]
    row = rules.encode(states)
    assert rules.decode(row) == states
    assert len(row) < 60
    assert rules.decode(b"\x81\xa3sos\x05") == rules.starts


def test_keys_are_the_same_from_the_same_fact() -> None:
    assert key_of("TRK-01", "h", 5, -1) == "TRK-01:h:5:ffffffffffffffff"
    assert key_of("POS-02", "t", 5, 1, "moved") == "POS-02:t:moved:5:0000000000000001"
