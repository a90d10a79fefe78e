"""A track that was recorded and is sent again: positions equal to 7 decimals come back in the same order.

A real receiver never meets the same centimetre twice in order. Every third position or so is a mark, chosen by its own
bits so that the same position is a mark each time; the newest 48 marks (about 25 min at a fix per 10 s) are kept in
192 bytes. A run grows with each mark that is met again behind the one met before, and breaks with a new mark.
"""

import msgspec

_MARKS = 48
_ONE_IN = 3


class Trail(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """marks: 4 bytes each, oldest first. run: marks met again in order; at: index of the last of them."""

    marks: bytes = b""
    run: int = 0
    at: int = -1


NO_TRAIL = Trail()


def retrace(trail: Trail, lat: float, lon: float) -> Trail:
    """The trail after one more position, which must differ from the one before; the same object for no mark."""
    mixed = (round(lat * 1e7) * 0x9E3779B1 ^ round(lon * 1e7) * 0x85EBCA6B) & 0xFFFFFFFF
    if (mixed >> 9) % _ONE_IN:
        return trail
    mark = mixed.to_bytes(4, "little")
    at = trail.marks.find(mark)
    while at > 0 and at % 4:
        at = trail.marks.find(mark, at + 1)
    if at < 0:
        return Trail(trail.marks[-4 * (_MARKS - 1) :] + mark)
    return Trail(trail.marks, trail.run + 1 if at > trail.at else 1, at)
