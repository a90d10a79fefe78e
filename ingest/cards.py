"""Card numbers are found in free text and masked, so that none is ever stored. Pure.

A card number: 13 to 19 digits (spaces and hyphens between them do not count), an issuer's prefix with one of that
issuer's lengths (ISO/IEC 7812 ranges as the networks publish them), and a correct Luhn digit (ISO/IEC 7812-1 annex B).
Prefix with length keeps IMEIs (15 digits, TAC 35, 86, 01 …) and epoch times (13 digits, 1…) out, of which one in ten
passes Luhn. Digits of other scripts (full-width ones from a Chinese keyboard) count like ASCII digits.
"""

import re
from typing import Final, NamedTuple

MASK: Final = "*"
_RUN: Final = re.compile(r"\d(?:[ \-\u00a0\u3000]*\d){12,}")
_RUN_BYTES: Final = re.compile(rb"\d(?:[ \-]*\d){12,}")
_GROUP: Final = re.compile(r"\d+")
_LEAST, _MOST = 13, 19


class _Issuer(NamedTuple):
    """Prefixes from `low` to `high` (of the same number of digits) and the lengths of that issuer's numbers."""

    low: int
    high: int
    lengths: frozenset[int]


_ISSUERS: Final = tuple(
    _Issuer(low, high, frozenset(lengths))
    for low, high, lengths in (
        (62, 62, range(16, 20)),  # UnionPay
        (4, 4, (13, 16, 19)),  # Visa
        (51, 55, (16,)),  # Mastercard
        (2221, 2720, (16,)),
        (34, 34, (15,)),  # American Express
        (37, 37, (15,)),
        (3528, 3589, range(16, 20)),  # JCB
        (300, 305, (14,)),  # Diners Club
        (36, 36, (14,)),
        (38, 39, (14,)),
        (6011, 6011, (16, 19)),  # Discover
        (644, 649, (16, 19)),
        (65, 65, (16, 19)),
        (2200, 2204, range(16, 20)),  # Mir
    )
)
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def is_card_number(digits: str) -> bool:
    """Whether ASCII digits are a card number: issuer's prefix and length, and Luhn."""
    if not _LEAST <= len(digits) <= _MOST:
        return False
    count = len(digits)
    known = any(
        count in issuer.lengths and issuer.low <= int(digits[: len(str(issuer.low))]) <= issuer.high
        for issuer in _ISSUERS
    )
    return known and _luhn(digits)


def _luhn(digits: str) -> bool:
    values = [int(digit) for digit in reversed(digits)]
    return (sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])) % 10 == 0


def mask_text(text: str) -> str:
    """The text with the digits of every card number in it replaced; the very same object when there is none."""
    if len(text) < _LEAST or _RUN.search(text) is None:
        return text
    masked = _RUN.sub(lambda match: _mask_run(match[0]), text)
    return text if masked == text else masked


def _mask_run(run: str) -> str:
    """Tries every chain of whole groups of digits, since a card number may stand beside other numbers."""
    groups = [(m.start(), m.end()) for m in _GROUP.finditer(run)]
    digits = ["".join(str(int(c)) for c in run[start:end]) for start, end in groups]
    masked = list(run)
    for first in range(len(groups)):
        chain = ""
        for last in range(first, len(groups)):
            chain += digits[last]
            if len(chain) > _MOST:
                break
            if is_card_number(chain):
                for place in range(groups[first][0], groups[last][1]):
                    if run[place].isdigit():
                        masked[place] = MASK
    return "".join(masked)


def mask_bytes(raw: bytes) -> bytes:
    """The same for raw bytes of any kind (quarantine)."""
    return _RUN_BYTES.sub(lambda match: _mask_run(match[0].decode("ascii")).encode("ascii"), raw)


def mask_value(value: object) -> object:
    """The same for keys and values of parsed JSON, numbers too; the very same object when there is none."""
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        digits = str(abs(int(value))) if isinstance(value, int) or value.is_integer() else ""
        return mask_text(digits) if is_card_number(digits) else value
    if isinstance(value, dict):
        masked = {mask_text(key): mask_value(item) for key, item in value.items()}
        same = all(a is b and x is y for (a, x), (b, y) in zip(masked.items(), value.items(), strict=False))
        return value if same and len(masked) == len(value) else masked
    if isinstance(value, list):
        items = [mask_value(item) for item in value]
        return value if all(a is b for a, b in zip(items, value, strict=True)) else items
    return value
