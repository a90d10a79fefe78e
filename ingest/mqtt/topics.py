"""Who may publish and subscribe what, and which filter matches which topic. Pure.

A device publishes and subscribes only under its own id (`wangge/v1/{id}/…`); an operator subscribes grid events
(`wangge/v1/events/…`) and never publishes. Filters by OASIS MQTT 3.1.1 clause 4.7.
"""

from collections.abc import Sequence
from typing import Final, get_args

import msgspec

from core.errors import DecodeError, NotAllowed
from ingest.mqtt.contract import Device, TopicKind

PREFIX: Final = "wangge/v1/"
EVENTS_PREFIX: Final = "wangge/v1/events/"
REFUSED: Final = 0x80
_REASONS_SHOWN: Final = 20
_OWN_KINDS: Final[dict[str, TopicKind]] = {kind: kind for kind in get_args(TopicKind) if kind != "owntracks"}


def own_topic(device: Device, leaf: str) -> str:
    """A device's topic, `leaf` being `task`, `stored`, `reject`, `fix` …"""
    return f"{PREFIX}{device.device_id}/{leaf}"


def reject_payload(reasons: Sequence[str]) -> bytes:
    """What `…/reject` says: `{"count": n, "reasons": [...]}`, each reason once, at most 20 of them."""
    return msgspec.json.encode({"count": len(reasons), "reasons": list(dict.fromkeys(reasons))[:_REASONS_SHOWN]})


def device_of(topic: str) -> tuple[str, TopicKind] | None:
    """(device id, kind) that a topic of devices names; the whole topic as id for OwnTracks; None for any other."""
    levels = topic.split("/")
    if len(levels) == 4 and topic.startswith(PREFIX) and levels[3] in _OWN_KINDS:
        return levels[2], _OWN_KINDS[levels[3]]
    if len(levels) == 3 and levels[0] == "owntracks" and levels[1] and levels[2]:
        return topic, "owntracks"
    return None


def publish_kind(device: Device, topic: str) -> TopicKind:
    """What a topic means when this device publishes on it; NotAllowed when it may not (operators never may).

    Whether an OwnTracks topic belongs to this device is the map's question, made at enrolment; not decided here.
    """
    named = None if device.kind == "operator" else device_of(topic)
    if named is None or (named[1] != "owntracks" and named[0] != device.device_id):
        raise NotAllowed("This device may not publish on this topic; see the topics under its own id.", topic=topic)
    return named[1]


def check_filter(topic_filter: str) -> None:
    """Raises DecodeError for a filter that 4.7.1 forbids: empty, `#` not last, `+` or `#` beside other characters."""
    levels = topic_filter.split("/")
    if not topic_filter or "#" in "".join(levels[:-1]) or any(len(x) > 1 and ("+" in x or "#" in x) for x in levels):
        raise DecodeError("topic filter is empty or misuses a wildcard")


def grant(device: Device, topic_filter: str, asked_qos: int) -> int:
    """The SUBACK code for a valid filter: 0 or 1 (2 asked: 1), or REFUSED. Wildcards only inside the own prefix."""
    own = EVENTS_PREFIX if device.kind == "operator" else f"{PREFIX}{device.device_id}/"
    if not topic_filter.startswith(own) or topic_filter == own:
        return REFUSED
    return min(asked_qos, 1)


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic name matches a valid filter (4.7); `a/#` matches `a` too; wildcards do not match a first `$`."""
    if topic.startswith("$") and topic_filter[:1] in "+#":
        return False
    names = topic.split("/")
    wanted = topic_filter.split("/")
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(names) or level not in ("+", names[position]):
            return False
    return len(names) == len(wanted)
