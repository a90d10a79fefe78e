"""Sessions, down-link and grid events over real MQTT clients against a real store."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.service import Running, until, wangge


class Client:
    """A paho client that remembers what it got."""

    def __init__(self, address: str, user: str, token: str, *, client_id: str, topic: str) -> None:
        self.got: list[tuple[str, Any]] = []
        self.refused: list[Any] = []
        self.subscribed = threading.Event()
        self.paho = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
        self.paho.username_pw_set(user, token)
        self.paho.on_message = lambda _c, _u, message: self.got.append((message.topic, json.loads(message.payload)))
        self.paho.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self.paho.on_subscribe = lambda *_: self.subscribed.set()
        host, _, port = address.partition(":")
        self.paho.connect(host, int(port))
        self.paho.loop_start()

    def stop(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()


@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_task_reaches_the_handset_and_events_the_operator(start: Callable[..., Running], service_folder: Path) -> None:
    data = ("--data", str(service_folder))
    assert wangge("demo-city", "--grids", "2", "--no-components", "--no-shifts", *data).returncode == 0
    service = start("--port", "0").ready()
    run = service.run
    device = json.loads(wangge("devices", "list", "--kind", "handset", "--json", *data).stdout)[0]["id"]
    token = json.loads(wangge("devices", "credential", device, "--json", *data).stdout)["token"]
    assert wangge("operators", "add", "li.si", "--role", "dispatcher", "--no-password", *data).returncode == 0
    bearer = json.loads(wangge("operators", "token", "li.si", "--json", *data).stdout)["token"]

    operator = Client(run["mqtt"], "li.si", bearer, client_id="page", topic="wangge/v1/events/#")
    handset = Client(run["mqtt"], device, token, client_id="phone", topic=f"wangge/v1/{device}/#")
    assert operator.subscribed.wait(10)
    assert handset.subscribed.wait(10)
    fix = {"fixed_at": datetime.now(UTC).isoformat(), "lat": 26.2, "lon": 111.6, "alarm": "sos"}
    handset.paho.publish(f"wangge/v1/{device}/fix", json.dumps(fix), 1).wait_for_publish(10)
    until(lambda: operator.got, 10, "the event")
    topic, event = operator.got[0]
    assert topic == "wangge/v1/events/grid/TRK-01"
    assert (event["specversion"], event["type"]) == ("1.0", "wangge.grid_event.opened")
    assert event["data"]["subject"] == device

    handset.stop()
    headers = {"Authorization": f"Bearer {bearer}"}
    for step in ("accept", "dispatch"):
        url = f"{run['http']}/api/events/{event['data']['id']}/{step}"
        assert httpx.post(url, json={}, headers=headers, trust_env=False).status_code == 200
    again = Client(run["mqtt"], device, token, client_id="phone", topic=f"wangge/v1/{device}/#")
    until(lambda: again.got, 20, "the task")
    assert again.got[0][0] == f"wangge/v1/{device}/task"
    assert again.got[0][1]["event"]["id"] == event["data"]["id"]

    operator.paho.publish("wangge/v1/events/grid/TRK-01", b"{}", 1)
    until(lambda: not operator.paho.is_connected(), 10, "the end of an operator who publishes")
    new = json.loads(wangge("devices", "credential", device, "--json", *data).stdout)["token"]
    until(lambda: not again.paho.is_connected(), 10, "the end of a revoked connection")
    assert new != token
    for client in (operator, again):
        client.stop()
    assert service.stop() == 0
