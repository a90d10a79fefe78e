"""Card numbers are found in free text and only there: known ones, none among IMEIs and epoch times."""

import random

import pytest

from ingest.cards import is_card_number, mask_bytes, mask_text, mask_value
from tests.ingest.judging import NOW_MS

CARDS = (
    "4111111111111111",
    "4222222222222",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "30569309025904",
    "6011111111111117",
    "3530111333300000",
    "6212345678901232",
    "6205500000000000004",
)


@pytest.mark.parametrize("card", CARDS)
def test_known_numbers_are_found_however_they_are_written(card: str) -> None:
    assert is_card_number(card)
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in card)
    spaced = " ".join(card[i : i + 4] for i in range(0, len(card), 4))
    for written in (
        card,
        spaced,
        spaced.replace(" ", "-"),
        wide,
        f"card {card}!",
        f"17 {card}",
        f"{card} 1795527045123",
    ):
        masked = mask_text(written)
        assert masked != written
        assert mask_text(masked) is masked
        assert len(masked) == len(written)
    assert card.encode() not in mask_bytes(f'{{"x":"{card}"}}'.encode())


@pytest.mark.parametrize(
    "text",
    [
        "", "tok_4111", "4111111111111112", "1795527045123", "357000000000006", "860000000000004",
        "431102198001011234", "43110200000000000012", "13912345678", "tok-4111-1111", "99999999999999",
    ],
)  # fmt: skip
def test_others_are_left_alone(text: str) -> None:
    assert mask_text(text) is text
    assert mask_value({"a": [text, {"b": text}]}) == {"a": [text, {"b": text}]}


def test_numbers_and_keys_of_extra_are_looked_at() -> None:
    card = CARDS[0]
    value = {"a": int(card), card: [float(card), {"deep": f"x {card}"}], "n": 5, "t": True, "f": 1.5, "z": None}
    masked = mask_value(value)
    assert card not in repr(masked)
    assert mask_value(masked) is masked
    assert mask_value(-12345678901234) == -12345678901234
    assert mask_value(-int(card)) == "*" * 16
    assert masked["n"] == 5  # type: ignore[index]


def _luhn_digit(body: str) -> str:
    doubled = [sum(divmod(int(d) * 2, 10)) for d in reversed(body)][::2]
    plain = [int(d) for d in reversed(body)][1::2]
    return str(-(sum(doubled) + sum(plain)) % 10)


def test_imeis_and_epoch_times_are_not_taken_for_cards() -> None:
    chance = random.Random(7)
    tacs = ("35", "86", "01", "44", "45", "49", "50", "52", "53", "54", "91", "98", "99")
    for turn in range(100_000):
        imei = chance.choice(tacs) + f"{chance.randrange(10**12):012d}"
        imei += _luhn_digit(imei)
        at_ms = str(NOW_MS - chance.randrange(400 * 86_400_000))
        text = (imei, at_ms, f"imei={imei} at={at_ms}", f"{at_ms}000")[turn % 4]
        assert mask_text(text) is text, text
        if turn % 10 == 0:
            extra = {"imei": imei, "imei_number": int(imei), "boot_ms": int(at_ms), at_ms: [imei]}
            assert mask_value(extra) is extra
