"""Roles × routes: every route names a right, and each role gets exactly what the table of rights gives it."""

import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from console.app import PUBLIC, create_app
from console.caller import Needs
from console.rights import RIGHTS, ROLES
from tests.console.conftest import City

BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("PUT", "/api/me/password"): {"present": "x" * 12, "new": "y" * 12},
    ("POST", "/api/events/{event_id}/reject"): {"text": "no"},
    ("POST", "/api/events/{event_id}/answer"): {"text": "done"},
    ("POST", "/api/devices"): {"id": "new-1", "kind": "handset"},
    ("POST", "/api/operators"): {"name": "new.one", "role": "viewer", "division": "431102"},
}
SPAN = "?from=2026-11-01T00:00:00Z&to=2026-11-01T00:01:00Z"
QUERIES = {
    "/api/devices/{device_id}/track": "?from=2026-11-01T00:00:00Z&to=2026-11-02T00:00:00Z",
    "/api/registry/import": "?name=workers.csv&dry_run=true",
    "/api/cameras/{camera_id}/recordings": SPAN,
    "/api/cameras/{camera_id}/clip.mp4": SPAN,
    "/api/cameras/{camera_id}/playlist.m3u8": SPAN,
}
VALUES = {"device_id": "h1", "code": "431102001001001", "name": "other", "camera_id": "c1"}


def routes(app: FastAPI) -> list[tuple[str, str, str | None]]:
    """(method, path, right) of every route; right None: nobody is asked for."""
    return [
        (method, str(one.path), right_of(one.original_route))
        for one in iter_route_contexts(app.routes)
        for method in sorted(one.methods or ())
        if method != "HEAD"
    ]


def right_of(route: object) -> str | None:
    if not isinstance(route, APIRoute):
        return None
    return next((d.call.right for d in route.dependant.dependencies if isinstance(d.call, Needs)), None)


async def test_every_route_names_a_right(city: City) -> None:
    found = routes(create_app(city.console))
    assert len(found) > 30
    without = {(method, path) for method, path, right in found if right is None}
    assert without <= PUBLIC, "a route without a right is listed in PUBLIC on purpose, or is a mistake"
    assert {right for *_, right in found if right} <= set(RIGHTS)
    assert set(RIGHTS) <= {right for *_, right in found if right}


@pytest.mark.parametrize("role", ROLES)
async def test_roles_and_routes(city: City, role: str) -> None:
    for method, path, right in routes(create_app(city.console)):
        if right is None or path == "/api/stream":
            continue
        url = re.sub(r"\{(\w+)\}", lambda m: VALUES.get(m[1], city.events[0]), path) + QUERIES.get(path, "")
        body = BODIES.get((method, path), {} if method in ("POST", "PUT") else None)
        nobody = await city.client.request(method, url, json=body)
        assert nobody.status_code == 401, (method, path)
        assert nobody.headers["content-type"] == "application/problem+json"
        answer = await city.client.request(method, url, json=body, headers=city.headers(role))
        kind = answer.json().get("kind") if answer.headers.get("content-type", "").endswith("problem+json") else None
        if role in RIGHTS[right]:
            assert answer.status_code != 401 or path == "/api/me/password", (method, path, answer.text)
            assert not (kind == "forbidden" and "may not do this" in answer.text), (method, path, answer.text)
            assert answer.status_code < 500, (method, path, answer.text)
        else:
            assert answer.status_code == 403, (method, path, answer.status_code, answer.text)
            assert kind == "forbidden"


async def test_a_scope_hides_what_lies_outside(city: City) -> None:
    seen = (await city.client.get("/api/events", headers=city.headers("other"))).json()["items"]
    assert [event["id"] for event in seen] == [city.events[3]]
    assert (await city.client.get(f"/api/events/{city.events[0]}", headers=city.headers("other"))).status_code == 404
    for path in ("/api/devices/h1/presence", "/api/devices/h1/track?from=2026-11-01T00:00:00Z&to=2026-11-02T00:00:00Z"):
        assert (await city.client.get(path, headers=city.headers("other"))).status_code == 404
    devices = (await city.client.get("/api/devices", headers=city.headers("other"))).json()["items"]
    assert [one["id"] for one in devices] == ["h2"]
    grids = (await city.client.get("/api/grids", headers=city.headers("other"))).json()["items"]
    assert [one["code"] for one in grids] == ["431103001001001"]


async def test_a_worker_sees_the_own_things_only(city: City) -> None:
    seen = (await city.client.get("/api/events", headers=city.headers("worker"))).json()["items"]
    assert {event["id"] for event in seen} == set(city.events[:2])
    answer = await city.client.post(
        f"/api/events/{city.events[0]}/answer", json={"text": "x"}, headers=city.headers("worker")
    )
    assert answer.status_code == 409
