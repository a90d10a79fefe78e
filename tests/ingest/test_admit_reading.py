"""Admission of POS records: what a kind needs, ranges, masking, lanes."""

import pytest

from core.fix import Flag
from core.lane import Lane
from core.reading import Reading
from devices.records import DeviceRecord
from ingest.admit_reading import admit_reading
from ingest.judgement import DAY_MS, Inadmissible, Row
from store.readings import reading_key
from tests.ingest.judging import NOW_MS, TERMINAL, judge

JUDGE = judge()
GOOD: dict[str, object] = {
    "kind": "transaction", "at": NOW_MS - 1000, "boot": "b-1", "seq": 7, "amount_fen": 1250, "service": "gas",
    "result": "declined", "decline_code": "51", "card_ref": "tok_1", "latency_ms": 300,
}  # fmt: skip


def admit(device: DeviceRecord = TERMINAL, **changes: object) -> Row:
    return admit_reading(JUDGE, device, Reading(**(GOOD | changes)), NOW_MS)  # type: ignore[arg-type]


def refusal(**changes: object) -> str:
    with pytest.raises(Inadmissible) as caught:
        admit(**changes)
    return str(caught.value)


def test_a_transaction() -> None:
    row = admit()
    assert (row.lane, row.flags) == (Lane.LIVE, 0)
    assert reading_key(row.data)[:4] == (8, NOW_MS - 1000, "b-1", 7)


def test_lanes_and_times() -> None:
    assert admit(kind="tamper", at=NOW_MS - 300 * DAY_MS, sensor="lid").lane == Lane.URGENT
    assert admit(at=NOW_MS - 130_000).lane == Lane.BACKFILL
    assert admit(at=NOW_MS - 399 * DAY_MS).lane == Lane.BACKFILL
    assert "records are taken for 400 days" in refusal(at=NOW_MS - 401 * DAY_MS)
    assert admit(at=NOW_MS - 7168 * DAY_MS).flags == Flag.TIME_REPAIRED


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount_fen": None}, "amount_fen is missing; a transaction needs it"),
        ({"result": None}, "result is missing"),
        ({"kind": "location"}, "lat is missing; a location needs it"),
        ({"amount_fen": -1}, "amount_fen: expected 0 to"),
        ({"seq": -1}, "seq: expected 0 to"),
        ({"seq": 1 << 63}, "seq: expected 0 to"),
        ({"latency_ms": 1 << 31}, "latency_ms"),
        ({"battery": 85}, "battery: expected 0 to 1"),
        ({"signal_dbm": float("nan")}, "signal_dbm"),
        ({"boot": ""}, "boot"),
        ({"boot": "b\0"}, "boot: holds characters that are no text"),
        ({"firmware": "\ud800"}, "firmware: holds characters that are no text"),
        ({"card_ref": "x" * 65}, "card_ref: expected at most 64 characters"),
        ({"lat": 1.0}, "lat and lon"),
        ({"lat": 111.0, "lon": 26.0}, "swapped"),
    ],
)
def test_refusals_name_the_field(changes: dict[str, object], words: str) -> None:
    assert words in refusal(**changes)


def test_cards_are_masked_in_free_text_only() -> None:
    card = "6212345678901232"
    for name in ("card_ref", "decline_code", "component", "code"):
        row = admit(**{name: card})
        assert row.flags == Flag.CARD_MASKED
        assert card.encode() not in row.data
    assert admit(boot=card).flags == 0
    assert admit(extra={"pan": int(card)}).flags == Flag.CARD_MASKED


def test_the_same_key_with_other_content_has_another_digest() -> None:
    one, two = reading_key(admit().data), reading_key(admit(amount_fen=1251).data)
    assert one[:4] == two[:4]
    assert one[4] != two[4]
    assert reading_key(admit().data) == one


def test_a_terminal_of_another_datum() -> None:
    row = admit(DeviceRecord(8, "x", "terminal", datum="gcj02"), kind="location", lat=26.4164118, lon=111.6152429)
    assert row.flags == Flag.DATUM_SHIFTED
    assert row.lat == pytest.approx(26.42, abs=1e-6)
