"""check(): which events count as found, missed, unexpected."""

from typing import Any

import pytest

from simulators.comparison import check
from simulators.errors import SimulatorError
from simulators.outgoing import rfc3339
from simulators.truth import Injected, is_detectable, read, write
from tests.simulators.conftest import START_MS


def row(code: str, subject: str, began_s: float = 0, ended_s: float | None = 900, **more: Any) -> Injected:
    ended = None if ended_s is None else START_MS + round(ended_s * 1000)
    return Injected(code, "x", subject, START_MS + round(began_s * 1000), ended, **({"detectable": True} | more))


def event(code: str, subject: str, began_s: float = 0, **more: Any) -> dict[str, Any]:
    began = rfc3339(START_MS + round(began_s * 1000))
    return {"code": code, "subject": subject, "began_at": began, "detected_at": began, "ended_at": None} | more


def test_found_missed_and_unexpected() -> None:
    truth = [row("TRK-02", "h1"), row("TRK-02", "h2"), row("POS-01", "t1")]
    events = [event("TRK-02", "h1", 60), event("POS-01", "t1"), event("POS-01", "t9"), event("REC-01", "c1")]
    report = check(truth, events)
    figures = {one.code: (one.detectable, one.found, one.recall, one.precision) for one in report.codes}
    assert figures == {"TRK-02": (2, 1, 0.5, 1.0), "POS-01": (1, 1, 1.0, 0.5)}
    assert [one.subject for one in report.missed] == ["h2"]
    assert [one["subject"] for one in report.unexpected] == ["t9"]
    assert not report.passed
    assert "h2" in report.table()
    assert b'"recall":0.5' in report.json()
    assert check(truth, [event("TRK-02", "h1"), event("TRK-02", "h2"), event("POS-01", "t1")]).passed


@pytest.mark.parametrize(
    ("began_s", "ended_s", "matches"),
    [(-100, None, True), (-130, None, False), (1000, None, True), (1100, None, False), (-500, 0, True)],
)
def test_times_must_overlap(began_s: float, ended_s: float | None, matches: bool) -> None:
    ended = None if ended_s is None else rfc3339(START_MS + round(ended_s * 1000))
    report = check([row("TRK-03", "h1")], [event("TRK-03", "h1", began_s, ended_at=ended)])
    assert report.passed == matches


def test_a_condition_that_lasts_matches_later_events() -> None:
    assert check([row("TRK-07", "h1", ended_s=None)], [event("TRK-07", "h1", 5000)]).passed


def test_a_momentary_condition_does_not_match_much_later() -> None:
    assert not check([row("POS-02", "t1", 5, 5)], [event("POS-02", "t1", 500)]).passed


def test_a_second_event_of_one_condition_is_counted() -> None:
    report = check([row("TRK-03", "h1")], [event("TRK-03", "h1", 10), event("TRK-03", "h1", 300)])
    assert (report.codes[0].repeated, report.passed) == (1, True)


def test_near_misses_and_what_is_allowed() -> None:
    near = row("TRK-02", "h1", detectable=False, near_miss=True)
    allowed = row("TRK-02", "h2", detectable=False)
    assert check([near, allowed], []).passed
    assert check([allowed], [event("TRK-02", "h2")]).passed
    assert not check([near], [event("TRK-02", "h1")]).passed


def test_workers_stand_for_their_handsets() -> None:
    assert check([row("TRK-01", "h1", worker="w7")], [event("TRK-01", "w7")]).passed


def test_merged_events_count_by_their_causes() -> None:
    truth = [row("TRK-05", f"h{i}") for i in range(3)]
    causes = [{"subject": f"h{i}", "began_at": rfc3339(START_MS), "key": f"k{i}"} for i in range(4)]
    report = check(truth, [event("TRK-05", "431102001001001", causes=causes)])
    assert not report.missed
    assert len(report.unexpected) == 1, "the fourth cause is nobody's"
    keyed = event("TRK-05", "431102001001001", causes=[{"key": "TRK-05/h0/1"}, {"key": "TRK-05:h1:1"}])
    assert [one.subject for one in check(truth, [keyed]).missed] == ["h2"]


def test_only_the_run_and_its_devices_are_judged() -> None:
    events = [event("TRK-02", "stranger"), event("TRK-02", "h1", -1000), event("TRK-02", "h1", 9000)]
    until = START_MS + 7_200_000
    assert check([], events, subjects={"h1"}, since_ms=START_MS, until_ms=until).passed
    assert len(check([], events).unexpected) == 3


@pytest.mark.parametrize(("ended_s", "end_s", "found"), [(660, 9000, False), (961, 9000, True), (None, 950, False)])
def test_detectable(ended_s: float | None, end_s: float, found: bool) -> None:
    ended = None if ended_s is None else round(ended_s * 1000)
    assert is_detectable(0, ended, round(end_s * 1000), 900) is found


def test_truth_files(tmp_path: Any) -> None:
    rows = [row("TRK-02", "h1", 5, figures={"silent_s": 1000.0}), row("POS-02", "t1", 0, None, worker=None)]
    path = tmp_path / "truth.ndjson"
    assert write(path, rows) == 2
    assert read(path) == sorted(rows, key=lambda one: one.began_at_ms)
    assert path.read_text().startswith('{"code":"POS-02"')
    path.write_text("{}\n")
    with pytest.raises(SimulatorError, match="line 1"):
        read(path)
