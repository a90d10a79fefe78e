"""Lanes: how urgent a fact is (design §3). Each has its own channel, writer connection, batches and cursor."""

from enum import IntEnum


class Lane(IntEnum):
    """Stored as `lane` in fact rows and batches. Urgent and live never wait for back-fill."""

    URGENT = 0
    """Alarms and tampering, at any age."""
    LIVE = 1
    BACKFILL = 2
    """Older than two minutes when it arrived."""


FIX = "fix"
POS = "pos"
REFUSAL = "refusal"
SECURITY = "security"
MESSAGE = "message"
CAMERA = "camera"

FAMILIES: dict[str, str] = {
    FIX: "fixes",
    POS: "pos_records",
    REFUSAL: "quarantine",
    SECURITY: "security_facts",
    MESSAGE: "device_messages",
    CAMERA: "camera_facts",
}
"""Fact family (as in `batches.family`) → its table."""
