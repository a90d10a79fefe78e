"""Payloads for the bad-input tests, as hypothesis strategies: good ones, good ones spoiled, and rubbish. All are bytes.

Spoiling happens in the text, because what matters most (NaN, doubled names, broken UTF-8) no JSON library writes.
"""

import time
from typing import NamedTuple

from hypothesis import strategies as st

Fields = dict[str, str]

_BEGAN_MS = round(time.time() * 1000) - 3_000_000
# Good and spoiled elements never share a key: a POS key with other content would be refused, and rightly so.
good_numbers = st.integers(0, 1_400_000).map(lambda n: 2 * n)
spoiled_numbers = st.integers(0, 1_400_000).map(lambda n: 2 * n + 1)


class Payload(NamedTuple):
    """body; elements: how many it holds, None where that cannot be said; good: index → key of those without fault."""

    body: bytes
    elements: int | None
    good: dict[int, int]


def good_fix(number: int) -> Fields:
    """Each is an unmistakable fact: its time is BEGAN + number ms."""
    return {
        "fixed_at": str(_BEGAN_MS + number),
        "lat": "26.42",
        "lon": "111.61",
        "accuracy_m": "5.5",
        "speed_mps": "1.2",
        "heading_deg": "90",
        "battery": "0.5",
        "satellites": "9",
        "source": '"gnss"',
        "seq": str(number),
    }


def good_pos(number: int) -> Fields:
    return {
        "kind": '"transaction"',
        "at": str(_BEGAN_MS + number),
        "boot": '"b"',
        "seq": str(number),
        "amount_fen": "1250",
        "service": '"water"',
        "result": '"approved"',
        "card_ref": '"tok-1"',
        "latency_ms": "120",
    }


def good_answer(number: int) -> Fields:
    return {"event": '"01ARZ3NDEKTSV4RRFFQ69G5FAV"', "client_id": f'"c{number}"', "step": '"answered"', "text": '"好"'}


def good_report(number: int) -> Fields:
    return {"client_id": f'"c{number}"', "kind": '"lamp"', "text": '"路灯不亮"', "lat": "26.4", "lon": "111.6"}


GOOD = {"fix": good_fix, "pos": good_pos, "answer": good_answer, "report": good_report}


def _nested(depth: int, opening: str, closing: str) -> str:
    return opening * depth + "1" + closing * depth


ODD_TEXTS = [
    "NaN", "Infinity", "-Infinity", "1e400", "-1e308", "9" * 400, "-" + "9" * 25, "18446744073709551616", "1e-320",
    "-0", "-0.0", "01", "1.", ".5", "+1", "0x10", "true", "null", "[]", "{}", '""', '"x"', "[1]", '{"a":1}', "-1", "2",
    '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\x"', '"' + "长" * 2000 + '"', '"' + "x" * 70_000 + '"',
    '"2026-11-24T08:00:00"', '"2026-11-24T25:00:00Z"', '"9999-12-31T23:59:59Z"', '"0001-01-01T00:00:00+23:59"',
    '"2026-02-30"', '"2026-11-24T08:00:60+08:00"', "253402300800000", "-62135596800001", "9007199254740993",
    "1795500000.5", '"4111 1111 1111 1111"', "4111111111111111", '"\u202e"', '"\ufeff"', '"\U0001f600"', "-", "--1",
    "-a", "\x00", "",
    _nested(40, "[", "]"), _nested(2000, "[", "]"), _nested(100_000, "[", "]"), _nested(2000, '{"a":', "}"),
]  # fmt: skip

odd_text = st.one_of(
    st.sampled_from(ODD_TEXTS),
    st.integers().map(str),
    st.floats().map(repr),
    st.text(max_size=80).map(lambda text: '"' + text.replace("\\", "").replace('"', "") + '"'),
    st.text(max_size=20),
)
odd_name = st.one_of(
    st.text(max_size=30), st.sampled_from(["extra", "alarm", "datum", "mock", "device_id", "\\u0000", "", "__class__"])
)


def _object(pairs: list[tuple[str, str]]) -> bytes:
    inside = ",".join(f'"{name}":{text}' for name, text in pairs)
    return ("{" + inside + "}").encode("utf-8", "surrogatepass")


def good(kind: str, number: int) -> bytes:
    """One element without fault."""
    return _object(list(GOOD[kind](number).items()))


@st.composite
def spoiled(draw: st.DrawFn, kind: str) -> bytes:
    """One element with something odd in it (now and then it is still a good one)."""
    pairs = list(GOOD[kind](draw(spoiled_numbers)).items())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(pairs) - 1))
        match draw(st.sampled_from(["value", "value", "value", "double", "new", "drop", "name"])):
            case "value":
                pairs[at] = (pairs[at][0], draw(odd_text))
            case "double":
                pairs.append((pairs[at][0], draw(odd_text)))
            case "new":
                pairs.append((draw(odd_name), draw(odd_text)))
            case "drop" if len(pairs) > 1:
                del pairs[at]
            case _:
                pairs[at] = (draw(odd_name), pairs[at][1])
    return _object(pairs)


def mutated(body: bytes) -> st.SearchStrategy[bytes]:
    """Bytes changed, put in, cut out."""

    @st.composite
    def mutate(draw: st.DrawFn) -> bytes:
        data = bytearray(body)
        for _ in range(draw(st.integers(1, 6))):
            at = draw(st.integers(0, max(0, len(data) - 1)))
            match draw(st.sampled_from(["change", "insert", "cut", "end"])):
                case "change" if data:
                    data[at] = draw(st.integers(0, 255))
                case "insert":
                    data[at:at] = draw(st.binary(min_size=1, max_size=4))
                case "cut":
                    del data[at : at + draw(st.integers(1, 8))]
                case _:
                    del data[at:]
        return bytes(data)

    return mutate()


LARGE_RUBBISH = [b"[" * 500_000, b"{" * 200_000, b'[{"a":' * 50_000, b"[" + b"{}," * 501 + b"{}]", b" " * 1000]
# Values that keep an array an array: everything in them is closed and quoted as JSON wants it.
SOUND_BAD = [
    b"1", b"null", b'"x"', b"[]", b"{}", b"NaN", b"1e999", b'{"lat":NaN}', b'{"fixed_at":"yesterday","lat":1,"lon":1}',
    b'{"fixed_at":1795500000000,"lat":26.4,"lat":26.5,"lon":111}', b'{"kind":"coffee","at":1,"boot":"b","seq":1}',
    b'{"a":"\xff\xfe"}', b'{"a":"\xed\xa0\x80"}', b'{"a":' + b"[" * 60 + b"]" * 60 + b"}", b"9" * 300, b"true",
    b'{"fixed_at":9999999999999999999999,"lat":1e999,"lon":-Infinity}', b'{"seq":1,"at":1795500000000,"boot":5}',
]  # fmt: skip


@st.composite
def array_with_one_bad(draw: st.DrawFn, kind: str) -> Payload:
    """Good elements around one that is none: only that one may be refused."""
    count = draw(st.integers(1, 12))
    at = draw(st.integers(0, count))
    numbers = [draw(good_numbers) for _ in range(count)]
    parts = [good(kind, number) for number in numbers]
    parts.insert(at, draw(st.sampled_from(SOUND_BAD)))
    keys = {(i if i < at else i + 1): _BEGAN_MS + number for i, number in enumerate(numbers)}
    return Payload(b"[" + b",".join(parts) + b"]", count + 1, keys)


def payloads(kind: str) -> st.SearchStrategy[Payload]:
    """What the tests send to one endpoint or topic."""
    anything = st.one_of(
        spoiled(kind),
        spoiled(kind),
        st.lists(spoiled(kind), max_size=6).map(lambda parts: b"[" + b",".join(parts) + b"]"),
        spoiled_numbers.map(lambda number: good(kind, number)).flatmap(mutated),
        st.binary(max_size=200),
        st.sampled_from(ODD_TEXTS).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.sampled_from(
            [b"[" * 500_000, b"{" * 200_000, b'[{"a":' * 50_000, b"[" + b"{}," * 501 + b"{}]", b" " * 1000]
        ),
    ).map(lambda body: Payload(body, None, {}))
    if kind not in ("fix", "pos"):
        return anything
    return st.one_of(anything, anything, array_with_one_bad(kind))
