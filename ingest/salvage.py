"""The slow path of `ingest.wire`: elements of a payload that is not plain, each judged by itself, in words. Pure.

Facts relied on: Python's json takes NaN, numbers of any length, doubled keys and lone surrogates, so each is caught by
a hook and becomes a fault of its element; bytes that are no UTF-8 become lone surrogates ("surrogateescape"). Reasons
never repeat a value that was sent: it might be a card number.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final, TypeVar, get_args, get_type_hints

import msgspec

from core.errors import DecodeError

DEEPEST: Final = 16
LONGEST_RAW: Final = 4096
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_PLACE: Final = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<where>.*)`)?", re.DOTALL)
_TYPE_WORDS: Final = {
    "float": "a number",
    "int": "a whole number",
    "str": "text",
    "bool": "true or false",
    "datetime": "an RFC 3339 time with offset",
    "object": "an object",
    "array": "an array",
    "null": "null",
}
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class Refused(msgspec.Struct, frozen=True, gc=False):
    """One element that is no record. reason: for a device's developer. raw: the element, at most LONGEST_RAW bytes."""

    index: int
    reason: str
    raw: bytes

    @classmethod
    def of(cls, index: int, reason: str, element: object) -> "Refused":
        """raw is written again from what was parsed; an element that nests too deeply leaves none."""
        try:
            raw = json.dumps(element, ensure_ascii=False, default=str).encode("utf-8", "surrogateescape")
        except (RecursionError, UnicodeEncodeError):
            raw = b""
        return cls(index, reason, raw[:LONGEST_RAW])


class _Unsound:
    """A value that JSON does not know or that no field can hold."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __str__(self) -> str:
        return f"({self.reason})"


class _Doubled(dict[str, Any]):
    """An object in which a name occurs twice."""

    name: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    doubled = _Doubled(made)
    seen: set[str] = set()
    doubled.name = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
    return doubled


def _constant(name: str) -> _Unsound:
    return _Unsound(f"{name} is no JSON number")


def _whole(digits: str) -> int | _Unsound:
    return int(digits) if len(digits) <= 20 else _Unsound("a whole number is too large")


def _fraction(digits: str) -> float | _Unsound:
    value = float(digits)
    return value if abs(value) < 1e308 else _Unsound("a number is too large")


def read_elements(payload: bytes) -> list[Any]:
    """The elements of a payload, unsound ones too. Raises DecodeError when it is no JSON object or array."""
    if payload.startswith(b"\xef\xbb\xbf"):
        raise DecodeError("the payload starts with a byte order mark; send JSON in UTF-8 without one")
    try:
        value = json.loads(
            payload.decode("utf-8", "surrogateescape"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_whole,
            parse_float=_fraction,
        )
    except json.JSONDecodeError as error:
        raise DecodeError(f"the payload is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise DecodeError("the payload nests too deeply") from None
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return [value]
    raise DecodeError("the payload must be an object or an array of objects")


def fault_of(value: object) -> str | None:
    """Why a parsed value cannot be kept (unsound number, doubled name, broken text, NUL, too deep), or None."""
    layer: list[object] = [value]
    for _ in range(DEEPEST):
        inner: list[object] = []
        for item in layer:
            if isinstance(item, dict):
                if isinstance(item, _Doubled):
                    return _text_fault(item.name) or f"{item.name} occurs twice"
                inner.extend(item.keys())
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
            elif isinstance(item, _Unsound):
                return item.reason
            elif isinstance(item, str):
                if fault := _text_fault(item):
                    return fault
            elif isinstance(item, int) and not -(1 << 63) <= item < 1 << 64:
                return "a whole number is too large"
        if not inner:
            return None
        layer = inner
    return f"nested more than {DEEPEST} levels deep"


def _text_fault(text: str) -> str | None:
    if text.isascii():
        return "a text holds the character NUL" if "\0" in text else None
    if _SURROGATE.search(text):
        return "a text is not valid UTF-8"
    return "a text holds the character NUL" if "\0" in text else None


def to_struct(element: object, record: type[_Struct], fields: frozenset[str]) -> _Struct | str:
    """The element as a record with its unknown fields moved to `extra`, or the reason why it is none."""
    if not isinstance(element, dict):
        return "expected an object"
    fault = fault_of(element)
    if fault is not None:
        return _of_field(fault, element)
    known = {name: value for name, value in element.items() if name in fields}
    if len(known) < len(element):
        extra = known.get("extra") or {}
        if not isinstance(extra, dict):
            return "extra: expected an object"
        known["extra"] = {**{n: v for n, v in element.items() if n not in fields}, **extra}
    try:
        return msgspec.convert(known, record)
    except (msgspec.ValidationError, OverflowError) as error:
        return explain(str(error), record)


def _of_field(fault: str, element: dict[str, Any]) -> str:
    """Names the field in which the fault is, when it is a field of the element itself."""
    if isinstance(element, _Doubled):
        return fault
    for name, value in element.items():
        if fault_of(value) is not None and _text_fault(name) is None:
            return f"{name[:64]}: {fault}" if name.isidentifier() else fault
    return fault


def explain(message: str, record: type[msgspec.Struct]) -> str:
    """msgspec's sentence in words for a device's developer: the field first, then what was expected."""
    match = _PLACE.fullmatch(message)
    assert match is not None
    what, where = match["what"], (match["where"] or "").strip("`.")
    name = where.split(".")[0].split("[")[0]
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", what):
        return f"{missing[1]} is missing"
    if what.startswith("Invalid enum value") and name:
        return f"{name}: expected one of {', '.join(_choices(record, name))}"
    if "datetime" in what and what.startswith("Invalid"):
        return f"{name}: expected epoch milliseconds or an RFC 3339 time with offset"
    if expected := re.fullmatch(r"Expected `(.*)`, got `(\w+)`", what):
        wanted = " or ".join(_words(expected[1].split(" | ")))
        return f"{name or 'the element'}: expected {wanted}, got {_TYPE_WORDS.get(expected[2], expected[2])}"
    return f"{name}: {what[:1].lower()}{what[1:]}" if name else what


def _words(types: Iterable[str]) -> list[str]:
    return [_TYPE_WORDS.get(name, name) for name in types if name != "null"]


def _choices(record: type[msgspec.Struct], name: str) -> list[str]:
    """The words that a field with a Literal type takes."""
    return [
        str(choice)
        for part in get_args(get_type_hints(record)[name])
        for choice in (get_args(part) or (part,))
        if isinstance(choice, str)
    ]
