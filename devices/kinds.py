"""What can be imported: for each kind its columns, what identifies a row, and what it refers to."""

from collections.abc import Mapping
from typing import NamedTuple
from zoneinfo import ZoneInfo

from core.errors import InvalidInput
from devices import fields
from devices.fields import Field, choice, digits, number, text, whole

DIVISION_KINDS = {
    "province": "province", "city": "city", "district": "district", "street": "street", "township": "township",
    "community": "community", "village": "village", "省": "province", "市": "city", "区": "district", "县": "district",
    "区县": "district", "县级市": "district", "街道": "street", "乡": "township", "镇": "township", "乡镇": "township",
    "社区": "community", "居委会": "community", "村": "village", "行政村": "village",
}  # fmt: skip
GRID_KINDS = {"urban": "urban", "rural": "rural", "城市": "urban", "城区": "urban", "农村": "rural", "乡村": "rural"}
PLACE_KINDS = {"work": "work", "checkpoint": "checkpoint", "工作点": "work", "必到点": "checkpoint"}
DATUMS = {
    "wgs84": "wgs84", "gcj02": "gcj02", "bd09": "bd09", "wgs-84": "wgs84", "gcj-02": "gcj02", "bd-09": "bd09",
    "火星坐标": "gcj02", "百度坐标": "bd09",
}  # fmt: skip
EXCEPTION_KINDS = {
    "off": "off",
    "shift": "shift",
    "休息": "off",
    "休": "off",
    "放假": "off",
    "上班": "shift",
    "班": "shift",
}
SERVICES = {
    name: name for name in ("electricity", "water", "gas", "phone", "tv", "insurance", "pension", "cash", "other")
} | {"电费": "electricity", "水费": "water", "燃气": "gas", "话费": "phone", "有线电视": "tv", "社保": "insurance",
     "养老金": "pension", "取现": "cash", "其他": "other"}  # fmt: skip

GRID = digits(15, 15)
LATITUDE = Field(number(-90, 90), required=True)
LONGITUDE = Field(number(-180, 180), required=True)
POSITION = {"lat": LATITUDE, "lon": LONGITUDE}


class Kind(NamedTuple):
    """A kind of file.

    stems: words in a file's name that tell it; key: columns that no two rows of a file share; geometry: GeoJSON types
    of its features (Point fills lat and lon, others the column `shape`); references: field → what it must name.
    """

    name: str
    stems: tuple[str, ...]
    key: tuple[str, ...]
    fields: Mapping[str, Field]
    geometry: tuple[str, ...] = ()
    shape: str | None = None
    references: Mapping[str, str] = {}


def kinds(zone: ZoneInfo) -> dict[str, Kind]:
    """All kinds by name. zone: of dates and times without an offset."""
    since = {"valid_from": Field(fields.instant(zone))}
    interval = {**since, "valid_to": Field(fields.instant(zone))}
    required_id, name = Field(fields.identifier, required=True), Field(text(), required=True)
    device = {"id": Field(fields.device_id, required=True), "name": Field(text()), "model": Field(text())}
    fixed = {**device, **POSITION, "grid": Field(GRID), **since}
    in_grid = {"grid": "grid"}
    every = (
        Kind("divisions", ("division", "区划"), ("code",), {
            "code": Field(digits(2, 12), required=True), "name": name, "name_en": Field(text()),
            "kind": Field(choice(DIVISION_KINDS), required=True),
        }),
        Kind("grids", ("grid", "网格"), ("code",), {
            "code": Field(GRID, required=True), "name": name, "kind": Field(choice(GRID_KINDS), required=True),
            "households": Field(whole(0, 1_000_000)), "residents": Field(whole(0, 10_000_000)),
        }, ("Polygon", "MultiPolygon"), "polygon"),
        Kind("departments", ("department", "部门"), ("id",), {"id": required_id, "name": name}),
        Kind("components", ("component", "部件"), ("id",), {
            "id": required_id, "kind": Field(text(64), required=True), "name": Field(text()), **POSITION,
            "grid": Field(GRID), "department": Field(fields.identifier),
        }, ("Point",), None, {**in_grid, "department": "department"}),
        Kind("places", ("place", "checkpoint", "必到点", "工作点"), ("id",), {
            "id": required_id, "grid": Field(GRID), "kind": Field(choice(PLACE_KINDS), required=True), "name": name,
            **POSITION, "radius_m": Field(number(1, 5000), default=50.0), "dwell_s": Field(whole(0, 86_400), default=0),
            "ordinal": Field(whole(0, 10_000)),
        }, ("Point",), None, in_grid),
        Kind("roads", ("road", "道路"), ("id",), {
            "id": required_id, "grid": Field(GRID, required=True), "name": Field(text()),
        }, ("LineString",), "line", in_grid),
        Kind("workers", ("worker", "网格员", "人员"), ("id",), {
            "id": required_id, "name": name, "phone": Field(text(32)), "team": Field(text(64)), "grid": Field(GRID),
            **since,
        }, references=in_grid),
        Kind("shifts", ("shift", "班次", "排班"), ("worker", "weekday", "starts_at"), {
            "worker": required_id, "weekday": Field(fields.weekdays, required=True),
            "starts_at": Field(fields.clock_time, required=True), "ends_at": Field(fields.clock_time, required=True),
            "valid_from": Field(fields.day), "valid_to": Field(fields.day),
        }, references={"worker": "worker"}),
        Kind("exceptions", ("exception", "例外", "节假日"), ("worker", "day", "starts_at"), {
            "worker": required_id, "day": Field(fields.day, required=True),
            "kind": Field(choice(EXCEPTION_KINDS), required=True), "starts_at": Field(fields.clock_time),
            "ends_at": Field(fields.clock_time), "reason": Field(text()),
        }, references={"worker": "worker or *"}),
        Kind("handsets", ("handset", "手持", "终端机"), ("id",), {
            **device, "datum": Field(choice(DATUMS), default="wgs84"), "worker": Field(fields.identifier),
            "grid": Field(GRID), "jt808": Field(digits(6, 20)), "owntracks": Field(text(128)), **since,
        }, references={**in_grid, "worker": "worker"}),
        Kind("terminals", ("terminal", "pos", "缴费"), ("id",), {
            **fixed, "services": Field(fields.several(SERVICES)),
        }, ("Point",), None, in_grid),
        Kind("cameras", ("camera", "摄像"), ("id",), {
            **fixed, "url": Field(text(500), required=True, secret=True), "sub_url": Field(text(500), secret=True),
            "audio": Field(fields.truth), "user": Field(text(200), secret=True),
            "password": Field(text(200), secret=True),
        }, ("Point",), None, in_grid),
        Kind("assignments", ("assignment", "分配", "领用"), ("worker", "handset", "grid", "valid_from"), {
            "worker": required_id, "handset": Field(fields.device_id), "grid": Field(GRID),
            "stand_in": Field(fields.truth, default=False), **interval,
        }, references={**in_grid, "worker": "worker", "handset": "handset"}),
    )  # fmt: skip
    return {kind.name: kind for kind in every}


def guess_kind(stem: str, columns: tuple[str, ...], geojson: bool, known: Mapping[str, Kind]) -> Kind:
    """The kind of a file by the words in its name, else by its columns. Raises InvalidInput when it is not clear."""
    named = [kind for kind in known.values() if any(word in stem.lower() for word in kind.stems)]
    named = [kind for kind in named if not geojson or kind.geometry]
    if named:
        return max(named, key=lambda kind: max(len(word) for word in kind.stems if word in stem.lower()))
    fitting = [kind for kind in known.values() if _fits(kind, columns, geojson)]
    if len(fitting) == 1:
        return fitting[0]
    raise InvalidInput(f"What is in the file is not clear; name its kind, one of {', '.join(known)}.")


def _fits(kind: Kind, columns: tuple[str, ...], geojson: bool) -> bool:
    required = {name for name, field in kind.fields.items() if field.required}
    if geojson:
        required -= {"lat", "lon"}
    shaped = kind.shape is None or geojson
    return shaped and (not geojson or bool(kind.geometry)) and required <= set(columns) <= set(kind.fields)
