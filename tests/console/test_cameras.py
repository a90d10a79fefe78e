"""The console's side of cameras: scope, rights, audit rows, and what is said while no worker serves them.

What workers answer is tested with real cameras in tests/acceptance/test_cameras.py.
"""

import time
from datetime import UTC, datetime

import pytest

from devices.equipment import DeviceRow, add_device, change_settings, settings_of, stand_at
from tests.console.conftest import GRID, City

SPAN = "from=2026-11-01T00:00:00Z&to=2026-11-01T00:01:00Z"


@pytest.fixture
async def with_camera(city: City) -> City:
    async with city.store.transaction() as connection:
        url, settings = "rtsp://10.0.0.9/main", {"sub_url": "rtsp://10.0.0.9/sub"}
        await add_device(connection, DeviceRow("c1", "camera", "路口1", url=url, settings=dict(settings)))
        await stand_at(connection, "c1", GRID, datetime(2026, 1, 1, tzinfo=UTC), (26.42, 111.61))
    await city.keeper.load()
    return city


async def _audit(city: City, action: str) -> list[tuple[str, str, str | None]]:
    async with city.store.connection() as connection:
        rows = await connection.execute("SELECT who, object, purpose FROM audit_log WHERE action = %s", [action])
        return await rows.fetchall()


async def test_a_camera_is_seen_in_its_own_division_only(with_camera: City) -> None:
    city = with_camera
    seen = (await city.client.get("/api/cameras", headers=city.headers("viewer"))).json()
    assert seen == [
        {
            "id": "c1",
            "name": "路口1",
            "grid": GRID,
            "lat": 26.42,
            "lon": 111.61,
            "has_sub": True,
            "streams": {},
        }
    ]
    assert (await city.client.get("/api/cameras", headers=city.headers("other"))).json() == []
    for path in ("", f"/clip.mp4?{SPAN}", "/snapshot.jpg", f"/recordings?{SPAN}"):
        assert (await city.client.get(f"/api/cameras/c1{path}", headers=city.headers("other"))).status_code == 404


async def test_a_viewer_sees_no_footage_and_a_handset_is_no_camera(with_camera: City) -> None:
    city = with_camera
    answer = await city.client.get(f"/api/cameras/c1/clip.mp4?{SPAN}", headers=city.headers("viewer"))
    assert answer.status_code == 403
    answer = await city.client.get(f"/api/cameras/h1/clip.mp4?{SPAN}", headers=city.headers("operator"))
    assert answer.status_code == 404


async def test_without_a_worker_that_is_said_and_the_look_is_audited_once(with_camera: City) -> None:
    city = with_camera
    for _ in range(3):
        answer = await city.client.get(
            f"/api/cameras/c1/clip.mp4?{SPAN}&purpose=case+7", headers=city.headers("operator")
        )
        assert (answer.status_code, answer.json()["kind"]) == (503, "no_worker")
    assert await _audit(city, "footage.clip") == [("operator:operator", "c1", "case 7")]
    await city.client.get(
        "/api/cameras/c1/clip.mp4?from=2026-11-01T00:00:00Z&to=2026-11-01T00:02:00Z", headers=city.headers("operator")
    )
    assert len(await _audit(city, "footage.clip")) == 2, "another span is another look"


async def test_each_time_that_is_played_is_in_the_audit_log(with_camera: City) -> None:
    city, headers = with_camera, with_camera.headers("operator")
    for span in (SPAN, SPAN, SPAN.replace("11-01", "11-02")):
        await city.client.get(f"/api/cameras/c1/playlist.m3u8?{span}", headers=headers)
        for n in range(3):
            await city.client.get(f"/api/cameras/c1/segments/{'0' * 26}-{n}.mp4", headers=headers)
    assert len(await _audit(city, "footage.play")) == 2
    assert len(await _audit(city, "footage.segment")) == 1


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("clip.mp4?from=2026-11-01T00:01:00Z&to=2026-11-01T00:00:00Z", "later than from"),
        (f"clip.mp4?{SPAN}&download=true", "purpose"),
        (f"clip.mp4?{SPAN}&stream=third", "stream"),
        ("clip.mp4?from=2026-11-01T00:00:00&to=2026-11-01T00:01:00", "from"),
        ("snapshot.jpg?width=9", "width"),
    ],
)
async def test_wrong_input_is_named(with_camera: City, path: str, says: str) -> None:
    city = with_camera
    answer = await city.client.get(f"/api/cameras/c1/{path}", headers=city.headers("operator"))
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
    assert await _audit(city, "footage.clip") == [], "what was refused was not looked at"


async def test_footage_is_protected_with_a_reason_and_set_free_again(with_camera: City) -> None:
    city, headers = with_camera, with_camera.headers("operator")
    wish = {"from": "2026-11-01T00:00:00Z", "to": "2026-11-01T01:00:00Z", "reason": "case 7"}
    made = await city.client.post("/api/cameras/c1/protections", json=wish, headers=headers)
    assert made.status_code == 201, made.text
    assert (await city.client.get("/api/cameras/c1/protections", headers=headers)).json() == [made.json()]
    assert made.json()["from"] == "2026-11-01T00:00:00Z"
    refused = await city.client.delete(
        f"/api/cameras/c1/protections/{made.json()['id']}", headers=city.headers("other")
    )
    assert refused.status_code == 404
    ended = await city.client.delete(f"/api/cameras/c1/protections/{made.json()['id']}", headers=headers)
    assert ended.status_code == 204
    assert (await city.client.get("/api/cameras/c1/protections", headers=headers)).json() == []
    assert [row[2] for row in await _audit(city, "footage.protect")] == ["case 7"]
    assert len(await _audit(city, "footage.unprotect")) == 1


async def test_relearning_is_a_word_in_the_registry_and_each_one_is_audited(with_camera: City) -> None:
    city = with_camera
    async with city.store.transaction() as connection:
        await change_settings(connection, "c1", {"quality": {"interval_s": 20}})
    before_ms = time.time() * 1000
    for _ in range(2):
        answer = await city.client.post("/api/cameras/c1/relearn", headers=city.headers("operator"))
        assert answer.status_code == 204, answer.text
    async with city.store.connection() as connection:
        settings = (await settings_of(connection, ["c1"]))["c1"]
    assert settings["sub_url"] == "rtsp://10.0.0.9/sub"
    quality = settings["quality"]
    assert isinstance(quality, dict)
    assert quality["interval_s"] == 20
    assert quality["relearned_at_ms"] == pytest.approx(time.time() * 1000, abs=time.time() * 1000 - before_ms + 1)
    assert len(await _audit(city, "camera.relearn")) == 2
    refused = await city.client.post("/api/cameras/c1/relearn", headers=city.headers("viewer"))
    assert refused.status_code == 403


async def test_a_retired_camera_is_no_longer_listed_and_stays_known(with_camera: City) -> None:
    city = with_camera
    assert (await city.client.delete("/api/devices/c1", headers=city.headers("operator"))).status_code == 403
    gone = await city.client.delete("/api/devices/c1", headers=city.headers("administrator"))
    assert gone.status_code == 204
    await city.keeper.load()
    assert (await city.client.get("/api/cameras", headers=city.headers("local"))).json() == []
    answer = await city.client.get(f"/api/cameras/c1/clip.mp4?{SPAN}", headers=city.headers("local"))
    assert answer.status_code == 503, "its footage may still be asked for"
    assert [row[1] for row in await _audit(city, "device.retire")] == ["c1"]
