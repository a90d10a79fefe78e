"""A reading: one record of a POS terminal, as sent and as stored. Money in fen, times UTC."""

from datetime import datetime
from enum import IntEnum
from typing import Literal

import msgspec

Kind = Literal["heartbeat", "transaction", "fault", "tamper", "location"]
Service = Literal["electricity", "water", "gas", "phone", "tv", "insurance", "pension", "cash", "other"]
Result = Literal["approved", "declined", "reversed", "timeout"]
Paper = Literal["ok", "low", "out"]


class Reading(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One POS record as a terminal sent it; which fields a kind uses is in interfaces (Objects).

    at: epoch milliseconds or an aware datetime; boot: id of the power cycle; seq: counter within it, ≥ 0.
    amount_fen ≥ 0; card_ref: opaque token of up to 64 characters; latency_ms ≥ 0; battery 0–1.
    """

    kind: Kind
    at: int | datetime
    boot: str
    seq: int
    amount_fen: int | None = None
    service: Service | None = None
    result: Result | None = None
    decline_code: str | None = None
    card_ref: str | None = None
    latency_ms: int | None = None
    paper: Paper | None = None
    battery: float | None = None
    signal_dbm: float | None = None
    firmware: str | None = None
    cell_id: str | None = None
    component: str | None = None
    code: str | None = None
    sensor: str | None = None
    lat: float | None = None
    lon: float | None = None
    extra: dict[str, object] | None = None


class KindCode(IntEnum):
    """`pos_records.kind`."""

    HEARTBEAT = 0
    TRANSACTION = 1
    FAULT = 2
    TAMPER = 3
    LOCATION = 4


class ServiceCode(IntEnum):
    """`pos_records.service`."""

    ELECTRICITY = 0
    WATER = 1
    GAS = 2
    PHONE = 3
    TV = 4
    INSURANCE = 5
    PENSION = 6
    CASH = 7
    OTHER = 8


class ResultCode(IntEnum):
    """`pos_records.result`."""

    APPROVED = 0
    DECLINED = 1
    REVERSED = 2
    TIMEOUT = 3


class PaperCode(IntEnum):
    """`pos_records.paper`."""

    OK = 0
    LOW = 1
    OUT = 2


class StoredReading(msgspec.Struct, frozen=True, gc=False):
    """One row of `pos_records` as rules read it. Times: UTC epoch milliseconds."""

    device: int
    at_ms: int
    received_at_ms: int
    digest: int
    boot: str
    seq: int
    kind: int
    flags: int
    lane: int
    amount_fen: int | None = None
    service: int | None = None
    result: int | None = None
    decline_code: str | None = None
    card_ref: str | None = None
    latency_ms: int | None = None
    paper: int | None = None
    battery: float | None = None
    signal_dbm: float | None = None
    component: str | None = None
    code: str | None = None
    sensor: str | None = None
    lat: float | None = None
    lon: float | None = None
