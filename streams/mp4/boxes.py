"""Boxes of the ISO base media file format: written from parts, and walked over when read (ISO/IEC 14496-12, 4.2)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import DecodeError

VIDEO_TRACK, AUDIO_TRACK = 1, 2
"""Track numbers in every file that we write."""
UNITY_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
LARGEST_32 = 0xFFFFFFFF


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box with a 32-bit size. kind: four characters."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """A box that begins with a version and 24 bits of flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def mdat_header(payload_bytes: int) -> bytes:
    """Header of an `mdat`: 8 bytes, or 16 where the box does not fit 32 bits."""
    if payload_bytes + 8 <= LARGEST_32:
        return struct.pack(">I4s", payload_bytes + 8, b"mdat")
    return struct.pack(">I4sQ", 1, b"mdat", payload_bytes + 16)


@dataclass(frozen=True, slots=True)
class Box:
    """A box found at [start, end); its body is [body, end), in bytes of what was walked over."""

    kind: bytes
    start: int
    body: int
    end: int


def header(data: bytes, start: int, end: int) -> Box:
    """The box that begins at `start` of `data`; it may reach past `end` (a torn file's last one does).

    Raises DecodeError when there is no box there: fewer than 8 bytes, or a size smaller than its own header.
    """
    if end - start < 8:
        raise DecodeError("The box header is cut off.")
    size, kind = struct.unpack_from(">I4s", data, start)
    body = start + 8
    if size == 1:
        if end - start < 16:
            raise DecodeError("The box header is cut off.")
        (size,) = struct.unpack_from(">Q", data, start + 8)
        body = start + 16
    if size < body - start:
        raise DecodeError("A box says that it is smaller than its own header.")
    return Box(kind, start, body, start + size)


def walk(data: bytes, start: int, end: int) -> Iterator[Box]:
    """The boxes in [start, end), one after another. Raises DecodeError when they do not fill it exactly."""
    while start < end:
        found = header(data, start, end)
        if found.end > end:
            raise DecodeError(f"Box {found.kind!r} is longer than what holds it.")
        yield found
        start = found.end


def children(data: bytes, parent: Box) -> dict[bytes, list[Box]]:
    """The boxes inside `parent` by kind, each kind in order. Raises DecodeError."""
    found: dict[bytes, list[Box]] = {}
    for child in walk(data, parent.body, parent.end):
        found.setdefault(child.kind, []).append(child)
    return found


def only(data: bytes, parent: Box, kind: bytes) -> Box:
    """The single box of that kind inside `parent`. Raises DecodeError when there is none or more than one."""
    found = children(data, parent).get(kind, [])
    if len(found) != 1:
        raise DecodeError(f"Box {parent.kind!r} has {len(found)} boxes {kind!r} instead of one.")
    return found[0]
