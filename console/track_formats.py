"""Track formats: GeoJSON (RFC 7946), GPX 1.1, OGC Moving Features JSON 1.0, CSV (RFC 4180). Text in pieces.

A function takes a way to read the points (called once, or twice for Moving Features, whose times and places are two
lists) and yields text. Degrees keep every digit that the store has.
"""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from xml.sax.saxutils import escape, quoteattr

from console.tracks import Format, Point

Read = Callable[[], AsyncIterator[Point]]
Writer = Callable[[str, Read], AsyncIterator[str]]

MEDIA_TYPES: dict[Format, str] = {
    "geojson": "application/geo+json",
    "gpx": "application/gpx+xml",
    "mfjson": "application/geo+json",
    "csv": "text/csv; charset=utf-8",
}
_PROPERTIES = ("accuracy_m", "altitude_m", "speed_mps", "heading_deg", "battery", "satellites", "source", "alarm")


def moment(at: datetime) -> str:
    """RFC 3339 in UTC with as many digits as needed, at least milliseconds."""
    precise = "milliseconds" if at.microsecond % 1000 == 0 else "microseconds"
    return at.astimezone(UTC).isoformat(timespec=precise).replace("+00:00", "Z")


async def geojson(device: str, read: Read) -> AsyncIterator[str]:
    """A FeatureCollection, one feature a stored fix; geometry null where the position was stripped."""
    yield '{"type":"FeatureCollection","features":['
    comma = ""
    async for point in read():
        yield comma + json.dumps(_feature(device, point), ensure_ascii=False, separators=(",", ":"))
        comma = ",\n"
    yield "]}\n"


def _feature(device: str, point: Point) -> dict[str, object]:
    place = None if point.lat is None else {"type": "Point", "coordinates": [point.lon, point.lat]}
    properties: dict[str, object] = {
        "device": device,
        "fixed_at": moment(point.fixed_at),
        "received_at": moment(point.received_at),
        "flags": list(point.flags),
    }
    properties |= {name: getattr(point, name) for name in _PROPERTIES if getattr(point, name) is not None}
    return {"type": "Feature", "geometry": place, "properties": properties}


async def gpx(device: str, read: Read) -> AsyncIterator[str]:
    """One track with one segment; fixes without a position are left out (GPX has no such thing)."""
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n<gpx version="1.1" creator="wangge" '
        f'xmlns="http://www.topografix.com/GPX/1/1">\n<trk><name>{escape(device)}</name><trkseg>\n'
    )
    async for point in read():
        if point.lat is not None and point.lon is not None:
            height = "" if point.altitude_m is None else f"<ele>{point.altitude_m:g}</ele>"
            satellites = "" if point.satellites is None else f"<sat>{point.satellites}</sat>"
            yield (
                f"<trkpt lat={quoteattr(f'{point.lat:.9f}')} lon={quoteattr(f'{point.lon:.9f}')}>{height}"
                f"<time>{moment(point.fixed_at)}</time>{satellites}</trkpt>\n"
            )
    yield "</trkseg></trk>\n</gpx>\n"


async def mfjson(device: str, read: Read) -> AsyncIterator[str]:
    """A Feature with a MovingPoint; of several fixes at one instant the first, since times must grow."""
    yield f'{{"type":"Feature","properties":{json.dumps({"device": device}, ensure_ascii=False)},'
    yield '"crs":{"type":"Name","properties":{"name":"urn:ogc:def:crs:OGC:1.3:CRS84"}},'
    yield '"temporalGeometry":{"type":"MovingPoint","interpolation":"Linear","datetimes":['
    comma = ""
    async for point in _growing(read()):
        yield f'{comma}"{moment(point.fixed_at)}"'
        comma = ","
    yield '],"coordinates":['
    comma = ""
    async for point in _growing(read()):
        yield f"{comma}{json.dumps([point.lon, point.lat])}"
        comma = ","
    yield "]}}\n"


async def _growing(points: AsyncIterator[Point]) -> AsyncIterator[Point]:
    last: datetime | None = None
    async for point in points:
        if point.lat is not None and point.fixed_at != last:
            last = point.fixed_at
            yield point


async def comma_separated(device: str, read: Read) -> AsyncIterator[str]:
    """One line a stored fix, with a head line."""
    names = ("fixed_at", "received_at", "lat", "lon", *_PROPERTIES, "flags")
    yield _line("device", *names)
    async for point in read():
        values = [getattr(point, name) for name in names[2:-1]]
        yield _line(device, moment(point.fixed_at), moment(point.received_at), *values, " ".join(point.flags))


def _line(*values: object) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(["" if value is None else value for value in values])
    return buffer.getvalue()


WRITERS: dict[Format, Writer] = {"geojson": geojson, "gpx": gpx, "mfjson": mfjson, "csv": comma_separated}
