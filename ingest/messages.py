"""What devices say beyond measurements: answers to tasks, reports, states → a `Message` for the store. Pure.

The whole object is kept (unknown fields too, 16 KiB at most), with card numbers masked and the position of a report in
WGS-84. What it means for an event is decided by alerts, from the committed row.
"""

import json
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from core.errors import DecodeError
from core.fix import Datum
from core.ids import digest64
from core.place import to_wgs84
from devices.records import DeviceRecord
from ingest.admit import position_fault
from ingest.cards import mask_value
from ingest.judgement import Inadmissible, Judge
from ingest.salvage import explain, fault_of, read_elements
from store.messages import Message

MessageKind = Literal["answer", "report", "state"]
LARGEST: Final = 16_384
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Text = Annotated[str, msgspec.Meta(max_length=4000)]
_Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Hashes = Annotated[list[_Hash], msgspec.Meta(max_length=20)]


class Answer(msgspec.Struct, frozen=True):
    """A worker's answer to a task. attachments: SHA-256 of files sent before."""

    event: _Id
    client_id: _Id
    step: _Id
    text: _Text | None = None
    attachments: _Hashes = []


class Report(msgspec.Struct, frozen=True):
    """A worker reports an event. lat, lon: both or neither, in `datum` (the device's when not given)."""

    client_id: _Id
    kind: _Id
    text: _Text | None = None
    lat: float | None = None
    lon: float | None = None
    datum: Datum | None = None
    attachments: _Hashes = []


class State(msgspec.Struct, frozen=True):
    """Whether a device is connected."""

    online: bool
    at: int | datetime | None = None


_SHAPES: Final[dict[MessageKind, type[Answer | Report | State]]] = {"answer": Answer, "report": Report, "state": State}


def read_message(
    judge: Judge, device: DeviceRecord, kind: MessageKind, payload: bytes, received_ms: int
) -> tuple[Message, bool]:
    """The message and whether a card number was masked in it. Raises DecodeError or Inadmissible."""
    if len(payload) > LARGEST:
        raise Inadmissible("content", f"expected at most {LARGEST} bytes")
    elements = read_elements(payload)
    if len(elements) != 1 or not isinstance(elements[0], dict):
        raise DecodeError("the payload must be one object")
    element: dict[str, Any] = elements[0]
    if fault := fault_of(element):
        raise Inadmissible("content", fault)
    shape = _SHAPES[kind]
    try:
        said = msgspec.convert(element, shape)
    except msgspec.ValidationError as error:
        raise Inadmissible("content", explain(str(error), shape)) from None
    body: Any = element
    if isinstance(said, Report):
        body = _placed(device, said, element)
    masked = mask_value(body)
    text = json.dumps(masked, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    digest = digest64(judge.digest_key, text.encode())
    client_id = f"{received_ms}-{digest & 0xFFFFFFFF:08x}" if isinstance(said, State) else said.client_id
    return Message(device.key, kind, client_id, digest, received_ms, text), masked is not body


def _placed(device: DeviceRecord, report: Report, element: dict[str, Any]) -> dict[str, Any]:
    """The report with its position in WGS-84 and, where it was sent in another datum, as sent."""
    if report.lat is None or report.lon is None:
        if report.lat is not report.lon:
            raise Inadmissible("position", "lat and lon: expected both or neither")
        return element
    if not (-90.0 <= report.lat <= 90.0 and -180.0 <= report.lon <= 180.0):
        raise position_fault(report.lat, report.lon)
    datum = report.datum or device.datum
    if datum == "wgs84":
        return element
    lat, lon = to_wgs84(report.lat, report.lon, datum)
    return {**element, "lat": lat, "lon": lon, "datum": datum, "raw_lat": report.lat, "raw_lon": report.lon}
