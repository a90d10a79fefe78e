"""Payload bytes → records and reasons: tables, hypothesis, and mutated payloads that never raise anything else."""

import json
import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DecodeError
from ingest.wire import FIXES, READINGS
from tests.ingest.judging import NOW_MS

FIX = {"fixed_at": NOW_MS, "lat": 26.42, "lon": 111.61, "accuracy_m": 5.5, "battery": 0.8, "seq": 3, "alarm": "sos"}
READING = {
    "kind": "transaction", "at": NOW_MS, "boot": "b1", "seq": 4, "amount_fen": 1234, "service": "water",
    "result": "approved", "card_ref": "tok_9", "latency_ms": 210,
}  # fmt: skip


def fix(**changes: object) -> bytes:
    return json.dumps(FIX | changes).encode()


def with_raw(field: bytes) -> bytes:
    return b'{"fixed_at":1795527045000,"lat":26.42,"lon":111.61,' + field + b"}"


def test_one_fix_and_an_array() -> None:
    one = FIXES.decode(fix())
    assert [r.lat for r in one.records] == [26.42]
    assert list(one.indexes) == [0]
    many = FIXES.decode(b"[" + b",".join([fix(seq=n) for n in range(500)]) + b"]")
    assert [r.seq for r in many.records] == list(range(500))
    assert not many.refused
    assert FIXES.decode(b"[]").records == []


def test_unknown_fields_go_to_extra() -> None:
    (record,) = FIXES.decode(fix(steps=812, extra={"note": "x"}, wifi={"n": [1, 2]})).records
    assert record.extra == {"steps": 812, "note": "x", "wifi": {"n": [1, 2]}}
    (reading,) = READINGS.decode(json.dumps(READING | {"printer": "T2"}).encode()).records
    assert reading.extra == {"printer": "T2"}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"lat":1,"lon":2}', "fixed_at is missing"),
        (fix(lat="26.4"), "lat: expected a number, got text"),
        (fix(fixed_at=1.5), "fixed_at: expected a whole number or an RFC 3339 time with offset, got a number"),
        (fix(fixed_at="yesterday"), "fixed_at: expected epoch milliseconds or an RFC 3339 time with offset"),
        (fix(source="wifi"), "source: expected one of gnss, network, fused"),
        (fix(extra=3), "extra: expected an object, got a whole number"),
        (fix(extra=[1], steps=2), "extra: expected an object"),
        (with_raw(b'"speed_mps":NaN'), "speed_mps: NaN is no JSON number"),
        (with_raw(b'"speed_mps":-Infinity'), "speed_mps: -Infinity is no JSON number"),
        (with_raw(b'"speed_mps":1e999'), "speed_mps: a number is too large"),
        (with_raw(b'"seq":' + b"9" * 5000), "seq: a whole number is too large"),
        (with_raw(b'"lat":27'), "lat occurs twice"),
        (with_raw(b'"x":{"y":1,"y":2}'), "x: y occurs twice"),
        (with_raw(b'"x":"\\u0000"'), "x: a text holds the character NUL"),
        (with_raw(b'"extra":{"x":"\\u0000"}'), "extra: a text holds the character NUL"),
        (with_raw(b'"x":"\\ud800"'), "x: a text is not valid UTF-8"),
        (with_raw(b'"x":"\xff"'), "x: a text is not valid UTF-8"),
        (with_raw(b'"x":"\xed\xa0\x80"'), "x: a text is not valid UTF-8"),
        (with_raw(b'"x":' + b"[" * 40 + b"]" * 40), "x: nested more than 16 levels deep"),
        (with_raw(b'"extra":{"a":99999999999999999999999}'), "extra: a whole number is too large"),
        (b"[1]", "expected an object"),
    ],
)
def test_a_bad_element_is_refused_in_words_and_takes_no_other_with_it(payload: bytes, reason: str) -> None:
    alone = FIXES.decode(payload)
    assert alone.records == []
    assert [(item.index, item.reason) for item in alone.refused] == [(0, reason)]
    element = payload[1:-1] if payload.startswith(b"[") else payload
    among = FIXES.decode(b"[" + fix(seq=1) + b"," + element + b"," + fix(seq=2) + b"]")
    assert [(record.seq, index) for record, index in zip(among.records, among.indexes, strict=True)] == [(1, 0), (2, 2)]
    assert [item.index for item in among.refused] == [1]


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "not JSON"),
        (b"null", "an object or an array"),
        (b'"text"', "an object or an array"),
        (b"{", "not JSON"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"[" * 100_000, "too deeply"),
        (b'{"a":' * 100_000, "too deeply"),
        (b"[" + b",".join([b"{}"] * 501) + b"]", "at most 500"),
        (b"\x00\x01\x02", "not JSON"),
        (b'{"fixed_at":1}{"fixed_at":2}', "not JSON"),
    ],
)
def test_what_holds_no_elements_is_malformed(payload: bytes, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        FIXES.decode(payload)


def test_a_reason_never_repeats_a_card_number() -> None:
    card = "4111111111111111"
    for name in (*FIX, "datum", "source", "mock", "altitude_m"):
        for item in FIXES.decode(fix(**{name: card})).refused:
            assert card not in item.reason
    for name in READING:
        for item in READINGS.decode(json.dumps(READING | {name: [card]}).encode()).refused:
            assert card not in item.reason


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_are_malformed(payload: bytes) -> None:
    for shape in (FIXES, READINGS):
        with suppress(DecodeError):
            shape.decode(payload)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*FIX, "x", "é"]), inner, max_size=6)
        ),
        max_leaves=20,
    )
)
def test_any_json_decodes_or_is_malformed(value: object) -> None:
    try:
        decoded = FIXES.decode(json.dumps(value).encode())
    except DecodeError:
        assert not isinstance(value, dict | list)
        return
    count = len(value) if isinstance(value, list) else 1
    places = [*decoded.indexes, *(item.index for item in decoded.refused)]
    assert sorted(places) == list(range(count))


def mutated(payload: bytes, chance: random.Random) -> bytes:
    """One to six small damages: bytes changed, cut, doubled, moved, or a nasty token put in."""
    data = bytearray(payload)
    tokens = (b"NaN", b"1e400", b"\\u0000", b"\\ud83d", b"\xff", b"[[[[", b"{}", b'"lat":1,', b"-", b"9" * 30, b"\0")
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0 if data:
                data[at % len(data)] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randint(1, 12)]
            case 2:
                data[at:at] = data[at : at + chance.randint(1, 30)]
            case 3:
                data[at:at] = chance.choice(tokens)
            case _:
                data[at:at] = bytes([chance.randrange(256)])
    return bytes(data)


@pytest.mark.parametrize("count", [10_000, pytest.param(300_000, marks=pytest.mark.soak)])
def test_mutated_payloads_never_raise_anything_else(count: int) -> None:
    chance = random.Random(20261124)
    seeds = [fix(), b"[" + fix() + b"," + fix(seq=9, steps=1) + b"]", json.dumps([READING, READING]).encode()]
    for turn in range(count):
        payload = mutated(seeds[turn % len(seeds)], chance)
        for shape in (FIXES, READINGS):
            with suppress(DecodeError):
                shape.decode(payload)
