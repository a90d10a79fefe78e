"""Counters of the listener: plain integers, read by the metrics of the room."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class ListenerStats:
    """connections aside, everything only grows from the start of the process.

    connections: open now. accepted: CONNACK 0. refused: by CONNACK code. messages: PUBLISH taken. bytes_in: read.
    stored: messages committed. acks: PUBACK and PUBREC sent. sent, delivered: down-link. dropped_notices: reject
    notices that found a full outbox. paused: times that reading of a connection stopped. closed: by reason.
    """

    connections: int = 0
    accepted: int = 0
    messages: int = 0
    bytes_in: int = 0
    stored: int = 0
    acks: int = 0
    sent: int = 0
    delivered: int = 0
    dropped_notices: int = 0
    takeovers: int = 0
    keepalive_timeouts: int = 0
    malformed: int = 0
    forbidden: int = 0
    wills: int = 0
    paused: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    closed: dict[str, int] = field(default_factory=dict)
