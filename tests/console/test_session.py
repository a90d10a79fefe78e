"""Signing in: cookies, CSRF, guessing that must wait, passwords that change, tokens that end."""

import asyncio
from typing import Any

from console.attempts import Attempts
from console.caller import CSRF_HEADER, SESSION_COOKIE
from console.passwords import Passwords
from tests.console.conftest import PASSWORD, City


async def sign_in(city: City, name: str = "supervisor", password: str = PASSWORD) -> str:
    answer = await city.client.post("/api/session", json={"name": name, "password": password})
    assert answer.status_code == 201, answer.text
    cookies = answer.headers.get_list("set-cookie")
    session = next(cookie for cookie in cookies if cookie.startswith(SESSION_COOKIE))
    assert "HttpOnly" in session
    assert "samesite=strict" in session.lower()
    return str(answer.json()["csrf_token"])


async def test_session_with_csrf(city: City) -> None:
    csrf = await sign_in(city)
    assert (await city.client.get("/api/me")).json()["name"] == "supervisor"
    accept = f"/api/events/{city.events[0]}/accept"
    for headers in ({}, {CSRF_HEADER: "wrong"}):
        assert (await city.client.post(accept, json={}, headers=headers)).status_code == 403
    assert (await city.client.post(accept, json={}, headers={CSRF_HEADER: csrf})).status_code == 200
    assert (await city.client.delete("/api/session", headers={CSRF_HEADER: csrf})).status_code == 204
    assert (await city.client.get("/api/me")).status_code == 401


async def test_a_stolen_cookie_is_worth_nothing_after_signing_out(city: City) -> None:
    csrf = await sign_in(city)
    stolen = city.client.cookies[SESSION_COOKIE]
    await city.client.delete("/api/session", headers={CSRF_HEADER: csrf})
    city.client.cookies.set(SESSION_COOKIE, stolen)
    assert (await city.client.get("/api/me")).status_code == 401


async def test_guessing_must_wait_and_is_a_security_fact(city: City) -> None:
    for _ in range(3):
        answer = await city.client.post("/api/session", json={"name": "viewer", "password": "wrong"})
        assert answer.status_code == 401
    answer = await city.client.post("/api/session", json={"name": "viewer", "password": PASSWORD})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    async with city.store.connection() as connection:
        rows = await (await connection.execute("SELECT kind, claimed, via FROM security_facts")).fetchall()
        batches = await (await connection.execute("SELECT family, rows FROM batches")).fetchall()
    assert rows == [("sign_in_refused", "viewer", "console")] * 3
    assert batches == [("security", 1)] * 3


async def test_an_own_account_gives_no_new_tries_at_others(city: City) -> None:
    for name in ("viewer", "auditor"):
        await city.client.post("/api/session", json={"name": name, "password": "wrong"})
        await sign_in(city)
    await city.client.post("/api/session", json={"name": "operator", "password": "wrong"})
    answer = await city.client.post("/api/session", json={"name": "dispatcher", "password": "wrong"})
    assert answer.status_code == 429


async def test_another_site_signs_nobody_in(city: City) -> None:
    form = {"name": "viewer", "password": PASSWORD}
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 303), ("none", 303)):
        answer = await city.client.post("/sign-in", data=form, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == status
        assert ("set-cookie" in answer.headers) == (status == 303)
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        body = '{"name": "viewer", "password": "' + PASSWORD + '"}'
        answer = await city.client.post("/api/session", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 422, "what a form of another site can send is no sign-in"


async def test_few_wait_for_a_hash(city: City) -> None:
    city.console.passwords = Passwords(at_once=1, most_waiting=2)
    city.console.attempts = Attempts(1000, 300)
    answers = await asyncio.gather(
        *(city.client.post("/api/session", json={"name": f"x{n}", "password": "y"}) for n in range(8))
    )
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [401] * 3 + [429] * 5
    await sign_in(city)


async def test_what_strangers_ask_for_is_made_once(city: City) -> None:
    asked = 0
    connection = city.store.connection

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal asked
        asked += 1
        return connection(*arguments, **named)

    city.store.connection = counted  # type: ignore[method-assign]
    pages = await asyncio.gather(*(city.client.get("/") for _ in range(20)))
    assert {page.status_code for page in pages} == {200}
    assert asked == 1
    for path in ("/api/docs", "/api/openapi.json"):
        first, again = [(await city.client.get(path)).text for _ in range(2)]
        assert first == again
        assert "/api/events" in first


async def test_unknown_names_look_like_wrong_passwords(city: City) -> None:
    known = await city.client.post("/api/session", json={"name": "viewer", "password": "x"})
    unknown = await city.client.post("/api/session", json={"name": "nobody\x00", "password": "x"})
    assert known.json()["detail"] == unknown.json()["detail"] or unknown.status_code == 422


async def test_own_password(city: City) -> None:
    csrf = await sign_in(city)
    headers = {CSRF_HEADER: csrf}
    short = await city.client.put("/api/me/password", json={"present": PASSWORD, "new": "short"}, headers=headers)
    assert short.status_code == 422
    body = {"present": PASSWORD, "new": "another long one"}
    assert (await city.client.put("/api/me/password", json=body, headers=headers)).status_code == 204
    assert (await city.client.get("/api/me")).status_code == 401
    await sign_in(city, password="another long one")


async def test_operators_and_tokens(city: City) -> None:
    admin = city.headers("administrator")
    body = {"name": "new.one", "role": "operator", "division": "431102", "password": "long enough pass"}
    assert (await city.client.post("/api/operators", json=body, headers=admin)).status_code == 201
    assert (await city.client.post("/api/operators", json=body, headers=admin)).status_code == 409
    beyond = body | {"name": "other.one", "division": "431103"}
    assert (await city.client.post("/api/operators", json=beyond, headers=admin)).status_code == 403
    made = (await city.client.post("/api/operators/new.one/tokens", json={}, headers=admin)).json()
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert (await city.client.get("/api/me", headers=bearer)).json()["role"] == "operator"
    assert (await city.client.delete("/api/operators/new.one", headers=admin)).status_code == 204
    assert (await city.client.get("/api/me", headers=bearer)).status_code == 401


async def test_pages_for_people(city: City) -> None:
    front = await city.client.get("/")
    assert front.status_code == 200
    assert ">h1<" not in front.text
    assert "TRK-01" not in front.text
    wrong = await city.client.post("/sign-in", data={"name": "viewer", "password": "<b>x"})
    assert wrong.status_code == 401
    right = await city.client.post("/sign-in", data={"name": "viewer", "password": PASSWORD})
    assert right.status_code == 303
    inside = (await city.client.get("/")).text
    assert "一键求助" in inside
    assert "&lt;b&gt;" not in inside
    assert "<b>431" not in inside
    docs = (await city.client.get("/api/docs")).text
    assert "http://" not in docs
    assert "https://" not in docs
    assert "<script" not in docs + inside
