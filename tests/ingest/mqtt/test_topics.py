"""Who may use which topic, and 4.7's examples of matching."""

import pytest

from core.errors import DecodeError, NotAllowed
from ingest.mqtt import Device
from ingest.mqtt.topics import REFUSED, check_filter, device_of, grant, matches, publish_kind

HANDSET = Device("d1", 1, "handset")
OPERATOR = Device("op", -1, "operator")


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/b", "a/b", True), ("a/b", "a/b/c", False), ("a/+", "a/b", True), ("a/+", "a/b/c", False),
        ("a/+", "a/", True), ("a/+", "a", False), ("a/#", "a", True), ("a/#", "a/b/c", True), ("#", "a/b", True),
        ("+/+", "/finance", True), ("/+", "/finance", True), ("+", "/finance", False), ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False), ("$SYS/#", "$SYS/x", True), ("a/+/c", "a/b/c", True), ("A/b", "a/b", False),
        ("a//b", "a//b", True), ("a/b/#", "a/b", True), ("a/b/c", "a/b", False),
    ],
)  # fmt: skip
def test_matches(topic_filter: str, topic: str, expected: bool) -> None:
    assert matches(topic_filter, topic) is expected


@pytest.mark.parametrize("topic_filter", ["", "a/#/b", "a#", "#a", "a+/b", "+a", "a/b#", "##", "a/++"])
def test_malformed_filters(topic_filter: str) -> None:
    with pytest.raises(DecodeError):
        check_filter(topic_filter)


@pytest.mark.parametrize("topic_filter", ["#", "+", "a", "/", "+/+/#", "a//b", "wangge/v1/d1/#"])
def test_good_filters(topic_filter: str) -> None:
    check_filter(topic_filter)


@pytest.mark.parametrize(
    ("topic_filter", "asked", "code"),
    [
        ("wangge/v1/d1/task", 0, 0), ("wangge/v1/d1/task", 1, 1), ("wangge/v1/d1/task", 2, 1),
        ("wangge/v1/d1/#", 1, 1), ("wangge/v1/d1/+", 1, 1), ("wangge/v1/d10/task", 1, REFUSED),
        ("wangge/v1/d1", 1, REFUSED), ("wangge/v1/d1/", 1, REFUSED), ("wangge/v1/+/task", 1, REFUSED),
        ("wangge/#", 1, REFUSED), ("#", 1, REFUSED), ("+/v1/d1/task", 1, REFUSED), ("$SYS/#", 1, REFUSED),
        ("wangge/v1/events/#", 1, REFUSED), ("$share/g/wangge/v1/d1/task", 1, REFUSED),
    ],
)  # fmt: skip
def test_grants_of_a_device(topic_filter: str, asked: int, code: int) -> None:
    assert grant(HANDSET, topic_filter, asked) == code


@pytest.mark.parametrize(
    ("topic_filter", "code"),
    [
        ("wangge/v1/events/#", 1), ("wangge/v1/events/city/#", 1), ("wangge/v1/events/+/VID-03", 1),
        ("wangge/v1/#", REFUSED), ("#", REFUSED), ("wangge/v1/op/task", REFUSED), ("wangge/v1/+/city", REFUSED),
    ],
)  # fmt: skip
def test_grants_of_an_operator(topic_filter: str, code: int) -> None:
    assert grant(OPERATOR, topic_filter, 1) == code


def test_publish_kinds() -> None:
    for leaf in ("fix", "pos", "state", "answer", "report"):
        assert publish_kind(HANDSET, f"wangge/v1/d1/{leaf}") == leaf
    assert publish_kind(HANDSET, "owntracks/u/phone") == "owntracks"
    for topic in (
        "wangge/v1/d2/fix", "wangge/v1/d1/task", "wangge/v1/d1/stored", "wangge/v1/d1/owntracks", "wangge/v1/d1/fix/x",
        "wangge/v1/d1", "x", "owntracks/u", "owntracks//x", "owntracks/u/p/cmd", "wangge/v1/events/city/TRK-01", "/",
    ):  # fmt: skip
        with pytest.raises(NotAllowed):
            publish_kind(HANDSET, topic)
    for topic in ("wangge/v1/op/fix", "owntracks/u/p", "wangge/v1/events/city/x"):
        with pytest.raises(NotAllowed):
            publish_kind(OPERATOR, topic)


def test_device_of() -> None:
    assert device_of("wangge/v1/d7/pos") == ("d7", "pos")
    assert device_of("owntracks/u/p") == ("owntracks/u/p", "owntracks")
    assert device_of("wangge/v1/d7/task") is None
