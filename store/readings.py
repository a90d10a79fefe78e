"""Rows of `pos_records`, packed for binary COPY, and the check for one key with two contents."""

import struct
from typing import Final

from core.lane import POS
from store.copying import NULL, Connection, FactTable, Key, from_pg_us, packed_text

_FIRST: Final = struct.Struct(">hiiiqiqi8siqiiih")
"""Width of the row, then device, at, received_at, digest, seq, flags, kind, each after its length."""
_KEY: Final = struct.Struct(">2x4xi4xq12x4xq4xq")
_BOOT_AT: Final = _FIRST.size
_NUMBERS: Final = {code: struct.Struct(f">i{code}") for code in ("q", "h", "i", "f", "d")}
_OPTIONAL: Final = (
    ("sent_at", "q"),
    ("amount_fen", "q"),
    ("service", "h"),
    ("result", "h"),
    ("decline_code", ""),
    ("card_ref", ""),
    ("latency_ms", "i"),
    ("paper", "h"),
    ("battery", "f"),
    ("signal_dbm", "f"),
    ("firmware", ""),
    ("cell_id", ""),
    ("component", ""),
    ("code", ""),
    ("sensor", ""),
    ("lat", "d"),
    ("lon", "d"),
)
"""Columns that may be NULL, with their struct code; "" is text."""
OPTIONAL_NAMES: Final = tuple(name for name, _ in _OPTIONAL)


def reading_key(row: bytes) -> Key:
    """(device, at in epoch ms, boot, seq, digest) of a packed row."""
    device, at_us, digest, seq = _KEY.unpack_from(row)
    (length,) = struct.unpack_from(">i", row, _BOOT_AT)
    boot = row[_BOOT_AT + 4 : _BOOT_AT + 4 + length].decode()
    return device, from_pg_us(at_us), boot, seq, digest


_RETURNING: Final = "device, (date_part('epoch', at) * 1000)::bigint, boot, seq, digest"

READINGS: Final = FactTable(
    family=POS,
    table="pos_records",
    time_column="at",
    columns=(*("device", "at", "received_at", "digest", "seq", "flags", "kind", "boot"), *OPTIONAL_NAMES, "extra"),
    has_lane=True,
    key=("device", "at", "boot", "seq"),
    returning=_RETURNING,
    key_of=reading_key,
)
_WIDTH: Final = READINGS.width


def pack_reading(
    device: int,
    at_us: int,
    received_us: int,
    digest: bytes,
    seq: int,
    flags: int,
    kind: int,
    boot: str,
    optional: tuple[int | float | str | None, ...],
    extra: bytes,
) -> bytes:
    """One row. Times in PostgreSQL microseconds, digest 8 bytes, optional in the order of OPTIONAL_NAMES, extra packed.

    Values must be in the range of their columns: struct.error, OverflowError or UnicodeEncodeError otherwise.
    """
    parts = [
        _FIRST.pack(_WIDTH, 4, device, 8, at_us, 8, received_us, 8, digest, 8, seq, 4, flags, 2, kind),
        packed_text(boot),
    ]
    for (_, code), value in zip(_OPTIONAL, optional, strict=True):
        if value is None:
            parts.append(NULL)
        elif isinstance(value, str):
            parts.append(packed_text(value))
        else:
            number = _NUMBERS[code]
            parts.append(number.pack(number.size - 4, value))
    parts.append(extra)
    return b"".join(parts)


def clashing(connection: Connection) -> list[tuple[Key, str]]:
    """Rows of this transaction's staging table whose key is stored with another digest, as (key, row as JSON).

    Two rows of one batch with one key and two contents count too: the first went in. Uses the primary key's index.
    """
    staging = READINGS.staging
    rows = connection.execute(
        "SELECT s.device, (date_part('epoch', s.at) * 1000)::bigint, s.boot, s.seq, s.digest, to_json(s)::text "  # noqa: S608
        f"FROM {staging} s JOIN pos_records p ON p.device = s.device AND p.at = s.at AND p.boot = s.boot "
        "AND p.seq = s.seq WHERE p.digest <> s.digest",
        prepare=True,
    ).fetchall()
    return [(row[:5], row[5]) for row in rows]
