"""Rubbish of every kind on every way in, while good devices go on: no crash, no stall, no 5xx, nothing good is dropped.

What is refused has a reason. Kinds of rubbish: see payloads.py.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.mqtt import codec
from ingest.mqtt.codec import Acknowledge, Bare, Connect, Publish, Subscribe, Unsubscribe
from tests.faults.harness import Device, Up, add_devices, known, rows
from tests.faults.load import check_exactly_once, http_load, mqtt_load, sending
from tests.faults.payloads import Payload, mutated, payloads

STALLS_S = 20.0
soak = [pytest.mark.soak, pytest.mark.timeout(7200)]
counts = pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=soak)])
PATHS = {"fix": "/v1/fixes", "pos": "/v1/pos", "answer": "/v1/answers", "report": "/v1/reports"}
LARGE = [b"[" + b"1," * 5_000_000 + b"1]", b'{"a":"' + b"x" * 10_000_000 + b'"}', b"\x00" * 10_000_000]
TROUBLE = ("Traceback", "sorter.unpackable", "lane.row_refused", "part.failed", "lane.stuck")


@asynccontextmanager
async def good_devices(service: Up) -> AsyncIterator[None]:
    """Go on sending over MQTT and HTTP during the block, unharmed."""
    log_before = len(service.log.read_bytes())
    devices = add_devices(service.dsn, handsets=6, terminals=2)
    await known(service, devices)
    loads = [mqtt_load(service, devices[0:3] + devices[6:8], 50, seed=1), http_load(service, devices[3:6], 20, seed=2)]
    async with sending(*loads):
        yield
        for load in loads:
            await load.progress(STALLS_S)
    check_exactly_once(service.dsn, *loads)
    for load in loads:
        assert load.sender.tally.errors == 0
        assert load.latencies.max_s < STALLS_S
        print(f"good devices: p99 {load.latencies.percentile_s(0.99):.3f} s, most {load.latencies.max_s:.3f} s")
    service.check_alive()
    said = service.log.read_bytes()[log_before:].decode(errors="replace")
    assert not [word for word in TROUBLE if word in said], said[-3000:]


async def examples(count: int, strategy: st.SearchStrategy[Payload], check: Callable[[Payload], None]) -> None:
    """`check` on `count` examples, in a thread."""

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def run(payload: Payload) -> None:
        check(payload)

    await asyncio.to_thread(run)


def stored_ms(dsn: str, device: Device) -> set[int]:
    """Times of what is stored of a device."""
    table, at = ("fixes", "fixed_at") if device.kind == "handset" else ("pos_records", "at")
    query = f"SELECT round(extract(epoch FROM {at}) * 1000) FROM {table} WHERE device = "
    return {int(ms) for (ms,) in rows(dsn, query + "(SELECT key FROM devices WHERE id = %s)", device.id)}


def check_reasons(dsn: str, device: Device) -> None:
    """What went to quarantine says why."""
    query = "SELECT count(*), count(*) FILTER (WHERE reason = '') FROM quarantine WHERE device = "
    ((count, silent),) = rows(dsn, query + "(SELECT key FROM devices WHERE id = %s)", device.id)
    assert silent == 0
    print(f"{count} in quarantine")


def check_answer(answer: httpx.Response, payload: Payload) -> None:
    """Status, reasons, and that all elements are accounted for."""
    assert answer.status_code in (200, 400, 403, 413, 429), (answer.status_code, answer.text, payload.body[:300])
    if answer.status_code != 200:
        assert answer.json()["detail"], payload.body[:300]
        assert answer.status_code != 429 or answer.headers["Retry-After"]
        assert not payload.good or answer.status_code == 429, (answer.text, payload.body[:300])
        return
    found = answer.json()
    rejected = {one["index"]: one["reason"] for one in found["rejected"]}
    assert all(rejected.values())
    assert not set(rejected) & set(payload.good), (found, payload.body)
    if payload.elements is not None:
        assert found["stored"] + found["duplicate"] + len(rejected) == payload.elements, (found, payload.body)


@counts
async def test_http(gentle: Up, count: int) -> None:
    handset, terminal = add_devices(gentle.dsn, handsets=1, terminals=1)
    await known(gentle, [handset, terminal])
    async with good_devices(gentle):
        for kind in PATHS:
            await http_rubbish(gentle, terminal if kind == "pos" else handset, kind, count)


async def http_rubbish(service: Up, device: Device, kind: str, count: int) -> None:
    """`count` bodies, some of them with good elements, and a few that are far too large."""
    good: set[int] = set()
    with httpx.Client(base_url=service.http, headers=device.headers, trust_env=False, timeout=STALLS_S) as client:

        def check(payload: Payload) -> None:
            answer = client.post(PATHS[kind], content=payload.body)
            check_answer(answer, payload)
            if answer.status_code == 200:
                good.update(payload.good.values())

        await examples(count, payloads(kind), check)
        for body in LARGE:
            answer = await asyncio.to_thread(client.post, PATHS[kind], content=body)
            assert answer.status_code == 413, answer.text
    assert not good - stored_ms(service.dsn, device)
    check_reasons(service.dsn, device)


PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(200)
FORM = (
    b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    + PICTURE
    + b"\r\n--edge--\r\n"
)
CONTENT_TYPES = [
    "multipart/form-data; boundary=edge", "multipart/form-data", "multipart/form-data; boundary=", "text/plain", "",
    "multipart/form-data; boundary=other", "multipart/form-data; boundary=" + "x" * 5000, "multipart/form-data; ;;=",
    "multipart/form-data; boundary=edge; charset=nonsense", "multipart/mixed; boundary=edge",
]  # fmt: skip
forms = st.tuples(
    st.one_of(st.just(FORM), mutated(FORM), mutated(FORM), st.binary(max_size=200)),
    st.one_of(st.just(CONTENT_TYPES[0]), st.just(CONTENT_TYPES[0]), st.sampled_from(CONTENT_TYPES)),
)


@counts
async def test_attachments(gentle: Up, count: int) -> None:
    device = add_devices(gentle.dsn, handsets=1)[0]
    await known(gentle, [device])
    with httpx.Client(base_url=gentle.http, headers=device.headers, trust_env=False, timeout=STALLS_S) as client:

        def check(form: tuple[bytes, str]) -> None:
            body, content_type = form
            answer = client.post("/v1/attachments", content=body, headers={"Content-Type": content_type})
            assert answer.status_code in (200, 400, 413, 415, 429), (answer.status_code, answer.text, form)
            if answer.status_code != 200:
                assert answer.json()["detail"], form

        async with good_devices(gentle):
            await examples(count, forms, check)  # type: ignore[arg-type]
            for size, status in ((10_000_000, 200), (21_000_000, 413)):
                files = {"file": ("a.png", PICTURE + bytes(size))}
                answer = await asyncio.to_thread(client.post, "/v1/attachments", files=files)
                assert answer.status_code == status, answer.text


class MqttSender:
    """Publishes with QoS 1 and waits for each PUBACK; blocking, for a thread."""

    def __init__(self, service: Up, device: Device) -> None:
        self._service, self._device = service, device
        self._loop = asyncio.get_running_loop()
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._service.mqtt_port)
        password = self._device.token.encode()
        self._writer.write(codec.encode(Connect("fuzz", user=self._device.id, password=password)))
        assert await asyncio.wait_for(self._reader.readexactly(4), STALLS_S) == b"\x20\x02\x00\x00"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()

    def publish(self, topic: str, payload: bytes) -> None:
        """Returns once it is acknowledged."""
        asyncio.run_coroutine_threadsafe(self._publish(topic, payload), self._loop).result(2 * STALLS_S)

    async def _publish(self, topic: str, payload: bytes) -> None:
        self._writer.write(codec.encode(Publish(topic, payload, 1, 7)))
        acknowledged = await asyncio.wait_for(self._reader.readexactly(4), STALLS_S)
        assert acknowledged == b"\x40\x02\x00\x07", payload[:300]

    async def expect_close(self, topic: str, payload: bytes) -> None:
        """Publishes what closes the connection."""
        with contextlib.suppress(ConnectionError):
            self._writer.write(codec.encode(Publish(topic, payload, 1, 7)))
            assert await asyncio.wait_for(self._reader.read(), STALLS_S) == b""


@counts
async def test_mqtt_topics(gentle: Up, count: int) -> None:
    handset, terminal = add_devices(gentle.dsn, handsets=1, terminals=1)
    await known(gentle, [handset, terminal])
    async with good_devices(gentle):
        for kind in [*PATHS, "state", "owntracks"]:
            await mqtt_rubbish(gentle, terminal if kind == "pos" else handset, kind, count)


async def mqtt_rubbish(service: Up, device: Device, kind: str, count: int) -> None:
    """`count` payloads to one topic, each of which must be acknowledged."""
    topic = "owntracks/u/phone" if kind == "owntracks" else f"wangge/v1/{device.id}/{kind}"
    good: set[int] = set()
    async with MqttSender(service, device) as sender:

        def check(payload: Payload) -> None:
            sender.publish(topic, payload.body)
            good.update(payload.good.values())

        await examples(count, payloads(kind if kind in PATHS else "report"), check)
    assert not good - stored_ms(service.dsn, device)
    check_reasons(service.dsn, device)


def good_packets(device: Device, number: int) -> bytes:
    """A whole conversation of a device."""
    mine = f"wangge/v1/{device.id}"
    fix = b'{"fixed_at":%d,"lat":26.4,"lon":111.6}' % (round(time.time() * 1000) - number)
    hello = Connect(f"c{number % 7}", 30, number % 2 == 0, user=device.id, password=device.token.encode())
    packets = [
        hello, Subscribe(1, ((f"{mine}/task", 1), (f"{mine}/reject", 0))), Publish(f"{mine}/fix", fix, 1, 2),
        Publish(f"{mine}/fix", fix, 0, 0), Publish(f"{mine}/fix", fix, 2, 3), Acknowledge(codec.PUBREL, 3),
        Publish(f"{mine}/state", b'{"online": true}', 1, 4, retain=True), Bare(codec.PINGREQ),
        Unsubscribe(5, (f"{mine}/task",)), Bare(codec.DISCONNECT),
    ]  # fmt: skip
    return b"".join(codec.encode(packet) for packet in packets)


def spoil(stream: bytes, dice: random.Random) -> bytes:
    """A few bytes changed, put in, cut out."""
    data = bytearray(stream)
    for _ in range(dice.randint(1, 5)):
        at = dice.randrange(max(1, len(data)))
        match dice.randrange(4):
            case 0:
                data[at : at + 1] = dice.randbytes(1)
            case 1:
                data[at:at] = dice.randbytes(dice.randint(1, 4))
            case 2:
                del data[at : at + dice.randint(1, 8)]
            case _:
                del data[at:]
    return bytes(data)


@pytest.mark.parametrize("count", [5000])
async def test_mutated_packets(gentle: Up, count: int) -> None:
    """Each spoiled conversation on a connection of its own; the listener closes each in time."""
    device = add_devices(gentle.dsn, handsets=1)[0]
    await known(gentle, [device])
    dice = random.Random(count)
    streams = iter([spoil(good_packets(device, number), dice) for number in range(count)])

    async def talk() -> None:
        for stream in streams:
            reader, writer = await asyncio.open_connection("127.0.0.1", gentle.mqtt_port)
            with contextlib.suppress(ConnectionError):
                writer.write(stream)
                writer.write_eof()
                await asyncio.wait_for(reader.read(), STALLS_S)
            writer.transport.abort()

    async with good_devices(gentle), asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(talk())
    check_reasons(gentle.dsn, device)


async def test_packets_too_large(gentle: Up) -> None:
    """A packet of 10 MB ends its connection, before it has come in."""
    device = add_devices(gentle.dsn, handsets=1)[0]
    await known(gentle, [device])
    before = gentle.resident_bytes
    async with good_devices(gentle):
        for _ in range(20):
            async with MqttSender(gentle, device) as sender:
                await sender.expect_close(f"wangge/v1/{device.id}/fix", b"[" + b"1," * 5_000_000)
    assert gentle.resident_bytes - before < 100 << 20
