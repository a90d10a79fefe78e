"""How the tail reads each family of facts: its columns, its row type, and the order of facts within a batch.

Times leave the database as epoch milliseconds (float8 arithmetic is exact to the microsecond until 2100 and five times
cheaper than numeric `extract`). The order of facts is (batch seq, device time, device, digest), the same on every read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from core.camera import StoredCameraFact
from core.fix import StoredFix
from core.lane import CAMERA, FIX, MESSAGE, POS, REFUSAL, SECURITY
from core.reading import StoredReading


class StoredRefusal(msgspec.Struct, frozen=True, gc=False):
    """One row of `quarantine` without its raw bytes. device None: unknown sender."""

    device: int | None
    received_at_ms: int
    id: int
    via: str
    kind: str
    reason: str


class StoredSecurityFact(msgspec.Struct, frozen=True, gc=False):
    """One row of `security_facts`."""

    device: int | None
    at_ms: int
    id: int
    kind: str
    claimed: str | None
    peer: str | None
    via: str
    detail: str | None


class StoredMessage(msgspec.Struct, frozen=True, gc=False):
    """One row of `device_messages`."""

    device: int
    received_at_ms: int
    kind: str
    client_id: str
    body: dict[str, object]


def _ms(column: str) -> str:
    return f"(date_part('epoch', {column}) * 1000)::bigint"


@dataclass(frozen=True, slots=True)
class FactFamily:
    """One family: its SQL, its partition column, and how a row becomes a value."""

    name: str
    query: str
    make: Callable[..., Any]


def _family(name: str, table: str, partition: str, columns: str, order: str, make: Callable[..., Any]) -> FactFamily:
    query = (
        f"SELECT {columns} FROM {table} "  # noqa: S608 - names of our own
        f"WHERE {partition} BETWEEN to_timestamp(%(least)s / 1e6) AND to_timestamp(%(greatest)s / 1e6) "
        f"AND batch_id = ANY(%(batches)s) ORDER BY array_position(%(batches)s, batch_id), {order}"
    )
    return FactFamily(name, query, make)


FACT_FAMILIES: dict[str, FactFamily] = {
    family.name: family
    for family in (
        _family(
            FIX,
            "fixes",
            "fixed_at",
            f"device, {_ms('fixed_at')}, {_ms('received_at')}, digest, lat, lon, flags, lane, accuracy_m, altitude_m, "
            "speed_mps, heading_deg, battery, satellites, source, alarm",
            "fixed_at, device, digest",
            StoredFix,
        ),
        _family(
            POS,
            "pos_records",
            "at",
            f"device, {_ms('at')}, {_ms('received_at')}, digest, boot, seq, kind, flags, lane, amount_fen, service, "
            "result, decline_code, card_ref, latency_ms, paper, battery, signal_dbm, component, code, sensor, lat, lon",
            "at, device, boot, seq",
            StoredReading,
        ),
        _family(
            REFUSAL,
            "quarantine",
            "received_at",
            f"device, {_ms('received_at')}, id, via, kind, reason",
            "received_at, id",
            StoredRefusal,
        ),
        _family(
            SECURITY,
            "security_facts",
            "at",
            f"device, {_ms('at')}, id, kind, claimed, peer, via, detail",
            "at, id",
            StoredSecurityFact,
        ),
        _family(
            MESSAGE,
            "device_messages",
            "received_at",
            f"device, {_ms('received_at')}, kind, client_id, body",
            "received_at, device, kind, client_id",
            StoredMessage,
        ),
        _family(
            CAMERA,
            "camera_facts",
            "at",
            f"device, {_ms('at')}, {_ms('received_at')}, digest, kind, light, score, root, figures, picture",
            "at, device, digest",
            StoredCameraFact,
        ),
    )
}
"""Every family of core.lane; queries use the index on batch_id of each day partition that the range touches."""
