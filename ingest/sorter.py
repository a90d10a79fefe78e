"""One payload → pieces for the lanes: decode, admit each record, set aside what cannot be accepted. No I/O.

Shared by every protocol. Registry answers come from memory; what is stateful here is small: the latest SOS times of
each handset, and the budget of raw bytes that quarantine keeps for one device. For the event loop's thread.
"""

import json
import re
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

import msgspec
import structlog

from core.errors import DecodeError
from core.fix import Fix, Flag
from core.lane import FIX, MESSAGE, POS, REFUSAL
from core.reading import Reading
from devices.records import DeviceRecord
from devices.registry import Registry
from ingest.admit import admit_fix
from ingest.admit_reading import admit_reading
from ingest.cards import mask_bytes
from ingest.judgement import DAY_MS, Inadmissible, Judge, Row
from ingest.lanes import ASIDE, Parcel, Piece
from ingest.limits import Buckets
from ingest.messages import read_message
from ingest.metrics import IngestMetrics
from ingest.security import SecurityLog
from ingest.settings import LimitSettings
from ingest.sights import Sights
from ingest.wire import FIXES, ONE, READINGS, Decoded
from store.messages import Message
from store.quarantine import LONGEST_RAW, pack_refusal

log = structlog.get_logger()

_TIME_MS: Final = re.compile(rb'"fixed_at"\s*:\s*(\d{11,14})\b')
_TIME_TEXT: Final = re.compile(rb'"fixed_at"\s*:\s*"([0-9T:.Z+ -]{10,40})"')
_UNPACKABLE: Final = (struct.error, OverflowError, UnicodeError)
_NOT_STORABLE: Final = (Inadmissible, *_UNPACKABLE)
_CARD: Final = int(Flag.CARD_MASKED)
_CUT: Final = int(Flag.EXTRA_CUT)
_SOS_KEPT: Final = 8
_at_ms = attrgetter("at_ms")
_NAMES_OF_OTHERS: Final = ("device", "device_id")
_RIGHT_KIND: Final = {FIX: "handset", POS: "terminal"}

Placed = list[tuple[int, Piece]]


class Source(msgspec.Struct, frozen=True, gc=False):
    """Where a payload came from. device None: a broker's topic names one that is not registered."""

    device: DeviceRecord | None
    kind: str
    topic: str
    received_ms: int
    via: str
    peer: str | None = None
    retain: bool = False


class Sorter:
    """Sorts payloads. registry: a function that returns the current registry."""

    def __init__(
        self,
        judge: Judge,
        registry: Callable[[], Registry],
        security: SecurityLog,
        sights: Sights,
        metrics: IngestMetrics,
        limits: LimitSettings,
        sos_times: dict[int, list[int]] | None = None,
    ) -> None:
        self._judge = judge
        self._registry = registry
        self._security = security
        self._sights = sights
        self._metrics = metrics
        self._sos_times = sos_times or {}
        self._raw_bytes = Buckets(limits.raw_bytes_per_s, limits.burst_s)

    def sort(self, source: Source, payload: bytes, parcel: Parcel) -> Placed:
        """The pieces of a payload; never raises for content: refusals are pieces, and reasons in `parcel.rejected`.

        An empty array has no pieces. `parcel.malformed` is set when there were no records to find.
        """
        device = source.device
        if device is None:
            found = self._refuse_all(source, payload, parcel, "unknown_device", "the device is not registered")
        elif device.kind != _RIGHT_KIND.get(source.kind, device.kind):
            reason = f"a {device.kind} sends no {'fixes' if source.kind == FIX else 'POS records'}"
            found = self._refuse_all(source, payload, parcel, "identity", reason)
        elif source.kind == FIX:
            found = self._records(source, device, payload, parcel, FIXES.decode, self._fix)
        elif source.kind == POS:
            found = self._records(source, device, payload, parcel, READINGS.decode, self._reading)
        elif source.kind in ("answer", "report", "state"):
            found = self._message(source, device, payload, parcel)
        else:
            found = self._refuse_all(source, payload, parcel, "unsupported", f"{source.kind} is not understood here")
        parcel.pieces_left = len(found)
        return found

    # Fixes and POS records

    def _fix(self, device: DeviceRecord, fix: Any, received_ms: int) -> Row:
        row = admit_fix(self._judge, device, fix, received_ms, self._registry().duty_at, self._sos_times)
        if fix.alarm == "sos":
            times = self._sos_times.setdefault(device.key, [])
            times.append(row.at_ms)
            del times[:-_SOS_KEPT]
        return row

    def _reading(self, device: DeviceRecord, reading: Any, received_ms: int) -> Row:
        return admit_reading(self._judge, device, reading, received_ms)

    def _records(
        self,
        source: Source,
        device: DeviceRecord,
        payload: bytes,
        parcel: Parcel,
        decode: Callable[[bytes], Decoded[Any]],
        admit: Callable[[DeviceRecord, Any, int], Row],
    ) -> Placed:
        try:
            decoded = decode(payload)
        except DecodeError as error:
            parcel.malformed = str(error)
            return self._refuse_all(source, payload, parcel, "malformed", str(error))
        if decoded.indexes is ONE and decoded.records[0].extra is None:
            try:
                row: Row | None = admit(device, decoded.records[0], source.received_ms)
            except _NOT_STORABLE:
                row = None  # which is told below
            if row is not None:
                return [self._plain(source, device, parcel, row)]
        rows: list[Row] = []
        indexes: list[int] = []
        refused = [(item.index, "malformed", item.reason, item.raw) for item in decoded.refused]
        for index, record in zip(decoded.indexes, decoded.records, strict=True):
            try:
                if record.extra is not None:
                    self._check_identity(source, device, record.extra)
                rows.append(admit(device, record, source.received_ms))
                indexes.append(index)
            except Inadmissible as error:
                if error.why == "identity":
                    parcel.forbidden = str(error)
                refused.append((index, error.why, str(error), _written(record)))
            except _UNPACKABLE as error:
                log.error("sorter.unpackable", kind=source.kind, error=str(error))  # a check is missing: find it
                refused.append((index, "unpackable", "a value cannot be stored", _written(record)))
        found = self._lanes_of(source, device, parcel, rows, indexes) if rows else []
        if refused:
            found.append(self._refusals(source, parcel, sorted(refused)))
        return found

    def _lanes_of(
        self, source: Source, device: DeviceRecord, parcel: Parcel, rows: list[Row], indexes: Sequence[int]
    ) -> Placed:
        """One piece a lane; most payloads have one lane and are not taken apart."""
        newest = max(rows, key=_at_ms)
        self._sights.see(device.key, source.received_ms, newest, source.via)
        if any(flags & (_CARD | _CUT) for flags in {row.flags for row in rows}):
            self._note_flags(source, device, parcel, rows, indexes)
        lanes = {row.lane for row in rows}
        if len(lanes) == 1:
            return [(newest.lane, _piece(source.kind, rows, indexes, parcel))]
        places = {lane: [place for place, row in enumerate(rows) if row.lane == lane] for lane in sorted(lanes)}
        return [
            (lane, _piece(source.kind, [rows[p] for p in some], [indexes[p] for p in some], parcel))
            for lane, some in places.items()
        ]

    def _plain(self, source: Source, device: DeviceRecord, parcel: Parcel, row: Row) -> tuple[int, Piece]:
        """The common payload, one record without `extra`, on the shortest way."""
        if row.flags & _CARD:
            self._note_flags(source, device, parcel, (row,), ONE)
        self._sights.see(device.key, source.received_ms, row, source.via)
        at_ms, data = row.at_ms, row.data
        return row.lane, Piece(parcel, source.kind, (data,), ONE, (at_ms // DAY_MS,), at_ms, at_ms, len(data))

    def _note_flags(
        self, source: Source, device: DeviceRecord, parcel: Parcel, rows: Sequence[Row], indexes: Sequence[int]
    ) -> None:
        for row, index in zip(rows, indexes, strict=True):
            if row.flags & _CUT:
                parcel.notes += ((index, "extra was over 2 KiB and was cut"),)
            if row.flags & _CARD:
                parcel.notes += ((index, "a card number was masked"),)
                self._note_card(source, device)

    def _note_card(self, source: Source, device: DeviceRecord) -> None:
        self._security.note(
            "card_number", via=source.via, device=device.key, peer=source.peer, detail=f"masked in {source.kind}"
        )

    def _check_identity(self, source: Source, device: DeviceRecord, extra: dict[str, object]) -> None:
        """A record that names another registered device is not this device's to send."""
        for name in _NAMES_OF_OTHERS:
            claimed = extra.get(name)
            if isinstance(claimed, str) and claimed != device.id and self._registry().device(claimed) is not None:
                self._security.note(
                    "identity_forbidden", via=source.via, device=device.key, claimed=claimed, peer=source.peer
                )
                raise Inadmissible("identity", f"{name} names another device; a device sends only as itself")

    # Messages

    def _message(self, source: Source, device: DeviceRecord, payload: bytes, parcel: Parcel) -> Placed:
        kind: Any = source.kind
        retain = (source.topic, payload) if source.retain and kind == "state" else None
        try:
            if retain is not None and not payload:
                message, masked = Message(device.key, "state", "", 0, source.received_ms, "", retain), False
            else:
                message, masked = read_message(self._judge, device, kind, payload, source.received_ms)
        except DecodeError as error:
            parcel.malformed = str(error)
            return self._refuse_all(source, payload, parcel, "malformed", str(error))
        except Inadmissible as error:
            return self._refuse_all(source, payload, parcel, error.why, str(error))
        if masked:
            self._note_card(source, device)
        if retain is not None and payload:
            message = msgspec.structs.replace(message, retain=(source.topic, message.body.encode()))
        self._sights.see(device.key, source.received_ms, None, source.via)
        day = source.received_ms // DAY_MS
        piece = Piece(
            parcel, MESSAGE, (message,), (0,), (day,), source.received_ms, source.received_ms, len(message.body)
        )
        return [(ASIDE, piece)]

    # Refusals

    def _refuse_all(self, source: Source, payload: bytes, parcel: Parcel, why: str, reason: str) -> Placed:
        """The whole payload goes to quarantine."""
        if why == "identity":
            parcel.forbidden = reason
        return [self._refusals(source, parcel, [(0, why, reason, payload)])]

    def _refusals(
        self, source: Source, parcel: Parcel, refused: Sequence[tuple[int, str, str, bytes]]
    ) -> tuple[int, Piece]:
        parcel.rejected += tuple([(index, reason) for index, _, reason, _ in refused])
        self._metrics.count_refused((why for _, why, _, _ in refused), source.via)
        device = None if source.device is None else source.device.key
        rows = []
        for _, why, reason, raw in refused:
            kept = b"" if self._hides_raw(source, raw) else mask_bytes(raw[: LONGEST_RAW + 1])
            if kept and self._raw_bytes.take(device, min(len(kept), LONGEST_RAW), source.received_ms / 1000):
                kept = b""
            rows.append(
                pack_refusal(
                    source.received_ms, device, source.via, source.topic, why, reason, kept, len(kept) < len(raw)
                )
            )
        at_ms = source.received_ms
        size = sum(map(len, rows))
        return ASIDE, Piece(parcel, REFUSAL, rows, range(len(rows)), (at_ms // DAY_MS,), at_ms, at_ms, size)

    def _hides_raw(self, source: Source, raw: bytes) -> bool:
        """What a handset sent, or measured, off duty is not kept even in quarantine: it may hold a position."""
        device = source.device
        if not self._judge.strips or device is None or device.kind != "handset":
            return False
        duty_at = self._registry().duty_at
        return not all(duty_at(device.key, at_ms).on for at_ms in {source.received_ms, *_times_in(raw)})


def _times_in(raw: bytes) -> list[int]:
    """Times that a refused payload says, as far as they can be read."""
    found = [int(digits) for digits in _TIME_MS.findall(raw)]
    for text in _TIME_TEXT.findall(raw):
        with suppress(ValueError, OverflowError):
            found.append(int(datetime.fromisoformat(text.decode()).timestamp() * 1000))
    return found


def _piece(family: str, rows: Sequence[Row], indexes: Sequence[int], parcel: Parcel) -> Piece:
    data = [row.data for row in rows]
    times = [row.at_ms for row in rows]
    days = tuple({at_ms // DAY_MS for at_ms in times})
    return Piece(parcel, family, data, indexes, days, min(times), max(times), sum(map(len, data)))


def _written(record: Fix | Reading) -> bytes:
    """A decoded record as JSON again, for quarantine."""
    values = {name: value for name, value in msgspec.structs.asdict(record).items() if value is not None}
    return json.dumps(values, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace")
