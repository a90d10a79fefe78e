"""Whole runs over a real broker or the stand-in service: what is sent is what the pure models say."""

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from simulators import run as runs
from simulators.anomalies import AnomalyMix
from simulators.errors import SimulatorError
from simulators.handsets import HandsetFleet
from simulators.outgoing import Outgoing
from simulators.run import run_city, run_handsets, run_terminals
from simulators.session import Options, Session, address
from simulators.special import BackFilled, SentSos, back_fill, sos
from simulators.truth import read
from tests.simulators.conftest import START_MS, city, city_now, proxy, service
from tests.simulators.test_mqtt_pool import Listener, until


async def test_a_run_sends_what_the_model_says(broker: int, tmp_path: Path) -> None:
    manifest = city(12)
    acked, truth = tmp_path / "acked.ndjson", tmp_path / "truth.ndjson"
    mix = AnomalyMix(0.5)
    options = Options(
        url=f"mqtt://127.0.0.1:{broker}",
        seed=3,
        mix=mix,
        speedup=600,
        start_ms=START_MS,
        truth=truth,
        acked=acked,
    )
    with Listener(broker) as listener:
        summary = await run_handsets(manifest, 1200, options)
        fleet = HandsetFleet(manifest.handsets, seconds=1200, seed=3, start_ms=START_MS, mix=mix)
        expected: set[tuple[str, int]] = set()
        while fleet.now_ms < START_MS + 1_200_000:
            due = [m for m in fleet.step() if m.due_ms < START_MS + 1_200_000]
            expected |= {(m.device, int(str(key))) for m in due for key in m.keys}
        await until(lambda: {(h.id, key) for h in manifest.handsets for key in listener.keys(h.id)} >= expected)
    lines = [msgspec.json.decode(line) for line in acked.read_bytes().splitlines()]
    assert {(line["device"], line["fixed_at"]) for line in lines} == expected
    assert len(lines) == summary.facts_acked == len(expected)
    assert read(truth) == sorted(fleet.truth(), key=lambda r: (r.began_at_ms, r.subject, r.code))
    assert summary.anomalies == 6
    assert summary.unacked == summary.errors == 0
    assert 0 < summary.ack_p50_s <= summary.ack_p95_s <= summary.ack_p99_s <= summary.ack_max_s


async def test_real_time_begins_now_and_nothing_is_from_the_future(broker: int, tmp_path: Path) -> None:
    acked = tmp_path / "acked.ndjson"
    options = Options(url=f"mqtt://127.0.0.1:{broker}", interval_s=1.0, acked=acked, dead_zones=False)
    before = time.time() * 1000
    summary = await run_city(city_now(20, 30), 3, options)
    for line in map(msgspec.json.decode, acked.read_bytes().splitlines()):
        at = line.get("fixed_at") or line["at"]
        assert before <= at <= line["sent_at"] + 2
    assert 40 <= summary.facts_acked <= 80
    assert 0 < summary.fix_to_ack_p50_s < 1


async def test_a_fast_run_ends_now(broker: int, tmp_path: Path) -> None:
    acked = tmp_path / "acked.ndjson"
    options = Options(url=f"mqtt://127.0.0.1:{broker}", speedup=1000, acked=acked)
    await run_terminals(city_now(0, 10), 1800, options, count=5)
    times = [msgspec.json.decode(line)["at"] for line in acked.read_bytes().splitlines()]
    assert time.time() * 1000 - 65_000 < max(times) <= time.time() * 1000
    assert max(times) - min(times) > 1_600_000


async def test_over_http(tmp_path: Path) -> None:
    async with service() as one:
        options = Options(url=f"http://127.0.0.1:{one.port}", sender="http", speedup=200, seed=1)
        summary = await run_city(city_now(10, 10), 400, options)
        assert len(one.stored) == summary.facts_acked - summary.duplicates > 450
    assert summary.errors == summary.rejected == 0


async def test_with_paho(broker: int) -> None:
    options = Options(url=f"mqtt://127.0.0.1:{broker}", sender="paho", speedup=100, dead_zones=False)
    summary = await run_handsets(city_now(10), 100, options, count=4)
    assert summary.facts_acked == 40


async def test_a_cut_line_loses_nothing(broker: int) -> None:
    manifest = city_now(30)
    async with proxy(broker) as line:

        async def cut(session: Session) -> None:
            for _ in range(4):
                await asyncio.sleep(0.25)
                line.cut()

        options = Options(url=f"mqtt://127.0.0.1:{line.port}", speedup=300, dead_zones=False, window=4)
        with Listener(broker) as listener:
            summary = await run_handsets(manifest, 600, options, meanwhile=cut)
            assert summary.facts_acked == 30 * 60
            assert summary.errors >= 30
            await until(lambda: all(len(set(listener.keys(h.id))) == 60 for h in manifest.handsets))


async def test_truth_is_written_when_cut_short(broker: int, tmp_path: Path) -> None:
    truth = tmp_path / "truth.ndjson"
    options = Options(url=f"mqtt://127.0.0.1:{broker}", truth=truth, mix=AnomalyMix(0.5, early=1.0))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await run_handsets(city_now(5), 600, options)
    assert truth.exists()


async def test_truth_is_kept_fresh_for_a_run_that_may_be_killed(broker: int, tmp_path: Path) -> None:
    truth = tmp_path / "truth.ndjson"
    mix = AnomalyMix(1.0, frozenset({"mock"}), opening=("mock",))
    options = Options(
        url=f"mqtt://127.0.0.1:{broker}", truth=truth, truth_every_s=0.2, mix=mix, interval_s=1.0, speedup=10.0
    )
    async with asyncio.TaskGroup() as group:
        run = group.create_task(run_handsets(city_now(5), 3000, options))
        await until(lambda: truth.exists() and b"mock" in truth.read_bytes())
        run.cancel()


async def test_back_fill_and_sos(broker: int) -> None:
    manifest = city_now(20)
    found: list[BackFilled | list[SentSos]] = []

    async def extra(session: Session) -> None:
        found.append(await back_fill(session, manifest.handsets[:10], total=20_000, facts_per_s=40_000, seed=1))
        found.append(await sos(session, manifest.handsets, 5, within_s=0.5))

    with Listener(broker) as listener:
        summary = await run_handsets(manifest, 2, Options(url=f"mqtt://127.0.0.1:{broker}"), meanwhile=extra)
        filled, pressed = found
        assert isinstance(filled, BackFilled)
        assert isinstance(pressed, list)
        assert filled.facts == 20_000
        assert filled.complete
        assert 0.4 < filled.handed_over_s < 10
        devices = [handset.id for handset in manifest.handsets[:10]]
        await until(lambda: sum(len(listener.keys(d)) for d in devices) >= 20_000)
        old = [(d, key) for d in devices for key in listener.keys(d) if key < time.time() * 1000 - 300_000]
        assert len(old) == len(set(old)) == 20_000
        sizes = [p.count(b"fixed_at") for t, p, r in listener.heard if p.startswith(b"[") and not r]
        assert max(sizes) <= 500
        assert sorted(sizes)[len(sizes) // 2] >= 200
        alarms = [msgspec.json.decode(p) for _, p, _ in listener.heard if b'"alarm":"sos"' in p]
    assert {fix["fixed_at"] for fix in alarms} == {one.fixed_at_ms for one in pressed}
    assert len(pressed) == 5
    assert all(one.acked_at_ms is not None and one.acked_at_ms >= one.sent_at_ms for one in pressed)
    assert summary.facts_acked >= 20_005


async def test_wrong_requests() -> None:
    options = Options(url="mqtt://127.0.0.1:1")
    with pytest.raises(SimulatorError, match="holds 2 handsets, 3 were asked for"):
        await run_handsets(city(2), 1, options, count=3)
    with pytest.raises(SimulatorError, match="greater than 0"):
        await run_handsets(city(2), 0, options)
    with pytest.raises(SimulatorError, match="no device"):
        await run_terminals(city(2), 1, options)
    with pytest.raises(SimulatorError, match="no address"):
        address("127.0.0.1:1883")


async def test_pacing_never_sends_before_the_time() -> None:
    class Recorder:
        outstanding = 0

        def __init__(self) -> None:
            self.sent: list[tuple[float, Outgoing]] = []

        def send(self, message: Outgoing) -> None:
            self.sent.append((asyncio.get_running_loop().time(), message))

    recorder = Recorder()
    fleet = HandsetFleet(city(50).handsets, seconds=20, seed=1, start_ms=START_MS, dead_zones=False)
    began = asyncio.get_running_loop().time() + 0.1
    await runs.pace([fleet], recorder, start_ms=START_MS, seconds=20, speedup=20, began=began)  # type: ignore[arg-type]
    assert len(recorder.sent) == 100
    for at, message in recorder.sent:
        assert at >= began + (message.due_ms - START_MS) / 20_000 - 0.003
