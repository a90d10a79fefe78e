"""Devices, places, import, manifest, tracks by the API."""

import json
import time
from datetime import UTC, datetime

import gpxpy
import pytest

from core.fix import Flag, StoredFix
from tests.console.conftest import GRID, City
from tests.support.facts import FactWriter


async def test_add_a_device_and_its_credential(city: City) -> None:
    admin = city.headers("administrator")
    body = {"id": "t9", "kind": "terminal", "grid": GRID, "lat": 26.42, "lon": 111.61}
    added = await city.client.post("/api/devices", json=body, headers=admin)
    assert added.status_code == 201, added.text
    assert added.json()["grid"] == GRID
    assert (await city.client.post("/api/devices", json=body, headers=admin)).status_code == 409
    made = (await city.client.post("/api/devices/t9/credential", headers=admin)).json()
    assert made["device"] == "t9"
    assert len(made["token"]) >= 43
    assert (await city.client.delete("/api/devices/t9/credential", headers=admin)).status_code == 204
    beyond = body | {"id": "t10", "grid": "431103001001001"}
    assert (await city.client.post("/api/devices", json=beyond, headers=admin)).status_code == 403
    actions = (await city.client.get("/api/audit?who=operator:administrator", headers=city.headers("local"))).json()
    assert [row["action"] for row in actions["items"]] == ["device.revoke", "device.credential", "device.add"]


@pytest.mark.parametrize(
    "body",
    [
        {"id": "x y", "kind": "handset"},
        {"id": "x", "kind": "tank"},
        {"id": "x", "kind": "handset", "worker": "nobody"},
        {"id": "x", "kind": "terminal", "worker": "w1"},
        {"id": "x", "kind": "terminal", "lat": 26.0},
        {"id": "x", "kind": "camera", "url": "rtsp://user:swordfish@10.0.0.1/x"},
    ],
)
async def test_devices_that_cannot_be(city: City, body: dict[str, object]) -> None:
    answer = await city.client.post("/api/devices", json=body, headers=city.headers("local"))
    assert answer.status_code == 422
    assert "swordfish" not in answer.text


async def test_import_with_a_dry_run(city: City) -> None:
    good = "id,name\nw7,王五\nw8,赵六\n".encode()
    local = city.headers("local")
    tried = (
        await city.client.post("/api/registry/import?name=workers.csv&dry_run=true", content=good, headers=local)
    ).json()
    assert (tried["rows"], tried["bad_rows"], tried["counts"]["workers"]["added"]) == (2, 0, 2)
    done = (await city.client.post("/api/registry/import?name=workers.csv", content=good, headers=local)).json()
    assert done["applied"]
    assert done["counts"]["workers"]["added"] == 2
    bad = await city.client.post("/api/registry/import?name=workers.csv", content=b"id,name\n,x\n", headers=local)
    assert bad.json()["bad_rows"] == 1
    assert not bad.json()["applied"]
    for content in (b"", b"\x00\x01", b"{"):
        answer = await city.client.post("/api/registry/import?name=x.geojson", content=content, headers=local)
        assert answer.status_code == 422
    scoped = await city.client.post(
        "/api/registry/import?name=workers.csv", content=good, headers=city.headers("administrator")
    )
    assert scoped.status_code == 403


async def test_manifest_gives_working_tokens_and_takes_no_real_device(city: City) -> None:
    wanted = {"handsets": 2, "terminals": 1}
    real = await city.client.post("/api/simulation/manifest", json=wanted, headers=city.headers("local"))
    assert real.status_code == 422
    assert "real devices are never taken" in real.json()["detail"]
    async with city.store.connection() as connection:
        await connection.execute("""UPDATE devices SET settings = '{"simulated": true}'""")
    answer = await city.client.post("/api/simulation/manifest", json=wanted, headers=city.headers("local"))
    document = answer.json()
    assert [one["id"] for one in document["handsets"]] == ["h1", "h2"]
    assert len(document["handsets"][0]["polygon"]) == 5
    assert document["handsets"][0]["grid"] == GRID
    assert document["terminals"][0]["lat"] == 26.42
    await city.keeper.load()
    assert city.keeper.registry.device("h1") is not None
    more = await city.client.post("/api/simulation/manifest", json={"handsets": 9}, headers=city.headers("local"))
    assert more.status_code == 422


async def test_track_in_every_format(city: City) -> None:
    base_ms = (time.time_ns() // 1_000_000 // 1000 - 600) * 1000
    key = city.keeper.registry.device("h1").key  # type: ignore[union-attr]
    fixes = [
        StoredFix(
            key, base_ms + n * 10_123, base_ms, n, 26.4212345 + n / 1e5, 111.6123456, int(Flag.MOCK) if n == 2 else 0, 1
        )
        for n in range(5)
    ]
    fixes.append(StoredFix(key, base_ms + 90_000, base_ms, 9, None, None, int(Flag.OFF_DUTY_STRIPPED), 1))
    with FactWriter(city.store.dsn) as writer:
        writer.fixes(fixes)
    since, until = datetime.fromtimestamp(base_ms / 1000, UTC), datetime.now(UTC)
    period = {"from": since.isoformat(), "to": until.isoformat(), "purpose": "a test"}

    async def track(form: str, **more: str) -> str:
        answer = await city.client.get(
            "/api/devices/h1/track", params=period | {"format": form} | more, headers=city.headers("supervisor")
        )
        assert answer.status_code == 200, answer.text
        return answer.text

    geojson = json.loads(await track("geojson"))
    assert [feature["geometry"] and feature["geometry"]["coordinates"] for feature in geojson["features"]] == [
        *([fix.lon, fix.lat] for fix in fixes[:5]), None
    ]  # fmt: skip
    assert geojson["features"][2]["properties"]["flags"] == ["mock"]
    gpx = gpxpy.parse(await track("gpx")).tracks[0].segments[0].points
    for point, fix in zip(gpx, fixes[:5], strict=True):
        assert point.latitude == pytest.approx(fix.lat, abs=1e-6)
        assert point.longitude == pytest.approx(fix.lon, abs=1e-6)
        assert point.time is not None
        assert round(point.time.timestamp() * 1000) == fix.fixed_at_ms
    moving = json.loads(await track("mfjson"))["temporalGeometry"]
    assert len(moving["datetimes"]) == len(moving["coordinates"]) == 5
    assert len((await track("csv")).splitlines()) == 7
    shifted = json.loads(await track("geojson", datum="gcj02"))["features"][0]["geometry"]["coordinates"]
    assert 0.001 < abs(shifted[0] - 111.6123456) < 0.01
    rows = (await city.client.get("/api/audit?action=track.read", headers=city.headers("local"))).json()["items"]
    assert len(rows) == 5
    assert (rows[0]["object"], rows[0]["purpose"], rows[0]["scope"]) == ("h1", "a test", GRID)


async def test_places(city: City) -> None:
    divisions = (await city.client.get("/api/divisions", headers=city.headers("viewer"))).json()["items"]
    assert [one["code"] for one in divisions] == ["4311", "431102"]
    grid = (await city.client.get(f"/api/grids/{GRID}", headers=city.headers("viewer"))).json()
    assert grid["polygon"]["type"] == "Polygon"


async def test_health_and_metrics(city: City) -> None:
    assert (await city.client.get("/healthz")).json() == {"status": "ok"}
    assert (await city.client.get("/readyz")).status_code == 200
    city.console.board.set("ingest", "down", "a test")
    assert (await city.client.get("/readyz")).status_code == 503
    metrics = (await city.client.get("/metrics")).text
    assert 'wangge_part_state{part="ingest"} 2.0' in metrics
    assert "wangge_http_requests_total" in metrics
