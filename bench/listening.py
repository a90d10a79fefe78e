"""`mqtt_single`, `mqtt_array_20`: our listener, acknowledging after commit, against mosquitto with a paho subscriber.

The same generator sends the same messages: 100 connections, QoS 1, a window of 20 unacknowledged messages each. Ours
is the service's ingest role with its own PostgreSQL; what counts is what was acknowledged a second, and it is compared
with the rows stored. The yardstick is what a paho-mqtt subscriber that does nothing received a second behind mosquitto.
"""

import statistics
from pathlib import Path
from typing import LiteralString

from bench.broker import Subscriber, mosquitto
from bench.load import recent_ms, run_load
from bench.own_store import OwnStore, add_handsets, own_store
from bench.report import Result, against
from bench.service import serve
from core.errors import WanggeError
from simulators.load import LoadReport
from store.session import connect

CONNECTIONS = 100
WINDOW = 20
ARRAY = 20
MESSAGES, QUICK_MESSAGES = 400_000, 100_000
ROUNDS, QUICK_ROUNDS = 3, 1
SINGLE_GOAL, STRETCH, ARRAY_GOAL = 1.5, 2.5, 2.0


def listening(*, quick: bool = False) -> list[Result]:
    """Yardstick and ours in turn, several rounds; medians."""
    messages = QUICK_MESSAGES if quick else MESSAGES
    rounds = QUICK_ROUNDS if quick else ROUNDS
    with own_store() as store:
        credentials = _credentials(store)
        with serve(store.dsn, "ingest", store.folder) as service:
            pairs = [
                (
                    _yardstick(store.folder, credentials, messages),
                    _ours(store, service.mqtt_port, credentials, messages, 0),
                )
                for _ in range(rounds)
            ]
            arrays = [_ours(store, service.mqtt_port, credentials, messages // 4, ARRAY) for _ in range(rounds)]
            memory = service.resident_bytes()
    raw = statistics.median(yardstick for yardstick, _ in pairs)
    single = sorted((report for _, report in pairs), key=lambda report: report.fixes_per_s)[rounds // 2]
    array = sorted(arrays, key=lambda report: report.fixes_per_s)[rounds // 2]
    return [
        against("mqtt_single", single.fixes_per_s, raw, SINGLE_GOAL, "messages/s", **_details(single), stretch=STRETCH),
        against(
            f"mqtt_array_{ARRAY}",
            array.fixes_per_s,
            single.fixes_per_s,
            ARRAY_GOAL,
            "fixes/s",
            **_details(array),
            resident_bytes=memory,
        ),
    ]


def _details(report: LoadReport) -> dict[str, object]:
    return {
        "ack_p50_s": round(report.ack_p50_s, 4),
        "ack_p99_s": round(report.ack_p99_s, 4),
        "generator_cpu_s": round(report.cpu_s, 1),
        "messages": report.messages,
        "connections": report.connections,
        "window": report.window,
    }


def _credentials(store: OwnStore) -> Path:
    file = store.folder / "credentials"
    with connect(store.dsn) as connection:
        made = add_handsets(connection, CONNECTIONS)
    file.write_text("\n".join(f"{device} {token}" for device, token in made), encoding="utf-8")
    return file


def _yardstick(folder: Path, credentials: Path, messages: int) -> float:
    with mosquitto(folder) as port:
        subscriber = Subscriber(port, messages)
        base_ms = recent_ms(messages, CONNECTIONS)
        run_load(port, credentials, messages=messages, window=WINDOW, array=0, base_ms=base_ms)
        received, seconds = subscriber.result()
    return received / seconds


def _ours(store: OwnStore, port: int, credentials: Path, messages: int, array: int) -> LoadReport:
    before = _stored(store)
    base_ms = max(recent_ms(messages * max(1, array), CONNECTIONS), _latest_ms(store) + 1)
    report = run_load(port, credentials, messages=messages, window=WINDOW, array=array, base_ms=base_ms)
    stored = _stored(store) - before
    if stored != report.fixes:
        raise WanggeError(f"{report.fixes} fixes were acknowledged, {stored} are stored")
    return report


def _stored(store: OwnStore) -> int:
    return _one(store, "SELECT count(*) FROM fixes")


def _latest_ms(store: OwnStore) -> int:
    """The latest fix stored: the next load must begin after it, or it would send some fixes again."""
    return _one(store, "SELECT coalesce(max(extract(epoch FROM fixed_at) * 1000), 0)::bigint FROM fixes")


def _one(store: OwnStore, query: LiteralString) -> int:
    with connect(store.dsn, statement_timeout_s=0) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])
