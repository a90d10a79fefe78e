"""A fix: one position (or position-less alarm) of a handset, as sent and as stored.

`Fix` is what every protocol decoder returns; admission turns it into a row. `StoredFix` is what the rules and
reports read back. Units are in the names; positions inside are WGS-84 degrees; instants are UTC.
"""

from datetime import datetime
from enum import IntEnum, IntFlag
from typing import Literal

import msgspec

Datum = Literal["wgs84", "gcj02", "bd09"]
Source = Literal["gnss", "network", "fused"]
Alarm = Literal["sos", "removed", "fall", "low_power"]


class Fix(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One fix as a device sent it; decoding forbids unknown fields, the slow path moves those to `extra`.

    fixed_at: epoch milliseconds, or an aware datetime. lat/lon: degrees in `datum`, both or (with alarm) neither.
    accuracy_m ≥ 0; speed_mps ≥ 0; heading_deg 0–360; battery 0–1; satellites 0–255; seq: the device's own counter.
    """

    fixed_at: int | datetime
    lat: float | None = None
    lon: float | None = None
    accuracy_m: float | None = None
    speed_mps: float | None = None
    heading_deg: float | None = None
    battery: float | None = None
    altitude_m: float | None = None
    satellites: int | None = None
    source: Source | None = None
    mock: bool = False
    alarm: Alarm | None = None
    datum: Datum | None = None
    """None: the device's configured datum (WGS-84 unless set)."""
    seq: int | None = None
    extra: dict[str, object] | None = None


class Flag(IntFlag):
    """What admission found, kept with the row (`flags`); a flagged fix is stored, not refused."""

    MOCK = 1
    """The device says the position is simulated."""
    TIME_REPAIRED = 2
    """GPS week roll-over: 7168 (or 14336) days were added; `sent_at` holds the time as sent."""
    ZERO_POSITION = 4
    """(0, 0): kept, left out of tracks."""
    OUT_OF_COUNTRY = 8
    INACCURATE = 16
    """accuracy_m over 100 m: left out of track length."""
    PRESENCE_ONLY = 32
    """accuracy_m over 1000 m."""
    OFF_DUTY_STRIPPED = 64
    """Outside the worker's shift: the position was removed before storing."""
    OFF_DUTY = 128
    """Outside the worker's shift, position kept (policy `keep`, or an alarm)."""
    EXTRA_CUT = 256
    """`extra` was over 2 KiB and was cut."""
    CARD_MASKED = 512
    """A card number was found and masked."""
    DATUM_SHIFTED = 1024
    """Sent in GCJ-02 or BD-09; raw_lat/raw_lon hold the position as sent."""
    NO_POSITION = 2048
    """An alarm without a position."""


IMPLAUSIBLE = Flag.MOCK | Flag.ZERO_POSITION | Flag.OUT_OF_COUNTRY | Flag.PRESENCE_ONLY
"""Fixes with any of these are not used as a place."""


class DatumCode(IntEnum):
    """`fixes.datum`."""

    WGS84 = 0
    GCJ02 = 1
    BD09 = 2


class SourceCode(IntEnum):
    """`fixes.source`."""

    GNSS = 0
    NETWORK = 1
    FUSED = 2


class AlarmCode(IntEnum):
    """`fixes.alarm`."""

    SOS = 1
    REMOVED = 2
    FALL = 3
    LOW_POWER = 4


class StoredFix(msgspec.Struct, frozen=True, gc=False):
    """One row of `fixes` as rules and exports read it. Times: UTC epoch milliseconds. Order of facts: (seq, digest)."""

    device: int
    fixed_at_ms: int
    received_at_ms: int
    digest: int
    lat: float | None
    lon: float | None
    flags: int
    lane: int
    accuracy_m: float | None = None
    altitude_m: float | None = None
    speed_mps: float | None = None
    heading_deg: float | None = None
    battery: float | None = None
    satellites: int | None = None
    source: int | None = None
    alarm: int | None = None
