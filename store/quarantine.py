"""Rows of `quarantine` and `security_facts`, packed for binary COPY: what was refused, and facts about trust.

Neither has a key of its own content: the same refusal twice is two rows. Texts are cut here, NUL and broken surrogates
replaced, so that nothing of what a stranger sent can make the row itself unacceptable.
"""

import struct
from typing import Final

from core.lane import REFUSAL, SECURITY
from store.copying import NULL, FactTable, packed_bytes, pg_us

LONGEST_RAW: Final = 4096
_LONGEST_REASON: Final = 500
_LONGEST_NAME: Final = 64
_INT: Final = struct.Struct(">ii").pack
_TIME: Final = struct.Struct(">hiq").pack
_CUT: Final = {False: b"\0\0\0\1\0", True: b"\0\0\0\1\1"}

QUARANTINE: Final = FactTable(
    family=REFUSAL,
    table="quarantine",
    time_column="received_at",
    columns=("received_at", "device", "via", "topic", "kind", "reason", "raw", "cut"),
)
SECURITY_FACTS: Final = FactTable(
    family=SECURITY,
    table="security_facts",
    time_column="at",
    columns=("at", "kind", "device", "claimed", "peer", "via", "detail"),
)


def _text(text: str | None, longest: int) -> bytes:
    if text is None:
        return NULL
    return packed_bytes(text[:longest].replace("\0", "�").encode("utf-8", "replace"))


def _number(number: int | None) -> bytes:
    return NULL if number is None else _INT(4, number)


def pack_refusal(
    received_ms: int, device: int | None, via: str, topic: str | None, kind: str, reason: str, raw: bytes, cut: bool
) -> bytes:
    """One refusal. kind: class of the reason (metrics count it); raw: masked already, cut here to LONGEST_RAW."""
    return b"".join(
        (
            _TIME(QUARANTINE.width, 8, pg_us(received_ms)),
            _number(device),
            _text(via, _LONGEST_NAME),
            _text(topic, 2 * _LONGEST_NAME),
            _text(kind, _LONGEST_NAME),
            _text(reason, _LONGEST_REASON),
            packed_bytes(raw[:LONGEST_RAW]),
            _CUT[cut or len(raw) > LONGEST_RAW],
        )
    )


def pack_security_fact(
    at_ms: int, kind: str, device: int | None, claimed: str | None, peer: str | None, via: str, detail: str | None
) -> bytes:
    """One fact about trust. claimed: the id that was claimed; peer: address; detail: a sentence, no secret."""
    return b"".join(
        (
            _TIME(SECURITY_FACTS.width, 8, pg_us(at_ms)),
            _text(kind, _LONGEST_NAME),
            _number(device),
            _text(claimed, _LONGEST_NAME),
            _text(peer, _LONGEST_NAME),
            _text(via, _LONGEST_NAME),
            _text(detail, _LONGEST_REASON),
        )
    )
