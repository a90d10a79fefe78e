"""ingest.mqtt: handsets and terminals talk MQTT 3.1.1 to us; an acknowledgement means stored.

In: bytes of sockets (`listener`) or messages of a foreign broker (`consumer`). Out: `Inbound` messages to an
`Intake`, which calls `complete` after COMMIT. codec, topics, session, outbox, link, receipts are pure;
connection, gate, listener and consumer are the shells around them.
"""

from ingest.mqtt.contract import (
    Device,
    Downlink,
    Inbound,
    Intake,
    Observer,
    Refusal,
    SessionRecord,
    SessionStore,
    Will,
    complete,
)
from ingest.mqtt.listener import Listener
from ingest.mqtt.session import Reason
from ingest.mqtt.settings import MqttSettings
from ingest.mqtt.stats import ListenerStats

__all__ = [
    "Device",
    "Downlink",
    "Inbound",
    "Intake",
    "Listener",
    "ListenerStats",
    "MqttSettings",
    "Observer",
    "Reason",
    "Refusal",
    "SessionRecord",
    "SessionStore",
    "Will",
    "complete",
]
