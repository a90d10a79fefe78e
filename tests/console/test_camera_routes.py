"""Registering cameras through the API: addresses without log-ins in the registry, log-ins in their file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.camera_secrets import LogIn, LogIns
from tests.console.conftest import City

SECRET = "Pa55wort"
GRID = "431102001001001"


@pytest.fixture
def log_ins(city: City, tmp_path: Path) -> Iterator[LogIns]:
    city.console.log_ins = tmp_path / "cameras.toml"
    yield LogIns(tmp_path / "cameras.toml")
    city.console.log_ins = None


async def everything(city: City) -> str:
    async with city.store.connection() as connection:
        cursor = await connection.execute(
            "SELECT string_agg(t, ' ') FROM (SELECT d::text AS t FROM devices d "
            "UNION ALL SELECT a::text FROM audit_log a) x"
        )
        row = await cursor.fetchone()
    return str(row)


async def test_a_camera_with_its_log_in(city: City, log_ins: LogIns) -> None:
    body = {
        "id": "cam-1",
        "kind": "camera",
        "url": f"rtsp://viewer:{SECRET}@10.0.0.7/main",
        "sub_url": "rtsp://10.0.0.7/sub",
        "audio": True,
        "grid": GRID,
    }
    made = await city.client.post("/api/devices", json=body, headers=city.headers("local"))
    assert made.status_code == 201, made.text
    assert (made.json()["url"], made.json()["sub_url"]) == ("rtsp://10.0.0.7/main", "rtsp://10.0.0.7/sub")
    assert SECRET not in made.text
    assert log_ins.of("cam-1") == LogIn("viewer", SECRET)
    listed = await city.client.get("/api/devices?kind=camera", headers=city.headers("local"))
    assert [one["sub_url"] for one in listed.json()["items"] if one["id"] == "cam-1"] == ["rtsp://10.0.0.7/sub"]
    again = await city.client.post(
        "/api/devices", json={**body, "url": f"rtsp://viewer:{SECRET}x@10.0.0.7/main"}, headers=city.headers("local")
    )
    assert again.status_code == 409
    assert log_ins.of("cam-1") == LogIn("viewer", SECRET), "a refused request changes no log-in"
    changed = await city.client.put(
        "/api/devices/cam-1/login", json={"user": "viewer", "password": f"{SECRET}2"}, headers=city.headers("local")
    )
    assert changed.status_code == 204, changed.text
    assert log_ins.of("cam-1") == LogIn("viewer", f"{SECRET}2")
    assert SECRET not in await everything(city)


@pytest.mark.parametrize(
    "changes",
    [
        {"url": f"http://u:{SECRET}@10.0.0.7/"},
        {"url": f"rtsp://u:{SECRET}@10.0.0.7/", "sub_url": f"rtsp://u:{SECRET}@/"},
        {"url": f"rtsp://u:{SECRET}@10.0.0.7/" + "x" * 500},
        {"url": "rtsp://10.0.0.7/", "password": SECRET},
        {"url": "rtsp://10.0.0.7/", "user": "u", "password": SECRET * 50},
        {"url": "rtsp://10.0.0.7/", "user": f"u:{SECRET}", "password": "x"},
        {"kind": "terminal", "user": "u", "password": SECRET},
    ],
)
async def test_wrong_ones_are_refused_without_telling_the_password(
    city: City, log_ins: LogIns, changes: dict[str, str]
) -> None:
    refused = await city.client.post(
        "/api/devices", json={"id": "cam-2", "kind": "camera", "grid": GRID, **changes}, headers=city.headers("local")
    )
    assert refused.status_code == 422
    assert SECRET not in refused.text
    assert log_ins.of("cam-2") is None


async def test_where_no_camera_is_read_no_log_in_is_taken(city: City) -> None:
    body = {"id": "cam-3", "kind": "camera", "url": f"rtsp://u:{SECRET}@10.0.0.7/", "grid": GRID}
    refused = await city.client.post("/api/devices", json=body, headers=city.headers("local"))
    assert refused.status_code == 422
    assert SECRET not in await everything(city)
    nobody = await city.client.put(
        "/api/devices/cam-9/login", json={"user": "u", "password": SECRET}, headers=city.headers("local")
    )
    assert nobody.status_code == 422


async def test_only_registered_cameras_have_a_log_in(city: City, log_ins: LogIns) -> None:
    nobody = await city.client.put(
        "/api/devices/cam-9/login", json={"user": "u", "password": SECRET}, headers=city.headers("local")
    )
    assert nobody.status_code == 404
    assert log_ins.of("cam-9") is None
