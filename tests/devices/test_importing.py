"""Imports on a real store: all or nothing, errors by row in plain words, twice is once, datum, spreadsheets."""

import csv
import io
import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from core.errors import InvalidInput
from core.place import from_wgs84
from devices.importing import ImportOptions, ImportReport, import_file
from devices.merging import Counts
from devices.parsing import RowError
from store.pool import Connection, Store

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
LATER = datetime(2026, 11, 25, 2, tzinfo=UTC)
OPTIONS = ImportOptions(ZONE)
GRIDS = ("431102001001001", "431102001001002")


ROUNDED = "'4.31102E+14' was turned into a rounded number by the spreadsheet; format the column as text"


def table(*rows: str) -> bytes:
    return "\n".join(rows).encode()


def collection(*features: tuple[dict[str, object], dict[str, object] | None]) -> bytes:
    return json.dumps(
        {
            "type": "FeatureCollection",
            "features": [{"type": "Feature", "properties": p, "geometry": g} for p, g in features],
        }
    ).encode()


def square(west: float, side: float = 0.01) -> dict[str, object]:
    ring = [[west, 26.4], [west + side, 26.4], [west + side, 26.41], [west, 26.41], [west, 26.4]]
    return {"type": "Polygon", "coordinates": [ring]}


def grids() -> bytes:
    return collection(
        ({"网格编码": GRIDS[0], "名称": "网格一", "类型": "城市", "户数": 300}, square(111.60)),
        ({"网格编码": GRIDS[1], "名称": "网格二", "类型": "农村"}, square(111.61)),
    )


WORKERS = table("工号,姓名,网格", f"w1,李建国,{GRIDS[0]}", f"w2,王秀英,{GRIDS[1]}")


async def imported(
    connection: Connection, name: str, data: bytes, options: ImportOptions = OPTIONS, now: datetime = NOW
) -> ImportReport:
    return await import_file(connection, name, data, options, now)


async def rows_of(connection: Connection, statement: str) -> list[tuple[object, ...]]:
    return list(await (await connection.execute(statement.encode())).fetchall())


FILES: list[tuple[str, bytes]] = [
    ("divisions.csv", table("code,name,kind", "4311,永州市,市", "431102,零陵区,区县")),
    ("网格.geojson", grids()),
    ("departments.csv", table("id,name", "cg,城管局")),
    ("网格员.csv", WORKERS),
    ("排班.csv", table("网格员,星期,上班时间,下班时间", "w1,周一至周五,8:00,17:00", "w2,1-7,22:00,06:00")),
    (
        "exceptions.csv",
        table("worker,day,kind,starts_at,ends_at", "*,2027-01-01,off,,", "w1,2026-12-05,上班,9:00,12:00"),
    ),
    ("handsets.csv", table("id,worker,jt808,datum", "h1,w1,013900000001,gcj02", "h2,w2,,")),
    ("terminals.csv", table("id,lat,lon,services", "t1,26.405,111.605,电费;水费")),
    ("cameras.csv", table("id,url,lat,lon,grid", f"c1,rtsp://10.0.0.9/main,26.405,111.605,{GRIDS[0]}")),
    (
        "components.csv",
        table("id,kind,name,lat,lon,department", "p1,路灯,灯 1,26.405,111.615,cg", "p2,井盖,,30,111.6,"),
    ),
    ("places.csv", table("id,kind,name,lat,lon", "a,work,派出所,26.405,111.605", "b,必到点,学校,26.405,111.615")),
    (
        "roads.geojson",
        collection(
            ({"id": "r1", "grid": GRIDS[0]}, {"type": "LineString", "coordinates": [[111.6, 26.4], [111.605, 26.405]]})
        ),
    ),
    (
        "assignments.csv",
        table("worker,handset,grid,stand_in,valid_from,valid_to", f"w1,,{GRIDS[1]},yes,2026-12-01,2026-12-08"),
    ),
]


async def test_every_kind_of_file_and_a_second_time_changes_nothing(store: Store) -> None:
    async with store.transaction() as connection:
        for name, data in FILES:
            report = await imported(connection, name, data)
            assert report.errors == []
            assert report.applied
            assert sum(counts.added for counts in report.counts.values()) >= 1
        for name, data in FILES:
            report = await imported(connection, name, data, now=LATER)
            assert report.errors == []
            assert all((counts.added, counts.changed) == (0, 0) for counts in report.counts.values()), name
        assert await rows_of(connection, "SELECT grid FROM components ORDER BY id") == [(GRIDS[1],), (None,)]
        assert await rows_of(connection, "SELECT grid FROM places ORDER BY id") == [(GRIDS[0],), (GRIDS[1],)]
        assert await rows_of(connection, "SELECT datum FROM devices WHERE id = 'h1'") == [("gcj02",)]
        assert await rows_of(connection, "SELECT settings FROM devices WHERE id = 't1'") == [
            ({"services": ["electricity", "water"]},)
        ]
        assert await rows_of(connection, "SELECT worker, kind FROM shift_exceptions ORDER BY 1, 2") == [
            ("w1", "off"),
            ("w1", "shift"),
            ("w2", "off"),
        ]
        assert await rows_of(connection, "SELECT count(*) FROM worker_grids") == [(3,)]
        assert await rows_of(connection, "SELECT min_lon, max_lat FROM grids ORDER BY code LIMIT 1") == [(111.6, 26.41)]


async def test_bad_rows_are_named_and_nothing_goes_in(store: Store) -> None:
    data = table(
        "id,name,grid",
        f"w1,李建国,{GRIDS[0]}",
        "w 2,王秀英,",
        ",无名,4.31102E+14",
        "w4,张伟,431102001001999",
        "w1,又一个,",
    )
    async with store.transaction() as connection:
        await imported(connection, "网格.geojson", grids())
        report = await imported(connection, "workers.csv", data)
        assert report.errors == [
            RowError(3, "id", "'w 2' must be 1 to 64 characters without spaces"),
            RowError(4, "grid", ROUNDED),
            RowError(4, "id", "is missing"),
            RowError(5, "grid", "no grid '431102001001999' is registered; import it first"),
            RowError(6, "id", "says the same thing as row 2; keep one of them"),
        ]
        assert (report.rows, report.bad_rows, report.applied, report.counts) == (5, 4, False, {})
        assert await rows_of(connection, "SELECT count(*) FROM workers") == [(0,)]
        report = await imported(connection, "workers.csv", data, OPTIONS._replace(partial=True))
        assert (report.bad_rows, report.applied) == (4, True)
        assert await rows_of(connection, "SELECT id FROM workers") == [("w1",)]


async def test_a_dry_run_says_what_it_would_do(store: Store) -> None:
    async with store.transaction() as connection:
        report = await imported(connection, "网格.geojson", grids(), OPTIONS._replace(dry_run=True))
        assert report.counts == {"grids": Counts(2, 0, 0)}
        assert not report.applied
        assert await rows_of(connection, "SELECT count(*) FROM grids") == [(0,)]


async def test_positions_in_another_datum_are_shifted(store: Store) -> None:
    lat, lon = from_wgs84(26.405, 111.615, "gcj02")
    point: dict[str, object] = {"type": "Point", "coordinates": [lon, lat]}
    async with store.transaction() as connection:
        await imported(connection, "网格.geojson", grids())
        await imported(
            connection,
            "p.geojson",
            collection(({"id": "x", "kind": "路灯"}, point)),
            OPTIONS._replace(datum="gcj02", kind="components"),
        )
        (row,) = await rows_of(connection, "SELECT lat, lon, grid FROM components")
        assert row[:2] == pytest.approx((26.405, 111.615), abs=1e-8)
        assert row[2] == GRIDS[1]
        shifted = collection(({"code": GRIDS[0], "name": "网格一", "kind": "urban"}, square(111.60)))
        await imported(connection, "grids.geojson", shifted, OPTIONS._replace(datum="gcj02"))
        ((west,),) = await rows_of(connection, f"SELECT min_lon FROM grids WHERE code = '{GRIDS[0]}'")
        assert isinstance(west, float)
        assert 0.004 < 111.60 - west < 0.008


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        (
            "grids.csv",
            table("code,name,kind", f"{GRIDS[0]},网格,urban"),
            RowError(1, "geometry", "grids have a shape: import them from GeoJSON"),
        ),
        ("workers.csv", table("id", "w1"), RowError(1, "name", "the column is missing")),
        (
            "grids.geojson",
            collection(({"code": GRIDS[0], "name": "a", "kind": "urban"}, None)),
            RowError(1, "geometry", "The geometry must be a GeoJSON Polygon or MultiPolygon."),
        ),
        (
            "cameras.csv",
            table("id,url,lat,lon", "c1,rtsp://a:b@10.0.0.9/,26.405,111.605"),
            RowError(2, "url", "holds a log-in, and log-ins of cameras are not kept here; leave user and password out"),
        ),
        (
            "terminals.csv",
            table("id,lat,lon", "t1,20,100"),
            RowError(2, "grid", "is missing, and the position lies in no grid"),
        ),
        (
            "terminals.csv",
            table("id,lat,lon", "h9,26.405,111.605"),
            RowError(2, "id", "the id 'h9' is taken by a handset"),
        ),
        (
            "shifts.csv",
            table("worker,weekday,starts_at,ends_at", "w1,1,8:00,12:00", "w1,1-5,11:00,17:00"),
            RowError(2, "worker", "The shift of weekday 1 at 08:00 overlaps the next one."),
        ),
        (
            "exceptions.csv",
            table("worker,day,kind", "w1,2026-12-01,shift"),
            RowError(2, "kind", "off has no times, shift has starts_at and ends_at"),
        ),
        (
            "assignments.csv",
            table("worker,handset", "w1,"),
            RowError(2, "handset", "name a handset or a grid that the worker gets"),
        ),
        (
            "assignments.csv",
            table("worker,handset", "w1,h0"),
            RowError(2, "handset", "no handset 'h0' is registered; import it first"),
        ),
    ],
)
async def test_what_can_be_wrong(store: Store, name: str, data: bytes, error: RowError) -> None:
    async with store.transaction() as connection:
        await imported(connection, "网格.geojson", grids())
        await imported(connection, "workers.csv", WORKERS)
        await imported(connection, "handsets.csv", table("id", "h9"))
        report = await imported(connection, name, data)
        assert report.errors == [error]
        assert not report.applied


async def test_a_polygon_that_crosses_itself_is_refused(store: Store) -> None:
    bow: dict[str, object] = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    async with store.transaction() as connection:
        report = await imported(
            connection, "grids.geojson", collection(({"code": GRIDS[0], "name": "a", "kind": "urban"}, bow))
        )
        assert report.bad_rows == 1
        assert "Self-intersection" in report.errors[0].reason


async def test_a_handset_cannot_belong_to_two(store: Store) -> None:
    async with store.transaction() as connection:
        await imported(connection, "网格.geojson", grids())
        await imported(connection, "workers.csv", WORKERS)
        await imported(connection, "handsets.csv", table("id", "h1"))
        first = table("worker,handset,valid_from,valid_to", "w1,h1,2026-11-01,2026-12-01", "w2,h1,2026-11-20,")
        report = await imported(connection, "assignments.csv", first)
        assert [(error.row, error.field) for error in report.errors] == [(3, "worker")]
        assert "already belongs to w1" in report.errors[0].reason
        assert await rows_of(connection, "SELECT count(*) FROM handset_workers") == [(0,)]


async def test_an_unknown_kind_is_refused(store: Store) -> None:
    async with store.transaction() as connection:
        with pytest.raises(InvalidInput, match="no kind of import"):
            await imported(connection, "x.csv", b"id\n1\n", OPTIONS._replace(kind="things"))


async def test_components_by_the_thousand(store: Store) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "kind", "name", "lat", "lon"])
    writer.writerows(
        [f"c{n}", "路灯", f"灯\t{n}" if n % 7 == 0 else f"灯\\{n}", 26.4 + n % 97 * 1e-4, 111.6 + n % 199 * 1e-4]
        for n in range(20_000)
    )
    data = text.getvalue().encode("gb18030")
    async with store.transaction() as connection:
        await imported(connection, "网格.geojson", grids())
        report = await imported(connection, "components.csv", data, OPTIONS._replace(partial=True))
        assert report.counts["components"].added == report.rows - report.bad_rows
        assert report.bad_rows == len(range(0, 20_000, 7))
        assert await rows_of(connection, "SELECT count(*) FROM components WHERE grid IS NULL") == [(0,)]
        assert await rows_of(connection, "SELECT name FROM components WHERE id = 'c1'") == [("灯\\1",)]
