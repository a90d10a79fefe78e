"""From payloads to committed rows and back to their senders, on a real PostgreSQL."""

import asyncio
import json
import time
from datetime import UTC, datetime

import msgspec
import pytest

from core.errors import NotAllowed
from core.fix import Flag
from devices.records import Duty
from ingest.lanes import Parcel
from ingest.mqtt.contract import Device, Inbound, Refusal, TopicKind
from ingest.sorter import Source
from tests.ingest.conftest import Rig, RigMaker, until
from tests.ingest.judging import OFF, ON


class Connection:
    """An origin that remembers how often it was told."""

    def __init__(self) -> None:
        self.settled = 0

    def settle(self) -> None:
        self.settled += 1


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def fix(**changes: object) -> dict[str, object]:
    return {"fixed_at": now_ms(), "lat": 26.42, "lon": 111.61} | changes


def reading(**changes: object) -> dict[str, object]:
    return {
        "kind": "transaction",
        "at": now_ms(),
        "boot": "b",
        "seq": 1,
        "amount_fen": 5,
        "result": "approved",
    } | changes


async def post(rig: Rig, kind: str, value: object, device: str = "hs-1") -> Parcel:
    payload = value if isinstance(value, bytes) else json.dumps(value).encode()
    return await rig.collector.intake.submit(
        Source(rig.record(device), kind, kind, now_ms(), "http", "1.2.3.4:5"), payload
    )


def message(
    rig: Rig, kind: TopicKind, payload: object, origin: Connection, device: str = "hs-1", retain: bool = False
) -> Inbound:
    who = rig.collector.intake.resolve(device) or Device(device, 0, "unknown")
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Inbound(who, kind, f"wangge/v1/{device}/{kind}", raw, now_ms(), retain, origin, b"")


async def publish(rig: Rig, *messages: Inbound) -> None:
    assert rig.collector.intake.offer(list(messages)) == len(messages)
    await until(lambda: all(m.finished for m in messages))


async def test_stored_then_duplicate(rig: Rig) -> None:
    fixes = [fix(seq=n) for n in range(20)]
    first = await post(rig, "fix", fixes)
    assert (first.stored, first.duplicate, first.rejected) == (20, 0, ())
    again = await post(rig, "fix", [*fixes[:15], fix(seq=99), fixes[0]])
    assert (again.stored, again.duplicate) == (1, 16)
    assert rig.rows("SELECT count(*), count(DISTINCT batch_id) FROM fixes") == [(21, 2)]
    assert rig.rows("SELECT sum(rows) FROM batches WHERE family = 'fix'") == [(21,)]


async def test_lanes_of_one_payload(rig: Rig) -> None:
    old = now_ms() - 3_600_000
    result = await post(rig, "fix", [fix(), fix(fixed_at=old), fix(alarm="sos"), fix(fixed_at=old - 40 * 86_400_000)])
    assert result.stored == 4
    assert rig.rows("SELECT lane, count(*) FROM fixes GROUP BY lane ORDER BY lane") == [(0, 1), (1, 1), (2, 2)]
    assert rig.rows(
        "SELECT count(*) FROM batches b WHERE family = 'fix' AND rows = (SELECT count(*) FROM fixes f "
        "WHERE f.batch_id = b.batch_id AND f.lane = b.lane AND f.fixed_at BETWEEN b.least AND b.greatest)"
    ) == [(3,)]


async def test_values_come_back_as_they_were_sent(rig: Rig) -> None:
    sent = fix(
        accuracy_m=5.5, altitude_m=-3.25, speed_mps=1.5, heading_deg=88.5, battery=0.75, satellites=9, source="fused",
        mock=True, seq=1 << 40, steps=5,
    )  # fmt: skip
    await post(rig, "fix", sent)
    await post(rig, "fix", fix(lat=26.4164118, lon=111.6152429, datum="gcj02"), "hs-2")
    row, other = rig.rows(
        "SELECT lat, lon, accuracy_m, altitude_m, speed_mps, heading_deg, battery, satellites, source, flags, seq, "
        "extra, datum, alarm, raw_lat, sent_at, "
        " (extract(epoch FROM fixed_at) * 1000)::bigint FROM fixes ORDER BY device"
    )
    assert row == (
        26.42, 111.61, 5.5, -3.25, 1.5, 88.5, 0.75, 9, 2, 1, 1 << 40, '{"steps":5}', 0, None, None, None,
        sent["fixed_at"],
    )  # fmt: skip
    assert (other[9], other[12], other[14]) == (Flag.DATUM_SHIFTED, 1, 26.4164118)


async def test_bad_elements_go_to_quarantine_and_good_ones_in(rig: Rig) -> None:
    result = await post(rig, "fix", [fix(), fix(lat=95), {"lat": 1}, fix(battery=80), fix(seq=2)])
    assert result.stored == 2
    assert [index for index, _ in sorted(result.rejected)] == [1, 2, 3]
    rows = rig.rows("SELECT device, via, kind, raw, reason FROM quarantine ORDER BY id")
    assert [(row[0], row[1], row[2]) for row in rows] == [
        (rig.record("hs-1").key, "http", why) for why in ("position", "malformed", "range")
    ]
    assert all(json.loads(bytes(row[3])) for row in rows)  # type: ignore[arg-type]


async def test_a_malformed_payload_is_kept_with_cards_masked(rig: Rig) -> None:
    result = await post(rig, "fix", b'{"fixed_at": 4111111111111111')
    assert result.malformed is not None
    assert rig.rows("SELECT convert_from(raw, 'UTF8'), kind FROM quarantine") == [
        ('{"fixed_at": ****************', "malformed")
    ]


async def test_pos_key_with_other_content_is_a_clash(rig: Rig) -> None:
    record = reading()
    assert (await post(rig, "pos", record, "pos-1")).stored == 1
    assert (await post(rig, "pos", record, "pos-1")).duplicate == 1
    clash = await post(rig, "pos", [reading(seq=2), record | {"amount_fen": 6}, record], "pos-1")
    assert (clash.stored, clash.duplicate) == (1, 1)
    assert clash.rejected == ((1, "the same key was sent before with other content"),)
    within = await post(rig, "pos", [record | {"seq": 5}, record | {"seq": 5, "amount_fen": 9}], "pos-1")
    assert (within.stored, [index for index, _ in within.rejected]) == (1, [1])
    rows = rig.rows("SELECT device, via, kind, raw FROM quarantine WHERE kind = 'clash' ORDER BY id")
    assert [json.loads(bytes(row[3]))["amount_fen"] for row in rows] == [6, 9]  # type: ignore[arg-type]
    assert rig.rows("SELECT amount_fen FROM pos_records ORDER BY seq") == [(5,), (5,), (5,)]
    assert rig.rows("SELECT rows FROM batches WHERE family = 'refusal'") == [(1,), (1,)]


async def test_mqtt_messages_are_completed_together_after_the_commit(rig: Rig) -> None:
    origin = Connection()
    messages = [message(rig, "fix", fix(seq=n), origin) for n in range(300)]
    bad = message(rig, "fix", [fix(seq=1000), fix(lat=200)], origin)
    await publish(rig, *messages, bad, message(rig, "fix", b"[]", origin))
    assert rig.rows("SELECT count(*) FROM fixes") == [(301,)]
    assert origin.settled <= 5
    assert list(bad.rejects) == ["1: lat and lon: expected -90 to 90 and -180 to 180 degrees"]
    assert messages[0].rejects == ()


async def test_unknown_devices_and_wrong_kinds_are_kept_aside(rig: Rig) -> None:
    origin = Connection()
    await publish(
        rig,
        message(rig, "fix", fix(), origin, "nobody"),
        message(rig, "fix", fix(), origin, "pos-1"),
        message(rig, "pos", reading(), origin, "hs-1"),
        message(rig, "owntracks", b"{}", origin),
    )
    assert rig.rows("SELECT kind, device IS NULL FROM quarantine ORDER BY id") == [
        ("unknown_device", True), ("identity", False), ("identity", False), ("unsupported", False),
    ]  # fmt: skip
    with pytest.raises(NotAllowed):
        await post(rig, "pos", reading(), "hs-1")
    with pytest.raises(NotAllowed, match="another device"):
        await post(rig, "fix", fix(device_id="hs-2"))
    assert (await post(rig, "fix", fix(device_id="hs-1"))).stored == 1
    assert rig.rows("SELECT count(*) FROM fixes") == [(1,)]


async def test_messages_are_one_however_often_they_come(rig: Rig) -> None:
    answer = {"event": "01J", "client_id": "a-1", "step": "answered", "text": "done 4111111111111111", "mood": "fine"}
    assert (await post(rig, "answer", answer)).stored == 1
    assert (await post(rig, "answer", answer)).duplicate == 1
    clash = await post(rig, "answer", answer | {"text": "other"})
    assert [index for index, _ in clash.rejected] == [0]
    report = {"client_id": "a-1", "kind": "rubbish", "lat": 26.4164118, "lon": 111.6152429, "datum": "gcj02"}
    assert (await post(rig, "report", report)).stored == 1
    refused = await post(rig, "report", report | {"lat": None})
    assert refused.rejected
    rows = rig.rows("SELECT kind, client_id, body FROM device_messages ORDER BY kind")
    assert [(row[0], row[1]) for row in rows] == [("answer", "a-1"), ("report", "a-1")]
    assert rows[0][2]["text"] == "done ****************"  # type: ignore[index]
    assert rows[0][2]["mood"] == "fine"  # type: ignore[index]
    assert rows[1][2]["lat"] == pytest.approx(26.42, abs=1e-6)  # type: ignore[index]


async def test_retained_state_is_kept_with_its_fact_and_cleared(rig: Rig) -> None:
    origin = Connection()
    await publish(rig, message(rig, "state", {"online": True, "at": now_ms()}, origin, retain=True))
    assert rig.rows("SELECT topic FROM mqtt_retained") == [("wangge/v1/hs-1/state",)]
    assert rig.rows("SELECT kind, body->>'online' FROM device_messages") == [("state", "true")]
    await publish(rig, message(rig, "state", b"", origin, retain=True))
    assert rig.rows("SELECT topic FROM mqtt_retained") == []
    assert rig.rows("SELECT count(*), (SELECT sum(rows) FROM batches) FROM device_messages") == [(1, 1)]


async def test_security_facts_are_stored_and_bounded(rig: Rig) -> None:
    intake = rig.collector.intake
    assert isinstance(intake.authenticate("hs-1", rig.tokens["hs-1"].encode(), "9.9.9.9:1"), Device)
    for _ in range(500):
        answer = intake.authenticate("hs-1", b"wrong", "9.9.9.9:1")
        assert isinstance(answer, Refusal)
    assert intake.bearer("wrong\ud800", "9.9.9.9:2") is None
    bearer = intake.bearer(rig.tokens["hs-2"], None)
    assert bearer is not None
    assert bearer.id == "hs-2"
    await post(rig, "fix", fix(note="4111111111111111"))
    rig.collector.security.flush()
    await until(lambda: rig.rows("SELECT count(*) FROM security_facts WHERE detail LIKE '%%together'") == [(1,)])
    rows = rig.rows("SELECT kind, count(*) FROM security_facts WHERE claimed IS NOT NULL GROUP BY kind")
    assert rows == [("credential_refused", 30)]
    assert rig.rows("SELECT kind, device FROM security_facts WHERE kind LIKE 'card%%'") == [
        ("card_number", rig.record("hs-1").key)
    ]


async def test_presence_is_written(rig: Rig) -> None:
    sent = fix(battery=0.5)
    await post(rig, "fix", [sent, fix(fixed_at=now_ms() - 60_000, battery=0.6)])
    query = "SELECT lat, battery, via, (extract(epoch FROM fixed_at) * 1000)::bigint FROM presence"
    await until(lambda: rig.rows(query) == [(26.42, 0.5, "http", sent["fixed_at"])])


async def test_an_sos_keeps_positions_over_a_restart(make_rig: RigMaker, migrated_dsn: str) -> None:
    async with make_rig() as rig:
        await post(rig, "fix", fix(alarm="sos"))
        key = rig.record("hs-1").key
        assert rig.collector.sorter._sos_times[key]
    from ingest.collector import _read_beginning

    _, times = await asyncio.to_thread(_read_beginning, migrated_dsn, now_ms() - 60_000)
    assert list(times) == [key]


async def test_off_duty_not_even_quarantine_keeps_a_position(rig: Rig) -> None:
    def duty_at(_key: int, at_ms: int) -> Duty:
        return ON if at_ms > now_ms() - 60_000 else OFF

    rig.registry.duty_at = duty_at  # type: ignore[method-assign]
    off = now_ms() - 3_600_000
    text = datetime.fromtimestamp(off / 1000, UTC).isoformat()
    refused = [
        fix(battery=50),
        fix(battery=50, fixed_at=off),
        fix(battery=50, fixed_at=text),
        {"lat": 26.4, "fixed_at": off},
    ]
    await post(rig, "fix", [*refused, fix(fixed_at=off, note="at 26.42")])
    rows = rig.rows("SELECT length(raw) > 0, cut FROM quarantine ORDER BY id")
    assert rows == [(True, False), (False, True), (False, True), (False, True)]
    assert rig.rows("SELECT lat, extra, flags FROM fixes") == [(None, None, Flag.OFF_DUTY_STRIPPED)]


async def test_raw_bytes_of_one_device_are_bounded(rig: Rig) -> None:
    for _ in range(8):
        await post(rig, "fix", [{"lat": "x" * 3000} for _ in range(5)])
    await post(rig, "fix", {"lat": "x"}, "hs-2")
    rows = rig.rows("SELECT sum(length(raw)), count(*) FROM quarantine GROUP BY device ORDER BY device")
    assert rows[0][1] == 40
    assert 36_000 <= int(str(rows[0][0])) <= 60_000
    assert int(str(rows[1][0])) > 5


async def test_a_device_over_its_records_is_not_read_for_a_while(make_rig: RigMaker) -> None:
    held: list[tuple[int, float]] = []
    async with make_rig(limits={"records_per_s": 100, "burst_s": 1}) as rig:
        rig.collector.intake.on_over_limit(lambda key, seconds: held.append((key, seconds)))
        origin = Connection()
        batches = [[fix(seq=turn * 60 + n) for n in range(60)] for turn in range(4)]
        await publish(rig, *(message(rig, "fix", batch, origin) for batch in batches))
        assert [key for key, _ in held] == [rig.record("hs-1").key] * 3
        assert 0.1 < held[0][1] <= 1.0
        assert rig.rows("SELECT count(*) FROM fixes") == [(240,)]


async def test_a_full_lane_makes_offers_short_and_calls_again(make_rig: RigMaker) -> None:
    async with make_rig(lanes={"most_rows": 1000, "batch_rows": 100}) as rig:
        intake, origin = rig.collector.intake, Connection()
        ready = asyncio.Event()
        intake.on_ready(ready.set)
        left = [message(rig, "fix", fix(seq=n), origin) for n in range(5000)]
        everything, short = left, 0
        while left:
            ready.clear()
            taken = intake.offer(left[:50])
            left = left[taken:]
            if taken < 50 and left:
                short += 1
                async with asyncio.timeout(10):
                    await ready.wait()
        assert short
        await until(lambda: all(m.finished for m in everything))
        assert rig.rows("SELECT count(*) FROM fixes") == [(5000,)]


async def test_payloads_of_any_kind_never_raise(rig: Rig) -> None:
    origin = Connection()
    payloads = (b"", b"{}", b"[]", b"[{}]", b"null", b"\xff", b'{"a":"\\u0000"}', b'{"online":1}', b"[" * 5000)
    kinds: tuple[TopicKind, ...] = ("fix", "pos", "state", "answer", "report", "owntracks")
    messages = [message(rig, kind, payload, origin) for kind in kinds for payload in payloads]
    await publish(rig, *messages)
    assert msgspec.json.encode([list(m.rejects) for m in messages])


async def test_an_alarm_goes_past_old_fixes_that_find_their_lane_full(make_rig: RigMaker) -> None:
    async with make_rig(lanes={"most_rows": 1000, "batch_rows": 100, "enough_rows": 100}) as rig:
        intake, origin = rig.collector.intake, Connection()
        began_ms = now_ms() - 900_000
        old = [
            message(rig, "fix", [fix(fixed_at=began_ms + (turn * 100 + n) * 10) for n in range(100)], origin)
            for turn in range(60)
        ]
        sos = message(rig, "fix", fix(alarm="sos"), origin)
        assert [intake.offer([one]) for one in [*old, sos]] == [1] * 61
        assert len(intake._deferred) > 0
        await until(lambda: sos.finished)
        assert not all(one.finished for one in old)
        await until(lambda: all(one.finished for one in old))
        assert rig.rows("SELECT count(*) FROM fixes") == [(6001,)]
