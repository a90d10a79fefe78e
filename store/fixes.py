"""Rows of `fixes`, packed for binary COPY, and what admission needs to read back.

Most columns may be NULL, so a row has one of many shapes. A shape is made once and found by the types of the values:
a `struct.Struct` in which the lengths and NULL markers between two values are one constant (measured: 1.2 µs a row).
"""

import struct
from typing import Any, Final

from core.fix import AlarmCode
from core.lane import FIX
from store.copying import NULL, Connection, FactTable, Key, from_pg_us

_FIRST: Final = "hiiiqiqi8siiih"
"""Width of the row, then device, fixed_at, received_at, digest, flags, datum, each after its length."""
_OPTIONAL: Final = (
    ("lat", "d", 8),
    ("lon", "d", 8),
    ("accuracy_m", "f", 4),
    ("altitude_m", "f", 4),
    ("speed_mps", "f", 4),
    ("heading_deg", "f", 4),
    ("battery", "f", 4),
    ("satellites", "h", 2),
    ("source", "h", 2),
    ("alarm", "h", 2),
    ("seq", "q", 8),
    ("sent_at", "q", 8),
    ("raw_lat", "d", 8),
    ("raw_lon", "d", 8),
)
_KEY: Final = struct.Struct(">2x4xi4xq12x4xq")

Optional = tuple[
    float | None,
    float | None,
    float | None,
    float | None,
    float | None,
    float | None,
    float | None,
    int | None,
    int | None,
    int | None,
    int | None,
    int | None,
    float | None,
    float | None,
]
"""Values of the columns that may be NULL, in the order of _OPTIONAL; sent_at in PostgreSQL microseconds."""


def fix_key(row: bytes) -> Key:
    """(device, fixed_at in epoch ms, digest) of a packed row."""
    device, fixed_us, digest = _KEY.unpack_from(row)
    return device, from_pg_us(fixed_us), digest


FIXES: Final = FactTable(
    family=FIX,
    table="fixes",
    time_column="fixed_at",
    columns=(
        *("device", "fixed_at", "received_at", "digest", "flags", "datum"),
        *(name for name, _, _ in _OPTIONAL),
        "extra",
    ),
    has_lane=True,
    key=("device", "fixed_at", "digest"),
    returning="device, (date_part('epoch', fixed_at) * 1000)::bigint, digest",
    key_of=fix_key,
)
_WIDTH: Final = FIXES.width


class _Shapes(dict[tuple[type, ...], tuple[Any, list[Any]]]):
    """Types of the optional values → (pack, its last arguments with a gap before each value)."""

    def __missing__(self, types: tuple[type, ...]) -> tuple[Any, list[Any]]:
        code, constant, gaps = ">" + _FIRST, b"", []
        for (_, letter, size), kind in zip(_OPTIONAL, types, strict=True):
            if kind is type(None):
                constant += NULL
            else:
                constant += struct.pack(">i", size)
                gaps += [constant, None]
                code += f"{len(constant)}s{letter}"
                constant = b""
        shape = self[types] = struct.Struct(f"{code}{len(constant)}s").pack, [*gaps, constant]
        return shape


_SHAPES: Final = _Shapes()


def pack_fix(
    device: int,
    fixed_us: int,
    received_us: int,
    digest: bytes,
    flags: int,
    datum: int,
    optional: Optional,
    extra: bytes,
) -> bytes:
    """One row. Times in PostgreSQL microseconds, digest 8 bytes, extra a packed text or NULL.

    Values must be in the range of their columns: `struct.error` or OverflowError otherwise.
    """
    pack, gaps = _SHAPES[tuple(map(type, optional))]
    rest = gaps[:]
    rest[1::2] = [value for value in optional if value is not None]
    row: bytes = pack(_WIDTH, 4, device, 8, fixed_us, 8, received_us, 8, digest, 4, flags, 2, datum, *rest)
    return row + extra


def read_sos(connection: Connection, since_ms: int) -> dict[int, list[int]]:
    """Times of SOS fixes since an instant, by device, oldest first (index fixes_alarm)."""
    rows = connection.execute(
        "SELECT device, (date_part('epoch', fixed_at) * 1000)::bigint FROM fixes "
        "WHERE alarm IS NOT NULL AND alarm = %s AND fixed_at >= to_timestamp(%s / 1000.0) ORDER BY fixed_at",
        (int(AlarmCode.SOS), since_ms),
    ).fetchall()
    found: dict[int, list[int]] = {}
    for device, at_ms in rows:
        found.setdefault(device, []).append(at_ms)
    return found
