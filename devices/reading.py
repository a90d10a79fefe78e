"""Files to import, as records: GeoJSON, and CSV in what Excel writes in China (UTF-8 with or without BOM, GB18030).

Row numbers are those a spreadsheet shows: the header is row 1; in GeoJSON the first feature is row 1.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from core.errors import InvalidInput

HEADERS: Mapping[str, str] = {
    "编码": "code", "区划代码": "code", "网格编码": "code", "网格代码": "code", "名称": "name", "英文名": "name_en",
    "类型": "kind", "类别": "kind", "户数": "households", "人口": "residents", "人数": "residents",
    "编号": "id", "标识码": "id", "工号": "id", "设备编号": "id", "设备号": "id", "纬度": "lat", "经度": "lon",
    "所属网格": "grid", "网格": "grid", "主管部门": "department", "部门": "department", "姓名": "name",
    "电话": "phone", "手机号": "phone", "班组": "team", "网格员": "worker", "星期": "weekday", "上班时间": "starts_at",
    "开始时间": "starts_at", "下班时间": "ends_at", "结束时间": "ends_at", "生效日期": "valid_from",
    "失效日期": "valid_to", "日期": "day", "原因": "reason", "型号": "model", "坐标系": "datum", "取流地址": "url",
    "主码流": "url", "子码流": "sub_url", "用户名": "user", "密码": "password", "音频": "audio",
    "地址": "url", "终端手机号": "jt808", "手持机": "handset", "终端": "handset", "代管": "stand_in",
    "业务": "services", "半径": "radius_m", "停留秒数": "dwell_s", "顺序": "ordinal",
}  # fmt: skip
"""Chinese column titles → field names."""


class Record(NamedTuple):
    """One row of a file: texts (CSV) or JSON values (GeoJSON properties) in order of the columns, maybe a geometry."""

    row: int
    cells: Sequence[object]
    geometry: dict[str, object] | None = None


class Document(NamedTuple):
    """A file read: its columns (of all records together) and its records."""

    columns: tuple[str, ...]
    records: list[Record]
    geojson: bool


class _Feature(msgspec.Struct):
    type: str
    geometry: dict[str, object] | None = None
    properties: dict[str, object] | None = None


class _Collection(msgspec.Struct):
    type: str
    features: list[_Feature] = []


def read_document(data: bytes) -> Document:
    """Reads a CSV or GeoJSON file. Raises InvalidInput saying what is wrong with the file as a whole."""
    head = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    return _geojson(data) if head.startswith(b"{") else _csv(decoded(data))


def decoded(data: bytes) -> str:
    """Text of a file. Raises InvalidInput when it is in no encoding that we know."""
    encodings = ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "gb18030")
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InvalidInput("The file is neither UTF-8 nor GB18030 text; save it as CSV UTF-8.")


def field_name(title: str) -> str:
    """The field that a column title means: as written, in lower case, or translated from Chinese."""
    name = title.strip().lower().replace(" ", "_")
    return HEADERS.get(name, name)


def _csv(text: str) -> Document:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise InvalidInput(f"The file is not a proper CSV file: {error}.") from error
    if not lines or not any(title.strip() for title in lines[0]):
        raise InvalidInput("The file is empty; its first row must name the columns.")
    columns = tuple(field_name(title) for title in lines[0])
    twice = next((name for name in columns if name and columns.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(f"Two columns mean {twice!r}; keep one of them.")
    records = [Record(row, line) for row, line in enumerate(lines[1:], start=2) if any(cell.strip() for cell in line)]
    return Document(columns, records, geojson=False)


def _geojson(data: bytes) -> Document:
    try:
        collection = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=_Collection)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"The file is not a proper GeoJSON file: {error}.") from error
    if collection.type != "FeatureCollection":
        raise InvalidInput(f"The GeoJSON must be a FeatureCollection, not a {collection.type}.")
    titles: dict[str, str] = {}
    for feature in collection.features:
        for title in feature.properties or ():
            titles.setdefault(field_name(title), title)
    records = [
        Record(row, [(feature.properties or {}).get(title) for title in titles.values()], feature.geometry)
        for row, feature in enumerate(collection.features, start=1)
    ]
    return Document(tuple(titles), records, geojson=True)
