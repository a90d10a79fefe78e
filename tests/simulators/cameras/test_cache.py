"""The cache of loops: made once, whole or not there, forgotten when nobody uses it."""

import os
from pathlib import Path

import pytest

from simulators.cameras import cache
from simulators.cameras.loop import Encoded
from tests.simulators.cameras.conftest import MAIN, SUB, encoded


@pytest.fixture(scope="module")
def pair() -> cache.Pair:
    return encoded(MAIN, 1.0), encoded(SUB, 1.0)


def test_made_once(tmp_path: Path, pair: cache.Pair) -> None:
    made: list[int] = []

    def make() -> tuple[Encoded, Encoded]:
        made.append(1)
        return pair

    assert cache.pair("k", make, tmp_path) == cache.pair("k", make, tmp_path) == pair
    assert len(made) == 1
    (tmp_path / "k.loop").write_bytes((tmp_path / "k.loop").read_bytes()[:-50])
    assert cache.pair("k", make, tmp_path) == pair
    assert len(made) == 2


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> cache.Pair:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        cache.pair("k", fail, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_keys_follow_the_content() -> None:
    assert cache.key_of([1, {"a": 2, "b": 3}]) == cache.key_of([1, {"b": 3, "a": 2}])
    assert cache.key_of([1]) != cache.key_of([2])


def test_unused_loops_are_forgotten(tmp_path: Path, pair: cache.Pair) -> None:
    cache.pair("old", lambda: pair, tmp_path)
    os.utime(tmp_path / "old.loop", (0, 0))
    cache.pair("new", lambda: pair, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["new.loop"]
