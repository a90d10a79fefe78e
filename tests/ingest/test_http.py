"""HTTP for devices over a real uvicorn: answers after commit, errors in words, bounds, bad clients."""

import asyncio
import gzip
import hashlib
import json
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest
import uvicorn
from fastapi import FastAPI

from core.clock import SystemClock
from ingest.attachments import attachment_path, sniff
from ingest.http import device_routes
from ingest.settings import HttpSettings, IngestSettings
from store.embedded import EmbeddedPostgres
from store.migrate import migrate
from tests.ingest.conftest import Rig, RigMaker, running, until
from tests.ingest.test_intake import fix, reading
from tests.ingest.test_wire import mutated
from tests.support.postgres import reachable_folder

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40


class Site(NamedTuple):
    """A rig with its HTTP server."""

    rig: Rig
    http: httpx.AsyncClient
    port: int
    folder: Path

    def bearer(self, device: str = "hs-1") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.rig.tokens[device]}"}

    async def post(self, path: str, value: object, device: str = "hs-1", **headers: str) -> httpx.Response:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        return await self.http.post(path, content=content, headers=self.bearer(device) | headers)


@asynccontextmanager
async def site_of(rig: Rig, folder: Path | None, settings: HttpSettings) -> AsyncIterator[Site]:
    app = FastAPI()
    app.include_router(device_routes(rig.collector.intake, settings, SystemClock(), folder))
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="warning", lifespan="off", timeout_graceful_shutdown=2)
    )
    task = asyncio.get_running_loop().create_task(server.serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as http:
            yield Site(rig, http, port, folder or Path())
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def site(rig: Rig, tmp_path: Path) -> AsyncIterator[Site]:
    async with site_of(rig, tmp_path / "files", HttpSettings()) as made:
        yield made


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


async def test_fixes_and_records(site: Site) -> None:
    one = fix()
    answer = await site.post("/v1/fixes", one)
    assert (answer.status_code, answer.json()) == (200, {"stored": 1, "duplicate": 0, "rejected": []})
    again = await site.post("/v1/fixes", [one, fix(seq=2), fix(lat=91)])
    reason = "lat and lon: expected -90 to 90 and -180 to 180 degrees"
    assert again.json() == {"stored": 1, "duplicate": 1, "rejected": [{"index": 2, "reason": reason}]}
    assert (await site.post("/v1/pos", reading(), "pos-1")).json()["stored"] == 1
    assert (await site.post("/v1/fixes", [])).json() == {"stored": 0, "duplicate": 0, "rejected": []}
    noted = (await site.post("/v1/fixes", fix(note="x" * 3000))).json()
    assert noted["notes"] == [{"index": 0, "note": "extra was over 2 KiB and was cut"}]
    assert site.rig.rows("SELECT count(*) FROM fixes") == [(3,)]


async def test_answers_and_reports(site: Site) -> None:
    answer = {"event": "01JDX", "client_id": "c1", "step": "answered", "text": "清理完毕"}
    assert (await site.post("/v1/answers", answer)).json() == {"stored": 1, "duplicate": 0, "rejected": []}
    assert (await site.post("/v1/answers", answer)).json()["duplicate"] == 1
    assert (await site.post("/v1/reports", {"client_id": "c2", "kind": "rubbish"})).json()["stored"] == 1
    rejected = (await site.post("/v1/reports", {"kind": "rubbish"})).json()["rejected"]
    assert rejected == [{"index": 0, "reason": "client_id is missing"}]


async def test_gzip_is_taken_within_bounds(site: Site) -> None:
    packed = gzip.compress(json.dumps([fix(seq=n) for n in range(400)]).encode())
    assert (await site.post("/v1/fixes", packed, **{"Content-Encoding": "gzip"})).json()["stored"] == 400
    problem(await site.post("/v1/fixes", gzip.compress(b" " * (64 << 20)), **{"Content-Encoding": "gzip"}), 413)
    for broken in (b"no gzip", packed[:-9], packed + b"x"):
        problem(await site.post("/v1/fixes", broken, **{"Content-Encoding": "gzip"}), 400)
    problem(await site.post("/v1/fixes", b"{}", **{"Content-Encoding": "br"}), 415)


async def test_who_is_not_known_or_not_allowed(site: Site) -> None:
    for header in (None, "", "Bearer", "Basic eDp5", "Bearer wrong", "Bearer 好", "Bearer " + "x" * 5000):
        headers = {} if header is None else {"Authorization": header.encode()}
        answer = await site.http.post("/v1/fixes", json=fix(), headers=headers)  # type: ignore[arg-type]
        problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
    problem(await site.http.post("/v1/fixes?device=hs-2", json=fix(), headers=site.bearer()), 403)
    problem(await site.post("/v1/fixes", fix(), **{"X-Device-Id": "hs-2"}), 403)
    problem(await site.post("/v1/fixes", fix(device="hs-2")), 403)
    problem(await site.post("/v1/pos", reading()), 403)
    assert (await site.http.post("/v1/fixes?device=hs-1", json=fix(), headers=site.bearer())).status_code == 200
    rows = "SELECT DISTINCT kind FROM security_facts ORDER BY kind"
    await until(lambda: site.rig.rows(rows) == [("credential_refused",), ("identity_forbidden",)])


@pytest.mark.parametrize("payload", [b"", b"x", b"null", b"{", b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * 9999])
async def test_malformed_bodies(site: Site, payload: bytes) -> None:
    for path in ("/v1/fixes", "/v1/answers", "/v1/reports"):
        assert problem(await site.post(path, payload), 400)["kind"] == "malformed"


async def test_bodies_that_are_too_large(site: Site) -> None:
    """With a length and without; the client reads its 413 although it was still writing."""
    problem(await site.post("/v1/fixes", b" " * (3 << 20)), 413)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(5 * 16):
            yield b" " * 65_536

    answer = await site.http.post("/v1/fixes", content=endless(), headers=site.bearer())
    problem(answer, 413)
    assert (await site.post("/v1/fixes", b" " * ((1 << 20) - 2) + b"[]")).status_code == 200

    def flood() -> int:
        with socket.create_connection(("127.0.0.1", site.port)) as raw:
            raw.sendall(
                f"POST /v1/fixes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.rig.tokens['hs-1']}\r\n"
                f"Content-Length: {1 << 40}\r\n\r\n".encode()
            )
            sent = 0
            try:
                while sent < 100 << 20:
                    sent += raw.send(b" " * 65_536)
            except OSError:
                pass
            return sent

    assert await asyncio.to_thread(flood) < 64 << 20
    assert (await site.post("/v1/fixes", fix())).status_code == 200


async def test_limits_of_a_device(make_rig: RigMaker, tmp_path: Path) -> None:
    async with (
        make_rig(limits={"messages_per_s": 5, "burst_s": 1}) as rig,
        site_of(rig, tmp_path, HttpSettings()) as site,
    ):
        codes = [(await site.post("/v1/fixes", fix(seq=n))).status_code for n in range(12)]
        assert codes[:5] == [200] * 5
        assert 429 in codes
        answer = await site.post("/v1/fixes", fix())
        assert int(problem(answer, 429) and answer.headers["retry-after"]) >= 1
        assert (await site.post("/v1/fixes", fix(), "hs-2")).status_code == 200


async def test_full_lanes_and_a_store_that_is_away(make_rig: RigMaker, tmp_path: Path) -> None:
    settings = HttpSettings(room_wait_s=0.2, commit_wait_s=0.5)
    async with (
        make_rig(lanes={"most_rows": 1000}, http={"room_wait_s": 0.2, "commit_wait_s": 0.5}) as rig,
        site_of(rig, tmp_path, settings) as site,
    ):
        holder = "BEGIN; LOCK TABLE fixes IN ACCESS EXCLUSIVE MODE"
        with psycopg.connect(rig.dsn, autocommit=True) as connection:
            connection.execute(holder)  # type: ignore[arg-type]
            answers = await asyncio.gather(
                *(site.post("/v1/fixes", [fix(seq=n * 500 + m) for m in range(500)]) for n in range(6))
            )
            assert {a.status_code for a in answers} == {503}
            assert all(a.headers["retry-after"] == "5" for a in answers)
            assert {a.json()["kind"] for a in answers} == {"store_unavailable"}
            connection.execute("ROLLBACK")
        stored = "SELECT count(*) FROM fixes"
        await until(lambda: rig.rows(stored)[0][0] in (500, 1000, 1500, 2000))
        await until(lambda: rig.collector.lanes.channels[1].rows == 0)
        assert (await site.post("/v1/fixes", fix())).status_code == 200


async def test_a_store_that_is_stopped_and_comes_back(tmp_path: Path) -> None:
    """Every 200 is stored, every other answer is a 503 that says when to come again."""
    with reachable_folder() as folder:
        server = EmbeddedPostgres(folder)
        await asyncio.to_thread(server.start)
        try:
            await asyncio.to_thread(migrate, server.dsn, "plain")
            settings = IngestSettings.model_validate({"http": {"commit_wait_s": 0.5}, "lanes": {"retry_most_s": 0.3}})
            async with running(server.dsn, settings) as rig, site_of(rig, tmp_path, settings.http) as site:
                assert (await site.post("/v1/fixes", fix())).status_code == 200
                await asyncio.to_thread(server.stop)
                answers = [await site.post("/v1/fixes", fix(seq=n)) for n in range(1, 6)]
                assert {answer.status_code for answer in answers} == {503}
                assert all(answer.headers["retry-after"] for answer in answers)
                started = asyncio.get_running_loop().time()
                await site.post("/v1/fixes", fix(seq=1))
                assert asyncio.get_running_loop().time() - started < 0.4
                assert rig.collector.is_store_away()
                await asyncio.to_thread(server.start)
                await until(lambda: not rig.collector.is_store_away(), 20)
                stored = [await site.post("/v1/fixes", [fix(seq=10 * n + m) for m in range(10)]) for n in range(10)]
                assert [answer.json()["stored"] for answer in stored] == [10] * 10
                assert rig.rows("SELECT count(*) >= 101 FROM fixes") == [(True,)]
        finally:
            await asyncio.to_thread(server.stop)


async def test_attachments(site: Site) -> None:
    files = {"file": ("photo.jpg", JPEG, "application/x-evil")}
    answer = await site.http.post("/v1/attachments", files=files, headers=site.bearer())
    digest = hashlib.sha256(JPEG).hexdigest()
    assert (answer.status_code, answer.json()) == (200, {"sha256": digest, "bytes": len(JPEG), "type": "image/jpeg"})
    stored = attachment_path(site.folder, digest)
    assert stored.read_bytes() == JPEG
    assert [path.stat().st_mode & 0o077 for path in (stored, stored.parent, stored.parent.parent)] == [0, 0, 0]
    again = await site.http.post("/v1/attachments", files=files, headers=site.bearer())
    assert again.json() == answer.json()
    assert [path.name for path in site.folder.rglob("*") if path.is_file()] == [digest]
    for files in ({"file": ("x.jpg", b"MZ\x90 program", "image/jpeg")}, {"file": ("empty.jpg", b"", "image/jpeg")}):
        problem(await site.http.post("/v1/attachments", files=files, headers=site.bearer()), 415)
    problem(await site.http.post("/v1/attachments", content=JPEG, headers=site.bearer()), 415)
    problem(await site.http.post("/v1/attachments", files={"file": ("a", JPEG)}), 401)
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        headers = site.bearer() | {"Content-Type": kind}
        problem(await site.http.post("/v1/attachments", content=b"--x\r\nrubbish", headers=headers), 400)
    two = [("file", ("a.jpg", JPEG)), ("file", ("b.jpg", JPEG))]
    problem(await site.http.post("/v1/attachments", files=two, headers=site.bearer()), 400)


async def test_without_a_folder_there_are_no_attachments(make_rig: RigMaker) -> None:
    async with make_rig() as rig, site_of(rig, None, HttpSettings()) as site:
        files = {"file": ("photo.jpg", JPEG)}
        problem(await site.http.post("/v1/attachments", files=files, headers=site.bearer()), 501)


async def test_attachments_are_bounded(make_rig: RigMaker, tmp_path: Path) -> None:
    async with make_rig() as rig, site_of(rig, tmp_path / "f", HttpSettings(most_attachment_bytes=100_000)) as site:
        for size, status in ((100_000, 200), (300_000, 413)):
            body = (JPEG * 100)[:size]
            answer = await site.http.post("/v1/attachments", files={"file": ("a.jpg", body)}, headers=site.bearer())
            assert answer.status_code == status
        assert len([path for path in (tmp_path / "f").rglob("*") if path.is_file()]) == 1


def test_types_by_first_bytes() -> None:
    heads = {
        b"\x89PNG\r\n\x1a\n": "image/png", b"RIFF0000WEBPVP8 ": "image/webp", b"\0\0\0\x18ftypheic": "image/heic",
        b"\0\0\0\x20ftypisom": "video/mp4", b"\0\0\0\x14ftypqt  ": "video/quicktime", b"#!AMR\n": "audio/amr",
        b"OggS\0": "audio/ogg", b"RIFF0000WAVEfmt ": "audio/wav", b"%PDF-1.7": None, b"<svg": None, b"": None,
    }  # fmt: skip
    assert {head: sniff(head) for head in heads} == heads


async def test_a_client_that_goes_away_in_its_body(site: Site) -> None:
    def leave() -> None:
        with socket.create_connection(("127.0.0.1", site.port)) as raw:
            raw.sendall(
                f"POST /v1/fixes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.rig.tokens['hs-1']}\r\n"
                "Content-Length: 1000\r\n\r\n{".encode()
            )

    await asyncio.gather(*(asyncio.to_thread(leave) for _ in range(10)))
    assert (await site.post("/v1/fixes", fix())).status_code == 200


@pytest.mark.parametrize("count", [200, pytest.param(20_000, marks=[pytest.mark.soak, pytest.mark.timeout(900)])])
async def test_mutated_payloads_get_an_answer(site: Site, count: int) -> None:
    chance = random.Random(4)
    bodies = {
        "/v1/fixes": json.dumps([fix(), fix(alarm="sos", note="é")]).encode(),
        "/v1/pos": json.dumps(reading(card_ref="tok")).encode(),
        "/v1/answers": json.dumps({"event": "e", "client_id": "c", "step": "answered", "text": "t"}).encode(),
        "/v1/reports": json.dumps({"client_id": "c", "kind": "k", "lat": 26.4, "lon": 111.6}).encode(),
    }
    for path, body in bodies.items():
        device = "pos-1" if path == "/v1/pos" else "hs-1"
        for start in range(0, count, 20):
            answers = await asyncio.gather(
                *(site.post(path, mutated(body, chance), device) for _ in range(min(20, count - start)))
            )
            assert {answer.status_code for answer in answers} <= {200, 400, 429}
