"""What the MQTT listener and consumer give to the rest of the house, and what they need from it.

The listener knows neither the database nor the admission. It hands over `Inbound` messages (`Intake.offer`)
and acknowledges them once `complete` has been called with them, which the writer does after COMMIT.
All calls in both directions happen in the event loop's thread.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Literal, Protocol

import msgspec

DeviceKind = Literal["handset", "terminal", "operator", "unknown"]
TopicKind = Literal["fix", "pos", "state", "answer", "report", "owntracks"]


class Device(msgspec.Struct, frozen=True):
    """Who is behind a connection.

    device_id: the user name, part of its topics. key: the surrogate key, unique over handsets, terminals and
    operators together (operators may use negative numbers). window: messages in flight, over all its connections.
    kind `unknown` with key 0 comes only from the consumer: a topic names a device that is not registered; such a
    message goes to quarantine and is completed like any other.
    """

    device_id: str
    key: int
    kind: DeviceKind
    window: int = 100


class Refusal(msgspec.Struct, frozen=True):
    """Why a CONNECT is refused (3.2.2.3): 3 store away, 4 bad user name or token, 5 revoked or of the wrong kind."""

    code: Literal[3, 4, 5]
    reason: str


class Clock(Protocol):
    """Where time comes from; a fake one in tests."""

    def now_ms(self) -> int:
        """Epoch milliseconds, UTC."""

    def monotonic(self) -> float:
        """Seconds that never step."""


class Origin(Protocol):
    """Where a message came from: a connection, the consumer, or the desk of last wills."""

    def settle(self) -> None:
        """Some of the messages from here are finished: acknowledge what is due, in the order received."""


class Inbound(msgspec.Struct, eq=False, gc=False):
    """One published message on its way to the store; also the token of its acknowledgement.

    topic: as published. payload: raw bytes, at most 1 MiB. received_ms: epoch milliseconds, our clock.
    retain: the RETAIN flag; a retained `state` message is stored with its facts in the same commit (empty payload
    clears). origin, ack: the listener's own. rejects: set by the intake before `complete`, one reason for each
    record that went to quarantine. asks: the origin wants `fresh`, the number of records that were new to the store,
    set before `complete` too. finished: set by `complete`, never by hand.
    """

    device: Device
    kind: TopicKind
    topic: str
    payload: bytes
    received_ms: int
    retain: bool
    origin: Origin
    ack: bytes
    finished: bool = False
    rejects: Sequence[str] = ()
    asks: bool = False
    fresh: int = 0


def complete(messages: Iterable[Inbound]) -> None:
    """Says that these messages are committed (accepted or quarantined); acknowledgements leave before it returns.

    Call it once a batch, in the event loop's thread (`loop.call_soon_threadsafe(complete, batch)` from a writer
    thread), never from inside `Intake.offer`. Each message exactly once; the order is free (4.6.0-2 is kept here).
    """
    origins = set()
    for message in messages:
        message.finished = True
        origins.add(message.origin)
    for origin in origins:
        origin.settle()


class Intake(Protocol):
    """What takes messages to the store."""

    def authenticate(self, user: str, token: bytes, peer: str) -> Device | Refusal | Awaitable[Device | Refusal]:
        """Checks a user name and its token; answers at once where it can (one SHA-256 and a dictionary look-up).

        An awaitable answer that raises `StoreUnavailable` or takes over 5 s is CONNACK 3.
        """

    def resolve(self, device_id: str) -> Device | None:
        """The registered device of that id, without a check of credentials: a foreign broker has made it."""

    def offer(self, messages: list[Inbound]) -> int:
        """Takes messages over in order; returns how many, less than all when lanes are full.

        What is not taken stays with the caller, which stops reading and offers it again after `on_ready`. Must not
        raise for bad content (that is an outcome: quarantine and `rejects`) and must not call `complete` itself.
        """

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Registers what is called (in the loop's thread) when there is room again after a short `offer`."""


class Will(msgspec.Struct, frozen=True):
    """The last will of a connection (3.1.2.5)."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Downlink(msgspec.Struct, frozen=True):
    """A message to a device. qos 0 or 1. message_id: the caller's name for it, given back when it is delivered."""

    topic: str
    payload: bytes
    qos: int
    retain: bool = False
    message_id: str | None = None


class SessionRecord(msgspec.Struct, frozen=True):
    """A session with clean session 0 as it is kept (3.1.2.4).

    in_flight: (packet id, message) sent and not acknowledged, in order sent. queued: accepted, not sent yet.
    will: present while a connection is open, or was open when the service ended without a word.
    """

    device_key: int
    client_id: str
    subscriptions: dict[str, int]
    in_flight: tuple[tuple[int, Downlink], ...] = ()
    queued: tuple[Downlink, ...] = ()
    will: Will | None = None


class SessionStore(Protocol):
    """Keeps sessions and retained messages, keyed by device and client id.

    `save`, `discard` and `retain` return at once and are written behind, batched, in order, with retries; a later
    `load` or `retained` sees them at once. `load` and `retained` raise `StoreUnavailable`.
    """

    async def load(self, device_key: int, client_id: str) -> SessionRecord | None:
        """The record, unless it is unknown or expired."""

    def save(self, record: SessionRecord, expires_after_s: float) -> None:
        """Keeps it; the time to live counts from now."""

    def discard(self, device_key: int, client_id: str) -> None:
        """Forgets it; nothing happens when there is none."""

    async def retained(self, device_key: int) -> Sequence[tuple[str, bytes]]:
        """(topic, payload) of all retained messages of a device: its `state`, and what `retain` kept."""

    def retain(self, device_key: int, topic: str, payload: bytes) -> None:
        """Keeps the last message of a down-link topic; an empty payload clears it (3.3.1-10)."""


class Observer:
    """What others may want to know; every method is called in the loop's thread and must not block."""

    def connected(self, device: Device, client_id: str, peer: str) -> None:
        """CONNACK 0 was sent."""

    def disconnected(self, device: Device, client_id: str, reason: str) -> None:
        """A connection that was `connected` is over."""

    def subscribed(self, device: Device, topic_filter: str) -> None:
        """A filter was granted or restored: waiting down-link messages may be sent now."""

    def delivered(self, device: Device, message_id: str) -> None:
        """The device acknowledged it (QoS 1) or it was written (QoS 0). Once or more for each message id."""

    def forbidden_topic(self, device: Device, topic: str, peer: str) -> None:
        """It published, or left a will, where it may not; the connection closes (counts for SEC-01)."""
