"""POS record + device + arrival time → a packed row with its lane, or a reason why not. Pure; see `ingest.admit`."""

from typing import Any, Final

import msgspec

from core.fix import Flag
from core.lane import Lane
from core.place import to_wgs84
from core.reading import KindCode, PaperCode, Reading, ResultCode, ServiceCode
from devices.records import DeviceRecord
from ingest.admit import position_fault
from ingest.cards import mask_text
from ingest.extra import pack_extra
from ingest.judgement import Inadmissible, Judge, Row, instant_ms, range_fault
from store.copying import pg_us
from store.readings import OPTIONAL_NAMES, pack_reading

_RANGES: Final = (
    ("seq", 0, (1 << 63) - 1),
    ("amount_fen", 0, 10**13),
    ("latency_ms", 0, (1 << 31) - 1),
    ("battery", 0.0, 1.0),
    ("signal_dbm", -200.0, 100.0),
)
_TEXTS: Final = {
    "boot": 64,
    "decline_code": 64,
    "card_ref": 64,
    "firmware": 128,
    "cell_id": 128,
    "component": 128,
    "code": 128,
    "sensor": 128,
}
_FREE_TEXTS: Final = ("card_ref", "decline_code", "component", "code")
_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "heartbeat": (),
    "transaction": ("amount_fen", "result"),
    "fault": (),
    "tamper": (),
    "location": ("lat", "lon"),
}
KIND_CODES: Final[dict[str, int]] = {c.name.lower(): int(c) for c in KindCode}
_CODES: Final[dict[str, dict[str, int]]] = {
    "service": {c.name.lower(): int(c) for c in ServiceCode},
    "result": {c.name.lower(): int(c) for c in ResultCode},
    "paper": {c.name.lower(): int(c) for c in PaperCode},
}
_encode = msgspec.msgpack.Encoder().encode


def admit_reading(judge: Judge, device: DeviceRecord, reading: Reading, received_ms: int) -> Row:
    """The row of a POS record; raises Inadmissible with a reason for the device's developer."""
    sent_ms = instant_ms("at", reading.at)
    extra = pack_extra(reading.extra)
    masked, flags = _masked(reading)
    reading = msgspec.structs.replace(reading, at=sent_ms, extra=None, **masked)
    flags |= extra.flags
    at_ms, sent_us = sent_ms, None
    if not received_ms - judge.pos_retention_ms <= sent_ms <= received_ms + judge.future_ms:
        at_ms = judge.repaired_ms("at", sent_ms, received_ms, judge.pos_retention_ms)
        sent_us = pg_us(sent_ms)
        flags |= Flag.TIME_REPAIRED
    _check(reading)
    content = _encode(msgspec.structs.astuple(reading)) + extra.content
    digest = judge.digest(content)
    lat, lon, shifted = _place(device, reading)
    values: dict[str, Any] = msgspec.structs.asdict(reading)
    values |= {name: codes.get(values[name]) for name, codes in _CODES.items()}
    values |= {"sent_at": sent_us, "lat": lat, "lon": lon}
    data = pack_reading(
        device.key,
        pg_us(at_ms),
        pg_us(received_ms),
        digest,
        reading.seq,
        flags | shifted,
        KIND_CODES[reading.kind],
        reading.boot,
        tuple(values[name] for name in OPTIONAL_NAMES),
        extra.column,
    )
    return Row(data, _lane(judge, reading, received_ms - at_ms), at_ms, int(flags | shifted), lat, lon, reading.battery)


def _lane(judge: Judge, reading: Reading, age_ms: int) -> int:
    if reading.kind == "tamper":
        return int(Lane.URGENT)
    return int(Lane.BACKFILL if age_ms > judge.backfill_ms else Lane.LIVE)


def _masked(reading: Reading) -> tuple[dict[str, str], int]:
    """Free texts in which a card number was masked, and the flag that says so."""
    found: dict[str, str] = {}
    for name in _FREE_TEXTS:
        text = getattr(reading, name)
        if text is not None and (masked := mask_text(text)) is not text:
            found[name] = masked
    return found, int(Flag.CARD_MASKED) if found else 0


def _check(reading: Reading) -> None:
    if any(
        (value := getattr(reading, name)) is not None and not least <= value <= most for name, least, most in _RANGES
    ):
        raise range_fault(reading, _RANGES)
    for name, longest in _TEXTS.items():
        text = getattr(reading, name)
        if text is not None:
            _check_text(name, text, longest)
    if not reading.boot:
        raise Inadmissible("content", "boot: expected the id of the power cycle, got an empty text")
    for name in _NEEDED[reading.kind]:
        if getattr(reading, name) is None:
            raise Inadmissible("content", f"{name} is missing; a {reading.kind} needs it")


def _check_text(name: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise Inadmissible("content", f"{name}: expected at most {longest} characters")
    if text.isascii() and "\0" not in text:
        return
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Inadmissible("content", f"{name}: holds characters that are no text (NUL or a lone surrogate)")


def _place(device: DeviceRecord, reading: Reading) -> tuple[float | None, float | None, int]:
    lat, lon = reading.lat, reading.lon
    if lat is None or lon is None:
        if lat is not lon:
            raise Inadmissible("position", "lat and lon: expected both or neither")
        return None, None, 0
    if not (-90.0 <= lat <= 90.0 and -180.0 <= lon <= 180.0):
        raise position_fault(lat, lon)
    if device.datum == "wgs84":
        return lat, lon, 0
    return *to_wgs84(lat, lon, device.datum), int(Flag.DATUM_SHIFTED)
