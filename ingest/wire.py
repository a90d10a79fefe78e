"""Payload bytes of the native protocol → fixes or POS records, and a reason for every element that is none. Pure.

A payload is one JSON object or an array of up to 500. The fast path decodes straight into the structs and forbids
unknown fields; whatever it does not like goes element by element through `ingest.salvage`, so that one bad element
never takes the good ones with it. The only error raised is `DecodeError`, for a payload that holds no elements at all.
"""

from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from core.errors import DecodeError
from core.fix import Fix
from core.reading import Reading
from ingest.salvage import Refused, fault_of, read_elements, to_struct

MOST_ELEMENTS: Final = 500
NUL_ESCAPE: Final = b"\\u0000"
ONE: Final = (0,)

Record = TypeVar("Record", Fix, Reading)


class Decoded(msgspec.Struct, Generic[Record], frozen=True, gc=False):
    """What a payload held. indexes[i] is the place of records[i] in the payload; refused in order of index."""

    records: list[Record]
    indexes: Sequence[int]
    refused: Sequence[Refused] = ()


class Shape(Generic[Record]):
    """Decoder of one kind of record. doubled: names of fields that are counted, as the fast path keeps the last."""

    def __init__(self, record: type[Record], doubled: tuple[str, ...]) -> None:
        self.record: type[Record] = record
        self.fields = frozenset(record.__struct_fields__)
        self._one: msgspec.json.Decoder[Record] = msgspec.json.Decoder(record)
        self._many: msgspec.json.Decoder[list[Record]] = msgspec.json.Decoder(list[record])  # type: ignore[valid-type]
        self._doubled = tuple(f'"{name}"'.encode() for name in doubled)

    def decode(self, payload: bytes) -> Decoded[Record]:
        """All elements of a payload; raises DecodeError when it is not JSON, or not an object or array of objects."""
        first = payload[:1]
        try:
            if first == b"{":
                record = self._one.decode(payload)
                if (record.extra is None or fault_of(record.extra) is None) and not self._suspicious(payload, 1):
                    return Decoded([record], ONE)
            elif first == b"[":
                records: list[Record] = self._many.decode(payload)
                count = len(records)
                if (
                    0 < count <= MOST_ELEMENTS
                    and all(r.extra is None or fault_of(r.extra) is None for r in records)
                    and not self._suspicious(payload, count)
                ):
                    return Decoded(records, range(count))
        except (ValueError, RecursionError):
            pass  # msgspec's errors and UnicodeDecodeError are ValueErrors; the slow path finds the words
        return self._salvage(payload)

    def _suspicious(self, payload: bytes, count: int) -> bool:
        """A field may occur twice in one object, or a text may hold NUL: only the slow path can tell."""
        for name in self._doubled:  # a loop: any() with a generator takes 0.5 µs more
            if payload.count(name) > count:
                return True
        return NUL_ESCAPE in payload

    def _salvage(self, payload: bytes) -> Decoded[Record]:
        elements = read_elements(payload)
        if len(elements) > MOST_ELEMENTS:
            raise DecodeError(f"an array holds at most {MOST_ELEMENTS} records, this one has {len(elements)}")
        records: list[Record] = []
        indexes: list[int] = []
        refused: list[Refused] = []
        for index, element in enumerate(elements):
            found: Any = to_struct(element, self.record, self.fields)
            if isinstance(found, str):
                refused.append(Refused.of(index, found, element))
            else:
                records.append(found)
                indexes.append(index)
        return Decoded(records, indexes, refused)


FIXES: Final = Shape(Fix, ("fixed_at", "lat", "lon"))
READINGS: Final = Shape(Reading, ("kind", "at", "boot", "seq", "amount_fen"))
