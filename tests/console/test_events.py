"""Events by the API: lists, paging, filters, the six steps, trace, figures."""

from datetime import UTC, datetime

import pytest

from tests.console.conftest import GRID, NOW_MS, City


async def ids(city: City, query: str = "", role: str = "local") -> list[str]:
    answer = await city.client.get(f"/api/events{query}", headers=city.headers(role))
    assert answer.status_code == 200, answer.text
    return [event["id"] for event in answer.json()["items"]]


async def test_newest_first_and_paged(city: City) -> None:
    everything = await ids(city)
    assert everything == city.events[::-1]
    seen, cursor = [], ""
    for _ in range(10):
        page = (await city.client.get(f"/api/events?limit=3{cursor}", headers=city.headers("local"))).json()
        seen += [event["id"] for event in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == everything


@pytest.mark.parametrize(
    ("query", "which"),
    [
        ("?code=TRK-01", [3, 0]),
        ("?code=TRK-01&code=POS-02", [3, 2, 0]),
        ("?division=431103", [3]),
        (f"?division={GRID}", [2, 1, 0]),
        ("?severity=1", [3, 2, 0]),
        ("?subject=h1", [1, 0]),
        ("?step=accepted", []),
        ("?step=reported&step=accepted", [3, 2, 1, 0]),
    ],
)
async def test_filters(city: City, query: str, which: list[int]) -> None:
    assert await ids(city, query) == [city.events[n] for n in which]


async def test_filter_by_time(city: City) -> None:
    middle = datetime.fromtimestamp((NOW_MS + 1500) / 1000, UTC).isoformat().replace("+00:00", "Z")
    assert await ids(city, f"?since={middle}") == city.events[:1:-1]
    assert await ids(city, f"?until={middle}") == city.events[1::-1]


@pytest.mark.parametrize(
    "query",
    ["?code=XXX-01", "?cursor=abc", "?cursor=WzEsMl0", "?since=yesterday", "?since=2026-11-24T00:00:00", "?limit=0",
     "?division=43%25", "?severity=9", "?step=nope"],
)  # fmt: skip
async def test_bad_input_is_a_problem(city: City, query: str) -> None:
    answer = await city.client.get(f"/api/events{query}", headers=city.headers("local"))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["kind"] == "invalid"
    assert body["status"] == 422
    assert body["detail"]


async def test_the_contract_of_an_event(city: City) -> None:
    event = (await city.client.get(f"/api/events/{city.events[0]}", headers=city.headers("viewer"))).json()
    wanted = "id code severity level grid subject lat lon began_at detected_at ended_at count late step due_at"
    assert {*wanted.split(), "evidence", "causes"} <= set(event)
    assert event["causes"]["key"] == "0"


async def test_six_steps(city: City) -> None:
    one = f"/api/events/{city.events[0]}"

    async def move(step: str, role: str, body: dict[str, object], status: int = 200) -> None:
        answer = await city.client.post(f"{one}/{step}", json=body, headers=city.headers(role))
        assert answer.status_code == status, answer.text

    await move("dispatch", "dispatcher", {}, 409)
    await move("accept", "operator", {})
    await move("accept", "operator", {}, 409)
    await move("dispatch", "dispatcher", {"to": "worker:nobody"}, 422)
    await move("dispatch", "dispatcher", {"text": "go there"})
    async with city.store.connection() as connection:
        sent = await (await connection.execute("SELECT topic, convert_from(payload, 'UTF8') FROM downlink")).fetchall()
    assert len(sent) == 1
    assert sent[0][0] == "wangge/v1/h1/task"
    assert city.events[0] in sent[0][1]
    await move("start", "worker", {})
    await move("answer", "worker", {"text": ""}, 422)
    await move("answer", "worker", {"text": "helped"})
    await move("verify", "supervisor", {"passed": False}, 422)
    await move("verify", "supervisor", {"passed": False, "text": "no photo"})
    await move("answer", "supervisor", {"text": "photo added"})
    await move("verify", "supervisor", {}, 403)
    await move("verify", "dispatcher", {})
    await move("archive", "dispatcher", {})
    await move("archive", "dispatcher", {}, 409)

    trace = (await city.client.get(f"{one}/trace", headers=city.headers("auditor"))).json()
    assert [change["what"] for change in trace["changes"]] == [
        "opened", "accepted", "dispatched", "started", "answered", "rework", "answered", "verified", "archived",
    ]  # fmt: skip
    assert [change["who"] for change in trace["changes"]][2:5] == ["operator:dispatcher", "worker:w1", "worker:w1"]
    assert trace["tasks"][0]["device"] == "h1"
    assert {row["action"] for row in trace["looked_at"]} >= {"event.accept", "event.archive", "event.trace"}
    figures = (await city.client.get("/api/events/stats", headers=city.headers("local"))).json()
    assert (figures["total"], figures["open"]) == (4, 3)
    assert (figures["should_be_closed"], figures["closed"], figures["reworked"]) == (1, 1, 1)
    assert figures["closing_rate"] == 1.0


async def test_reject_needs_a_reason(city: City) -> None:
    one = f"/api/events/{city.events[1]}/reject"
    assert (await city.client.post(one, json={}, headers=city.headers("supervisor"))).status_code == 422
    answer = await city.client.post(one, json={"text": "a test"}, headers=city.headers("supervisor"))
    assert answer.json()["step"] == "rejected"
    assert city.events[1] in await ids(city)
