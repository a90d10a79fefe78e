"""Cells of imports: what people write in spreadsheets, and errors they understand."""

import contextlib
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from devices import fields
from devices.kinds import guess_kind, kinds
from devices.reading import decoded, read_document

ZONE = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        (fields.weekdays, "1-5", [1, 2, 3, 4, 5]),
        (fields.weekdays, "周一至周五", [1, 2, 3, 4, 5]),
        (fields.weekdays, "周六、周日", [6, 7]),
        (fields.weekdays, "1 - 3, 5", [1, 2, 3, 5]),
        (fields.weekdays, "6-1", [1, 6, 7]),
        (fields.clock_time, "8:00", time(8)),
        (fields.clock_time, "24:00", time(0)),
        (fields.day, "2026年11月24日", date(2026, 11, 24)),
        (fields.day, "2026/1/5", date(2026, 1, 5)),
        (fields.instant(ZONE), "2026-11-24", datetime(2026, 11, 23, 16, tzinfo=UTC)),
        (fields.instant(ZONE), "2026/11/24 08:00", datetime(2026, 11, 24, 0, tzinfo=UTC)),
        (fields.instant(ZONE), "2026-11-24T08:00Z", datetime(2026, 11, 24, 8, tzinfo=UTC)),
        (fields.truth, "是", True),
        (fields.whole(0, 10), "3.0", 3),
        (fields.digits(15, 15), "431102001001001", "431102001001001"),
    ],
)
def test_reads_what_people_write(parse: fields.Parser, text: str, expected: object) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("parse", "text", "reason"),
    [
        (fields.weekdays, "8", "must be weekdays"),
        (fields.clock_time, "24:01", "time of day"),
        (fields.day, "2026-02-30", "must be a day"),
        (fields.instant(ZONE), "soon", "must be a date"),
        (fields.digits(15, 15), "4.31102E+14", "rounded number by the spreadsheet"),
        (fields.digits(2, 12), "1", "2 to 12 digits"),
        (fields.number(-90, 90), "nan", "from -90 to 90"),
        (fields.number(-90, 90), "north", "not a number"),
        (fields.whole(0, 5), "6", "from 0 to 5"),
        (fields.device_id, "手持机1", "letters, digits"),
        (fields.device_id, "events", "is reserved .* topics of grid events"),
        (fields.identifier, "a b", "without spaces"),
        (fields.text(3), "abcd", "longer than 3"),
    ],
)
def test_says_what_is_wrong(parse: fields.Parser, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text)


PARSERS = [
    fields.weekdays,
    fields.clock_time,
    fields.day,
    fields.instant(ZONE),
    fields.whole(0, 9),
    fields.number(0, 9),
]


@given(st.sampled_from(PARSERS), st.text(alphabet="0123456789-:/. TZ+年月日周一至五,、eE", max_size=24))
def test_a_cell_is_read_or_refused_never_worse(parse: fields.Parser, text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse(text) is not None


TABLE = "工号,姓名,网格\nw1,李建国,431102001001001\n\nw2,王秀英,\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_reads_the_encodings_of_a_spreadsheet(encoding: str) -> None:
    document = read_document(TABLE.encode(encoding))
    assert document.columns == ("id", "name", "grid")
    assert [(record.row, record.cells[1]) for record in document.records] == [(2, "李建国"), (4, "王秀英")]


def test_other_separators_and_broken_files() -> None:
    assert read_document(TABLE.replace(",", ";").encode()).columns == ("id", "name", "grid")
    for data, reason in (
        (b"", "empty"),
        (b'a,b\n"1,2\n', "proper CSV"),
        ("工号,编号\n".encode(), "Two columns mean"),
        (b"{", "proper GeoJSON"),
        (b'{"type": "Feature"}', "FeatureCollection"),
    ):
        with pytest.raises(InvalidInput, match=reason):
            read_document(data)
    with pytest.raises(InvalidInput, match="neither"):
        decoded(b"\xff\xff\xff")


@pytest.mark.parametrize(
    ("stem", "columns", "geojson", "kind"),
    [
        ("网格员名单", ("id", "name"), False, "workers"),
        ("网格", ("code", "name"), True, "grids"),
        ("2026-components", (), False, "components"),
        ("export", ("worker", "weekday", "starts_at", "ends_at"), False, "shifts"),
        ("export", ("worker", "day", "kind"), False, "exceptions"),
        ("export", ("code", "name", "kind"), True, "grids"),
        ("export", ("id", "url", "lat", "lon"), False, "cameras"),
    ],
)
def test_guesses_the_kind_of_a_file(stem: str, columns: tuple[str, ...], geojson: bool, kind: str) -> None:
    assert guess_kind(stem, columns, geojson, kinds(ZONE)).name == kind


def test_an_unclear_file_is_asked_about() -> None:
    with pytest.raises(InvalidInput, match="not clear"):
        guess_kind("data", ("id", "name"), False, kinds(ZONE))
