"""ULIDs are deterministic and sort by time; tokens are random; digests need their key."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from core.ids import digest64, new_token, same_digest, token_sha256, ulid, ulid_ms

TIMES = st.integers(min_value=0, max_value=(1 << 48) - 1)


@given(TIMES, st.text())
def test_ulid_is_read_by_another_library_and_holds_its_time(at_ms: int, key: str) -> None:
    text = ulid(at_ms, key)
    assert text == ulid(at_ms, key)
    assert ulid_ms(text) == at_ms == ULID.from_str(text).milliseconds
    assert str(ULID.from_str(text)) == text


@given(TIMES, TIMES)
def test_ulids_sort_by_time(first: int, second: int) -> None:
    if first != second:
        assert (ulid(first, "a") < ulid(second, "b")) == (first < second)


def test_the_key_makes_the_difference() -> None:
    assert len({ulid(1, f"TRK-01|h{n}") for n in range(1000)}) == 1000


def test_golden_ulid() -> None:
    assert ulid(1_795_527_045_000, "k") == "01M86W0VW8G9AC6AD9518FDN9S"


@pytest.mark.parametrize("at_ms", [-1, 1 << 48])
def test_times_outside_the_range(at_ms: int) -> None:
    with pytest.raises(ValueError, match="holds times"):
        ulid(at_ms, "k")


@pytest.mark.parametrize("text", ["", "0" * 25, "8" + "0" * 25, "0" * 25 + "U", "0" * 25 + "é"])
def test_texts_that_are_no_ulid(text: str) -> None:
    with pytest.raises(ValueError, match="ULID"):
        ulid_ms(text)


def test_tokens_have_256_bits_and_are_never_the_same() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(base64.urlsafe_b64decode(token + "=")) == 32 for token in tokens)


def test_token_digest() -> None:
    assert token_sha256("abc").hex().startswith("ba7816bf8f01cfea")
    assert same_digest(token_sha256("abc"), token_sha256("abc"))
    assert not same_digest(token_sha256("abc"), token_sha256("abd"))
    assert len(token_sha256("\ud800")) == 32


@given(st.binary(min_size=1, max_size=64), st.binary())
def test_digest_fits_a_bigint_and_depends_on_key_and_content(key: bytes, content: bytes) -> None:
    digest = digest64(key, content)
    assert -(1 << 63) <= digest < 1 << 63
    assert digest == digest64(key, content)
    assert digest != digest64(key, content + b"x")
    assert digest != digest64(bytes([key[0] ^ 1]) + key[1:], content)


def test_golden_digest() -> None:
    assert digest64(b"key", b"content") == digest64(b"key", b"content") == GOLDEN


GOLDEN = -3865810442288743154
