"""Columns of integers as few bytes, with numpy: LEB128 varints, and palettes for columns with few different values.

A column is one byte that says how it is coded, a varint of its payload's length, and the payload:
0 varints (values ≥ 0); 1 a palette: varint of the number of entries, the entries (zigzag varints), then one byte a
value that picks an entry, or nothing where there is a single entry; 2 zigzag varints.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import DecodeError

Ints = NDArray[np.int64]

VARINTS, PALETTE, ZIGZAG = 0, 1, 2
MOST_VARINT_BYTES = 9
"""63 bits."""
_PALETTE_ENTRIES = 256
_PROBE = 128
"""So many values tell whether looking for a palette is worth its sorting."""
_EMPTY: Ints = np.zeros(0, np.int64)


def encode_varints(values: Ints) -> bytes:
    """LEB128: seven bits a byte, least first, the high bit on all but the last. values: 0 … 2**63 - 1."""
    if not len(values):
        return b""
    most = max(1, -(-int(values.max()).bit_length() // 7))
    places = np.arange(0, 7 * most, 7)
    digits = values[:, None] >> places
    used = digits > 0
    used[:, 0] = True
    digits &= 127
    digits[:, :-1] |= used[:, 1:] * np.int64(128)
    return digits[used].astype(np.uint8).tobytes()


def decode_varints(data: bytes) -> Ints:
    """The values of a whole buffer. Raises DecodeError when it ends inside a value or one is longer than 63 bits."""
    if not data:
        return _EMPTY
    raw = np.frombuffer(data, np.uint8)
    last = np.flatnonzero(raw < 128)
    if not len(last) or last[-1] != len(raw) - 1:
        raise DecodeError("A varint is cut off.")
    starts = np.empty_like(last)
    starts[0] = 0
    starts[1:] = last[:-1] + 1
    lengths = last - starts + 1
    most = int(lengths.max())
    if most > MOST_VARINT_BYTES:
        raise DecodeError("A varint is longer than 63 bits.")
    values = (raw[starts] & 127).astype(np.int64)
    for place in range(1, most):
        here = np.flatnonzero(lengths > place)
        values[here] |= (raw[starts[here] + place] & 127).astype(np.int64) << 7 * place
    return values


def zigzag(values: Ints) -> Ints:
    """Small numbers of either sign become small numbers ≥ 0."""
    return (values << 1) ^ (values >> 63)


def unzigzag(values: Ints) -> Ints:
    """The inverse of zigzag."""
    return (values >> 1) ^ -(values & 1)


def encode_column(values: Sequence[int] | Ints) -> bytes:
    """A column coded as small as these ways can. values: each of at most 62 bits, either sign; an array is fastest."""
    column = np.array(values, np.int64)
    if not len(column):
        return _framed(VARINTS, b"")
    least = int(column.min())
    if least == int(column.max()):
        return _framed(PALETTE, b"\x01" + encode_varints(zigzag(column[:1])))
    if 4 * len(set(column[:_PROBE].tolist())) <= _PROBE:
        entries, picks = np.unique(column, return_inverse=True)
        if len(entries) <= min(_PALETTE_ENTRIES, len(column) // 4):
            palette = varint(len(entries)) + encode_varints(zigzag(entries))
            return _framed(PALETTE, palette + picks.astype(np.uint8).tobytes())
    if least < 0:
        return _framed(ZIGZAG, encode_varints(zigzag(column)))
    return _framed(VARINTS, encode_varints(column))


def _framed(way: int, payload: bytes) -> bytes:
    return bytes((way,)) + varint(len(payload)) + payload


def decode_column(way: int, payload: bytes, count: int) -> Ints:
    """The `count` values of a column. Raises DecodeError when the payload does not hold exactly so many."""
    if way == PALETTE:
        return _decode_palette(payload, count)
    if way not in (VARINTS, ZIGZAG):
        raise DecodeError("A column of the sample index is coded in an unknown way.")
    values = decode_varints(payload)
    if len(values) != count:
        raise DecodeError("A column of the sample index has another length than its header says.")
    return unzigzag(values) if way == ZIGZAG else values


def _decode_palette(payload: bytes, count: int) -> Ints:
    entries_count, at = read_varint(payload, 0)
    entries = []
    for _ in range(min(entries_count, _PALETTE_ENTRIES)):
        value, at = read_varint(payload, at)
        entries.append(value >> 1 ^ -(value & 1))
    palette = np.array(entries, np.int64)
    if len(palette) == 1 and at == len(payload):
        return np.full(count, palette[0])
    picks = np.frombuffer(payload, np.uint8, offset=at) if at < len(payload) else np.zeros(0, np.uint8)
    if len(picks) != count or (count and int(picks.max()) >= len(palette)):
        raise DecodeError("A palette of the sample index does not fit its values.")
    return palette[picks]


def varint(value: int) -> bytes:
    """One value ≥ 0."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """One value and where the next begins. Raises DecodeError."""
    value = 0
    for place in range(MOST_VARINT_BYTES):
        if at + place >= len(data):
            break
        byte = data[at + place]
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    raise DecodeError("A varint is cut off or longer than 63 bits.")
