"""Fix + device + duty + arrival time → a packed row with its lane, or a reason why not. Pure.

Here, and nowhere behind it, times are judged, datum becomes WGS-84, positions outside a shift are removed and card
numbers masked. Order matters: cards are masked before the digest is made (a digest must not help to guess one), and
the digest before anything else changes (a fact that is sent again must have the digest it had, whatever the shift plan
says by then). Sources: design §3, §4, §7; handsets §4 (trust in a position).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from core.fix import AlarmCode, Datum, DatumCode, Fix, Flag, SourceCode
from core.lane import Lane
from core.place import to_wgs84
from devices.records import DeviceRecord, Duty
from ingest.extra import NO_EXTRA, pack_extra
from ingest.judgement import Inadmissible, Judge, Row, instant_ms, range_fault
from store.copying import NULL, pg_us
from store.fixes import pack_fix

DutyAt = Callable[[int, int], Duty]
SosTimes = Mapping[int, Sequence[int]]
"""Device key → times of its latest SOS fixes, epoch ms."""

SOURCE_CODES: Final[dict[str | None, int | None]] = {None: None} | {c.name.lower(): int(c) for c in SourceCode}
ALARM_CODES: Final[dict[str | None, int | None]] = {None: None} | {c.name.lower(): int(c) for c in AlarmCode}
DATUM_CODES: Final[dict[str, int]] = {c.name.lower(): int(c) for c in DatumCode}
_URGENT, _LIVE, _BACKFILL = int(Lane.URGENT), int(Lane.LIVE), int(Lane.BACKFILL)
_INACCURATE_M: Final = 100.0
_PRESENCE_ONLY_M: Final = 1000.0
# Plain ints: an operation on IntFlag takes a microsecond.
_MOCK, _REPAIRED, _NO_POSITION = int(Flag.MOCK), int(Flag.TIME_REPAIRED), int(Flag.NO_POSITION)
_OFF_DUTY, _STRIPPED = int(Flag.OFF_DUTY), int(Flag.OFF_DUTY_STRIPPED)
_INACCURATE, _ONLY_PRESENCE = int(Flag.INACCURATE), int(Flag.INACCURATE | Flag.PRESENCE_ONLY)
_SHIFTED, _ABROAD = int(Flag.DATUM_SHIFTED), int(Flag.OUT_OF_COUNTRY)
_ZERO: Final = int(Flag.ZERO_POSITION | Flag.OUT_OF_COUNTRY)
_SURVIVE_STRIPPING: Final = int(Flag.MOCK | Flag.TIME_REPAIRED | Flag.CARD_MASKED)
_SEQ: Final = 1 << 63
_RANGES: Final = (
    ("accuracy_m", 0.0, 1e7),
    ("altitude_m", -1e5, 1e7),
    ("speed_mps", 0.0, 1000.0),
    ("heading_deg", 0.0, 360.0),
    ("battery", 0.0, 1.0),
    ("satellites", 0, 255),
    ("seq", -_SEQ, _SEQ - 1),
)
_as_tuple = msgspec.structs.astuple
_encode = msgspec.msgpack.Encoder().encode

Place = tuple[float | None, float | None, float | None, float | None, int, int]
"""lat, lon (WGS-84), lat, lon as sent where that was another datum, datum code, flags."""


def admit_fix(
    judge: Judge, device: DeviceRecord, fix: Fix, received_ms: int, duty_at: DutyAt, sos_times: SosTimes
) -> Row:
    """The row of a fix; raises Inadmissible. duty_at: (device key, epoch ms) → Duty, from the registry in memory."""
    sent_ms = fix.fixed_at
    if type(sent_ms) is not int:
        sent_ms = instant_ms("fixed_at", sent_ms)
        fix = msgspec.structs.replace(fix, fixed_at=sent_ms)
    extra = NO_EXTRA
    if fix.extra is not None:
        extra = pack_extra(fix.extra)
        fix = msgspec.structs.replace(fix, extra=None)
    if received_ms - judge.fix_retention_ms <= sent_ms <= received_ms + judge.future_ms:
        at_ms, sent_us, flags = sent_ms, None, extra.flags
    else:
        at_ms = judge.repaired_ms("fixed_at", sent_ms, received_ms, judge.fix_retention_ms)
        sent_us, flags = pg_us(sent_ms), extra.flags | _REPAIRED
    if not _in_ranges(fix):
        raise range_fault(fix, _RANGES)
    lat, lon, raw_lat, raw_lon, datum, found = _place(judge, device.datum, fix)
    flags |= found
    digest = judge.digest(_encode(_as_tuple(fix)) + extra.content)
    alarm = fix.alarm
    accuracy, altitude, speed, heading = fix.accuracy_m, fix.altitude_m, fix.speed_mps, fix.heading_deg
    column = extra.column
    if not duty_at(device.key, at_ms).on:
        if judge.strips and alarm is None and not _after_sos(judge, sos_times.get(device.key, ()), at_ms):
            lat = lon = raw_lat = raw_lon = accuracy = altitude = speed = heading = None
            column, flags = NULL, flags & _SURVIVE_STRIPPING | _STRIPPED
        else:
            flags |= _OFF_DUTY
    # fmt: off
    optional = (
        lat, lon, accuracy, altitude, speed, heading, fix.battery, fix.satellites, SOURCE_CODES[fix.source],
        ALARM_CODES[alarm], fix.seq, sent_us, raw_lat, raw_lon,
    )
    # fmt: on
    data = pack_fix(device.key, pg_us(at_ms), pg_us(received_ms), digest, flags, datum, optional, column)
    lane = _URGENT if alarm is not None else _BACKFILL if received_ms - at_ms > judge.backfill_ms else _LIVE
    return Row(data, lane, at_ms, flags, lat, lon, fix.battery)


def _in_ranges(fix: Fix) -> bool:
    """_RANGES in one expression (the table finds the words afterwards)."""
    return (
        (fix.accuracy_m is None or 0.0 <= fix.accuracy_m <= 1e7)
        and (fix.speed_mps is None or 0.0 <= fix.speed_mps <= 1000.0)
        and (fix.heading_deg is None or 0.0 <= fix.heading_deg <= 360.0)
        and (fix.battery is None or 0.0 <= fix.battery <= 1.0)
        and (fix.altitude_m is None or -1e5 <= fix.altitude_m <= 1e7)
        and (fix.satellites is None or 0 <= fix.satellites <= 255)
        and (fix.seq is None or -_SEQ <= fix.seq < _SEQ)
    )


def _place(judge: Judge, device_datum: Datum, fix: Fix) -> Place:
    """Position in WGS-84 with its flags; raises Inadmissible for one that is none."""
    lat, lon = fix.lat, fix.lon
    datum = fix.datum or device_datum
    if lat is None or lon is None:
        if fix.alarm is None or lat is not lon:
            raise Inadmissible("position", "lat and lon: expected both (neither only with an alarm)")
        return None, None, None, None, DATUM_CODES[datum], _NO_POSITION | (_MOCK if fix.mock else 0)
    if not (-90.0 <= lat <= 90.0 and -180.0 <= lon <= 180.0):
        raise position_fault(lat, lon)
    flags = _MOCK if fix.mock else 0
    if fix.accuracy_m is not None and fix.accuracy_m > _INACCURATE_M:
        flags |= _ONLY_PRESENCE if fix.accuracy_m > _PRESENCE_ONLY_M else _INACCURATE
    raw_lat = raw_lon = None
    if datum != "wgs84":
        raw_lat, raw_lon = lat, lon
        lat, lon = to_wgs84(lat, lon, datum)
        flags |= _SHIFTED
    if not (judge.south <= lat <= judge.north and judge.west <= lon <= judge.east):
        flags |= _ABROAD if lat or lon else _ZERO
    return lat, lon, raw_lat, raw_lon, DATUM_CODES[datum], flags


def position_fault(lat: float, lon: float) -> Inadmissible:
    """Why (lat, lon) is no position."""
    if 90.0 < abs(lat) <= 180.0 and abs(lon) <= 90.0:
        return Inadmissible("position", "lat: expected -90 to 90; lat and lon look swapped")
    return Inadmissible("position", "lat and lon: expected -90 to 90 and -180 to 180 degrees")


def _after_sos(judge: Judge, times: Sequence[int], at_ms: int) -> bool:
    """Whether a fix lies within `sos_keeps_ms` after an SOS of the same device."""
    return any(0 <= at_ms - sos_ms <= judge.sos_keeps_ms for sos_ms in times)
