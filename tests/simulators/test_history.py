"""The demo's past: bounded, realistic over the week, reproducible, and the past of the same terminals."""

from collections import Counter

import numpy as np

from simulators.history import HOUR_MS, handset_tracks, pos_hourly, pos_transactions
from simulators.rhythm import hour_of_week, profile_of
from tests.simulators.conftest import START_MS, city


def test_eight_weeks_of_twenty_terminals() -> None:
    terminals = city(0, 20).terminals
    rows = list(pos_transactions(terminals, end_ms=START_MS))
    hourly = list(pos_hourly(rows))
    assert 100_000 < len(rows) + len(hourly) <= 300_000
    assert {row["terminal"] for row in rows} == {terminal.id for terminal in terminals}
    assert min(row["at_ms"] for row in rows) >= START_MS - 56 * 24 * HOUR_MS
    assert max(row["at_ms"] for row in rows) < START_MS
    assert len({(row["terminal"], row["boot"], row["seq"]) for row in rows}) == len(rows)
    assert sum(row["transactions"] for row in hourly) == len(rows)
    assert sum(row["amount_fen"] for row in hourly) == sum(r["amount_fen"] for r in rows if r["result"] == "approved")
    assert len({(row["terminal"], row["hour_ms"]) for row in hourly}) == len(hourly)
    for terminal in terminals[:3]:
        seen = Counter(hour_of_week(row["at_ms"]) for row in rows if row["terminal"] == terminal.id)
        found = np.array([seen[hour] for hour in range(168)], dtype=float)
        wanted = np.array(profile_of(terminal.id, terminal.services).per_hour) * 8
        assert np.corrcoef(found, wanted)[0, 1] > 0.9
        assert found[wanted == 0].sum() == 0


def test_reproducible_and_bounded() -> None:
    terminals = city(0, 3).terminals
    first = list(pos_transactions(terminals, end_ms=START_MS, weeks=2, seed=5))
    assert first == list(pos_transactions(terminals, end_ms=START_MS, weeks=2, seed=5))
    assert first != list(pos_transactions(terminals, end_ms=START_MS, weeks=2, seed=6))
    few = list(pos_transactions(terminals, end_ms=START_MS, weeks=2, max_rows=2_000))
    assert len(few) + len(list(pos_hourly(few))) <= 2_000
    assert list(pos_hourly([])) == []


def test_tracks() -> None:
    handsets = city(3).handsets
    rows = list(handset_tracks(handsets, end_ms=START_MS, hours=0.5))
    assert len(rows) == 3 * 180
    assert set(rows[0]) >= {"device", "fixed_at", "lat", "lon", "accuracy_m", "speed_mps", "battery"}
    assert all(START_MS - 1_800_000 <= row["fixed_at"] < START_MS for row in rows)
    assert rows == list(handset_tracks(handsets, end_ms=START_MS, hours=0.5))
