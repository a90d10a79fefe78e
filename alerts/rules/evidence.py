"""How a finding points at the facts behind it, and what makes it late."""

from core.event import Finding
from core.fix import StoredFix
from core.reading import StoredReading

LATE_MS = 10 * 60_000
"""A fact that arrived later than this after it happened makes its event `late`."""


def fix_link(fix: StoredFix) -> dict[str, object]:
    """A fix as evidence."""
    return {"kind": "fix", "device": fix.device, "at_ms": fix.fixed_at_ms, "digest": str(fix.digest)}


def record_link(reading: StoredReading) -> dict[str, object]:
    """A POS record as evidence."""
    return {
        "kind": "record",
        "device": reading.device,
        "at_ms": reading.at_ms,
        "boot": reading.boot,
        "seq": reading.seq,
    }


def battery_share(fix: StoredFix) -> float | None:
    """The battery as the handset wrote it (the column is a 4-byte float)."""
    return None if fix.battery is None else round(fix.battery, 3)


def of_fix(code: str, key: str, subject: str, fix: StoredFix, causes: dict[str, object]) -> Finding:
    """An opening that this fix made, at its time and place."""
    return Finding(
        "open",
        code,
        key,
        subject,
        fix.fixed_at_ms,
        fix.lat,
        fix.lon,
        fix.received_at_ms - fix.fixed_at_ms > LATE_MS,
        causes,
        (fix_link(fix),),
    )


def of_record(code: str, key: str, subject: str, reading: StoredReading, causes: dict[str, object]) -> Finding:
    """An opening that this record made, at its time."""
    return Finding(
        "open",
        code,
        key,
        subject,
        reading.at_ms,
        reading.lat,
        reading.lon,
        reading.received_at_ms - reading.at_ms > LATE_MS,
        causes,
        (record_link(reading),),
    )


def ended(code: str, key: str, subject: str, at_ms: int, causes: dict[str, object] | None = None) -> Finding:
    """The condition of the event `key` ended."""
    return Finding("end", code, key, subject, at_ms, causes=causes or {})
