"""Rows of `device_messages`: answers, reports and states of devices; a client_id of a device is one message.

`device_message_keys` holds what is known of a client_id, since the fact table's own key needs its time. States have no
client_id of their own and are all kept. A retained state is kept for MQTT in the same transaction. Blocking.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from core.lane import MESSAGE
from store.copying import Connection, FactTable

MESSAGES = FactTable(
    family=MESSAGE,
    table="device_messages",
    time_column="received_at",
    columns=("received_at", "digest", "device", "kind", "client_id", "body"),
)

Outcome = Literal["stored", "duplicate", "clash"]


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message to store. body: JSON without NUL. retain: (topic, payload) kept for MQTT; an empty one clears.

    A state with an empty body only clears what is retained; it leaves no row.
    """

    device: int
    kind: Literal["answer", "report", "state"]
    client_id: str
    digest: int
    received_ms: int
    body: str
    retain: tuple[str, bytes] | None = None


def store_messages(connection: Connection, messages: Sequence[Message], batch_id: int) -> list[Outcome]:
    """Stores what is new, inside the caller's transaction; one outcome a message, in their order."""
    outcomes: list[Outcome] = []
    for message in messages:
        outcome: Outcome = "duplicate" if not message.body else "stored"
        if message.kind != "state":
            outcome = _claim(connection, message)
        if outcome == "stored":
            _insert(connection, message, batch_id)
        if message.retain is not None:
            _retain(connection, *message.retain)
        outcomes.append(outcome)
    return outcomes


def _claim(connection: Connection, message: Message) -> Outcome:
    key = (message.device, message.kind, message.client_id)
    claimed = connection.execute(
        "INSERT INTO device_message_keys (device, kind, client_id, digest, received_at) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        (*key, message.digest, _instant(message.received_ms)),
        prepare=True,
    )
    if claimed.rowcount == 1:
        return "stored"
    row = connection.execute(
        "SELECT digest FROM device_message_keys WHERE device = %s AND kind = %s AND client_id = %s", key, prepare=True
    ).fetchone()
    return "duplicate" if row is not None and row[0] == message.digest else "clash"


def _insert(connection: Connection, message: Message, batch_id: int) -> None:
    connection.execute(
        "INSERT INTO device_messages (received_at, digest, batch_id, device, kind, client_id, body) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (
            _instant(message.received_ms),
            message.digest,
            batch_id,
            message.device,
            message.kind,
            message.client_id,
            message.body,
        ),
        prepare=True,
    )


def _retain(connection: Connection, topic: str, payload: bytes) -> None:
    if payload:
        connection.execute(
            "INSERT INTO mqtt_retained (topic, payload, qos) VALUES (%s, %s, 1) "
            "ON CONFLICT (topic) DO UPDATE SET payload = excluded.payload, qos = 1, stored_at = now()",
            (topic, payload),
            prepare=True,
        )
    else:
        connection.execute("DELETE FROM mqtt_retained WHERE topic = %s", (topic,), prepare=True)


def _instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
