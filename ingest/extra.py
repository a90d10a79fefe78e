"""`extra`: the fields that we do not know, kept as JSON text of at most 2 KiB, without card numbers. Pure."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from core.fix import Flag
from ingest.cards import mask_value
from ingest.judgement import Inadmissible
from store.copying import NULL, packed_bytes

LARGEST: Final = 2048
_encode = msgspec.json.Encoder(order="deterministic").encode


class Extra(NamedTuple):
    """column: packed for the row, cut; content: the whole, for the digest; flags: CARD_MASKED, EXTRA_CUT."""

    column: bytes
    content: bytes
    flags: int


NO_EXTRA: Final = Extra(NULL, b"", 0)


def pack_extra(extra: Mapping[str, object] | None) -> Extra:
    """Masks, writes and cuts. Over LARGEST the fields that come first by name and fit are kept, whole ones only."""
    if not extra:
        return NO_EXTRA
    flags = 0
    masked = mask_value(extra)
    if masked is not extra:
        flags = int(Flag.CARD_MASKED)
    try:
        content = _encode(masked).replace(b"\\u0000", b"\\ufffd")
    except (RecursionError, OverflowError, ValueError, TypeError):
        raise Inadmissible("extra", "extra: cannot be written as JSON") from None
    if len(content) <= LARGEST:
        return Extra(packed_bytes(content), content, flags)
    assert isinstance(masked, dict)
    kept: dict[str, object] = {}
    room = LARGEST - 2
    for name in sorted(masked):
        size = len(_encode({name: masked[name]}).replace(b"\\u0000", b"\\ufffd")) - 1
        if size <= room:
            kept[name] = masked[name]
            room -= size
    column = packed_bytes(_encode(kept).replace(b"\\u0000", b"\\ufffd"))
    return Extra(column, content, flags | int(Flag.EXTRA_CUT))
