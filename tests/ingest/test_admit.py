"""Admission of fixes: times, datum, flags, duty, cards, lanes, digests; and that it never raises anything else."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.fix import Fix, Flag
from core.ids import digest64
from core.lane import Lane
from core.place import distance_m
from devices.records import DeviceRecord
from ingest.admit import admit_fix
from ingest.judgement import DAY_MS, Inadmissible, Row
from store.fixes import fix_key
from tests.ingest.judging import HANDSET, KEY, NOW_MS, OFF, ON, UNPLANNED, always, judge

JUDGE = judge()
WEEKS_MS = 7168 * DAY_MS
GOOD = Fix(fixed_at=NOW_MS - 5_000, lat=26.42, lon=111.61, accuracy_m=6.0, speed_mps=1.2, battery=0.8, seq=9)


def admit(fix: Fix, duty=ON, sos=None, device: DeviceRecord = HANDSET, now_ms: int = NOW_MS, by=JUDGE) -> Row:
    return admit_fix(by, device, fix, now_ms, always(duty), sos or {})


def changed(**changes: object) -> Fix:
    return Fix(**{name: getattr(GOOD, name) for name in GOOD.__struct_fields__} | changes)  # type: ignore[arg-type]


def refusal(**changes: object) -> Inadmissible:
    with pytest.raises(Inadmissible) as caught:
        admit(changed(**changes))
    return caught.value


def test_a_plain_fix() -> None:
    row = admit(GOOD)
    assert (row.lane, row.at_ms, row.flags, row.lat, row.lon) == (Lane.LIVE, NOW_MS - 5000, 0, 26.42, 111.61)
    device, at_ms, _ = fix_key(row.data)
    assert (device, at_ms) == (7, NOW_MS - 5000)


def test_the_digest_is_of_the_content_and_needs_the_key() -> None:
    _, _, digest = fix_key(admit(GOOD).data)
    assert isinstance(digest, int)
    for same in (admit(GOOD, now_ms=NOW_MS + 90_000), admit(GOOD, OFF), admit(GOOD, UNPLANNED)):
        assert fix_key(same.data)[2] == digest
    assert fix_key(admit(changed(lat=26.4200001)).data)[2] != digest
    assert fix_key(admit(changed(extra={"a": 1})).data)[2] != digest
    one = fix_key(admit(changed(extra={"a": 1, "b": 2})).data)[2]
    assert fix_key(admit(changed(extra={"b": 2, "a": 1})).data)[2] == one
    assert digest64(KEY, b"") != digest
    text = datetime.fromtimestamp((NOW_MS - 5000) / 1000, timezone(timedelta(hours=8)))
    assert fix_key(admit(changed(fixed_at=text)).data)[2] == digest


@pytest.mark.parametrize(
    ("fixed_at", "why", "words"),
    [
        (NOW_MS + 301_000, "time_future", "5 minutes in the future"),
        (NOW_MS - 181 * DAY_MS, "time_past", "181 days old; records are taken for 180 days"),
        (NOW_MS // 1000, "time_unit", "looks like seconds"),
        (NOW_MS * 1000, "time_unit", "looks like microseconds"),
        (NOW_MS * 1_000_000, "time_unit", "looks like nanoseconds"),
        (0, "time_past", "old"),
        (10**30, "time_future", "in the future"),
        (-(10**30), "time_past", "old"),
        (datetime(2026, 11, 24, 13, 30), "time_naive", "no offset"),  # noqa: DTZ001
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), "time_past", "old"),
        (datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-14))), "time_future", "in the future"),
    ],
)
def test_times_out_of_range_are_refused_in_words(fixed_at: int | datetime, why: str, words: str) -> None:
    error = refusal(fixed_at=fixed_at)
    assert error.why == why
    assert words in str(error)


@pytest.mark.parametrize("at_ms", [NOW_MS + 299_000, NOW_MS, NOW_MS - 179 * DAY_MS])
def test_times_in_range_are_taken_as_they_are(at_ms: int) -> None:
    assert admit(changed(fixed_at=at_ms)).at_ms == at_ms


@pytest.mark.parametrize("weeks", [1, 2])
@pytest.mark.parametrize("off_ms", [0, -DAY_MS, 299_000])
def test_a_week_roll_over_is_repaired_and_flagged(weeks: int, off_ms: int) -> None:
    row = admit(changed(fixed_at=NOW_MS + off_ms - weeks * WEEKS_MS))
    assert row.at_ms == NOW_MS + off_ms
    assert row.flags & Flag.TIME_REPAIRED
    assert refusal(fixed_at=NOW_MS - weeks * WEEKS_MS - 2 * DAY_MS).why == "time_past"


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("lat", (90.1, -90.1, float("nan"), float("inf"))),
        ("lon", (180.5, -181.0, float("nan"), float("-inf"))),
        ("accuracy_m", (-1.0, float("nan"), 1e30)),
        ("speed_mps", (-0.1, 1001.0, float("inf"))),
        ("heading_deg", (-1.0, 360.5, float("nan"))),
        ("battery", (83.0, -0.1, float("nan"))),
        ("altitude_m", (1e20, float("nan"))),
        ("satellites", (-1, 256, 10**40)),
        ("seq", (1 << 63, -(1 << 63) - 1)),
    ],
)
def test_values_out_of_range_name_their_field(field: str, values: tuple[float, ...]) -> None:
    for value in values:
        assert field in str(refusal(**{field: value}))


def test_positions() -> None:
    assert "swapped" in str(refusal(lat=111.61, lon=26.42))
    assert refusal(lat=None).why == refusal(lon=None).why == refusal(lat=None, lon=None).why == "position"
    assert refusal(lat=None, alarm="sos").why == "position"
    assert admit(changed(lat=None, lon=None, alarm="sos")).flags == Flag.NO_POSITION
    assert admit(changed(lat=0.0, lon=0.0)).flags == Flag.ZERO_POSITION | Flag.OUT_OF_COUNTRY
    assert admit(changed(lat=48.1, lon=11.5)).flags == Flag.OUT_OF_COUNTRY
    assert admit(changed(accuracy_m=100.5)).flags == Flag.INACCURATE
    assert admit(changed(accuracy_m=1000.5)).flags == Flag.INACCURATE | Flag.PRESENCE_ONLY
    assert admit(changed(mock=True)).flags == Flag.MOCK


def test_another_datum_becomes_wgs84_and_what_was_sent_stays_beside_it() -> None:
    for row in (
        admit(changed(lat=26.4164118, lon=111.6152429, datum="gcj02")),
        admit(changed(lat=26.4226490, lon=111.6217024, datum="bd09")),
        admit(changed(lat=26.4164118, lon=111.6152429), device=DeviceRecord(7, "x", "handset", datum="gcj02")),
    ):
        assert row.lat is not None
        assert row.lon is not None
        assert distance_m(row.lat, row.lon, 26.42, 111.61) < 0.1
        assert row.flags == Flag.DATUM_SHIFTED
    kept = admit(GOOD, device=DeviceRecord(7, "x", "handset", datum="wgs84"))
    assert (kept.lat, kept.flags) == (26.42, 0)


def test_off_duty_positions_are_stripped_unless_there_is_an_alarm_or_a_recent_sos() -> None:
    fix = changed(extra={"near": "26.42,111.61"}, mock=True, datum="gcj02", altitude_m=88.0, heading_deg=12.0)
    row = admit(fix, OFF)
    assert row.flags == Flag.OFF_DUTY_STRIPPED | Flag.MOCK
    assert (row.lat, row.lon, row.battery) == (None, None, 0.8)
    assert len(row.data) < len(admit(changed(battery=None, seq=None, accuracy_m=None, speed_mps=None)).data)
    assert b"26.42" not in row.data
    assert admit(GOOD, UNPLANNED).lat == 26.42
    assert admit(GOOD, OFF, by=judge(off_duty="keep")).flags == Flag.OFF_DUTY
    assert admit(changed(alarm="low_power"), OFF).flags == Flag.OFF_DUTY
    at_ms = NOW_MS - 5000
    for sos_ms, kept in (
        (at_ms, True),
        (at_ms - 30 * 60_000, True),
        (at_ms - 30 * 60_000 - 1, False),
        (at_ms + 1, False),
    ):
        assert (admit(GOOD, OFF, {7: [sos_ms]}).lat is not None) is kept
    assert admit(GOOD, OFF, {8: [at_ms]}).lat is None


def test_lanes() -> None:
    assert admit(changed(fixed_at=NOW_MS - 120_000)).lane == Lane.LIVE
    assert admit(changed(fixed_at=NOW_MS - 120_001)).lane == Lane.BACKFILL
    assert admit(changed(fixed_at=NOW_MS - 90 * DAY_MS, alarm="removed")).lane == Lane.URGENT


def test_extra_is_bounded_and_masked() -> None:
    card = "4111 1111 1111 1111"
    row = admit(changed(extra={"note": f"paid with {card}", "n": 1}))
    assert row.flags == Flag.CARD_MASKED
    assert card.encode() not in row.data
    assert (
        fix_key(row.data)[2]
        == fix_key(admit(changed(extra={"note": f"paid with {'*' * 4} {'*' * 4} {'*' * 4} {'*' * 4}", "n": 1})).data)[2]
    )
    cut = admit(changed(extra={"a": 1, "b": "x" * 3000, "c": "好" * 100}))
    assert cut.flags == Flag.EXTRA_CUT
    assert json.loads(cut.data[cut.data.index(b'{"a"') :]) == {"a": 1, "c": "好" * 100}
    whole = admit(changed(extra={"b": "x" * 2000}))
    assert whole.flags == 0


numbers = st.none() | st.floats(width=64) | st.integers(-(10**25), 10**25)
times = (
    st.integers(-(10**20), 10**20)
    | st.integers(NOW_MS - 10**11, NOW_MS + 10**7)
    | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=8)), None]))
)
extras = st.none() | st.dictionaries(st.text(max_size=5), st.text() | st.floats() | st.integers(), max_size=4)


@given(times, numbers, numbers, numbers, numbers, st.sampled_from([None, "sos"]), extras, st.sampled_from([ON, OFF]))
def test_any_fix_is_a_row_or_inadmissible(fixed_at, lat, lon, some, more, alarm, extra, duty) -> None:
    fix = Fix(
        fixed_at=fixed_at, lat=lat, lon=lon, accuracy_m=some, altitude_m=more, battery=some, alarm=alarm, extra=extra,
        seq=None if more is None or more != more or abs(more) == float("inf") else int(more),
    )  # fmt: skip
    try:
        row = admit(fix, duty)
    except Inadmissible:
        pass
    else:
        assert fix_key(row.data)[:2] == (7, row.at_ms)
