"""The supplied mosquitto configuration in a real mosquitto: TLS, one user a device, persistence, only own topics."""

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

ROOT = Path(__file__).parents[2]
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
USERS = {"hs-1": "one", "hs-2": "two", "wangge-consumer": "three"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The configuration as supplied, only its folders and its port moved; yields (port, certificate)."""
    assert MOSQUITTO, "mosquitto is missing: sudo apt-get install mosquitto"
    (tmp_path / "tls").mkdir()
    (tmp_path / "data").mkdir(mode=0o777)
    tmp_path.chmod(0o755)
    certificate = tmp_path / "tls" / "server.crt"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            str(tmp_path / "tls" / "server.key"),
            "-out",
            str(certificate),
        ],
        check=True,
        capture_output=True,
    )
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    for user, password in USERS.items():
        subprocess.run(["mosquitto_passwd", "-b", str(passwords), user, password], check=True, capture_output=True)
    port = _free_port()
    text = (ROOT / "deploy/mosquitto/mosquitto.conf").read_text(encoding="utf-8")
    text = text.replace("/mosquitto/config", str(tmp_path)).replace("/mosquitto/data", str(tmp_path / "data"))
    text = text.replace("listener 8883", f"listener {port} 127.0.0.1").replace(
        "per_listener", "user root\nper_listener"
    )
    shutil.copy(ROOT / "deploy/mosquitto/acl", tmp_path / "acl")
    (tmp_path / "mosquitto.conf").write_text(text, encoding="utf-8")
    process = subprocess.Popen([MOSQUITTO, "-c", str(tmp_path / "mosquitto.conf")], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while True:
            assert process.poll() is None, "mosquitto refused the supplied configuration"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "mosquitto did not listen in time"
                time.sleep(0.05)
        yield port, certificate
    finally:
        process.terminate()
        process.wait(timeout=10)


def _client(broker: tuple[int, Path], user: str, password: str) -> tuple[paho.Client, list[str], list[bool]]:
    port, certificate = broker
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"test-{user}")
    client.username_pw_set(user, password)
    client.tls_set(ca_certs=str(certificate), tls_version=ssl.PROTOCOL_TLS_CLIENT)
    topics: list[str] = []
    accepted: list[bool] = []
    client.on_message = lambda _client, _userdata, message: topics.append(message.topic)
    client.on_connect = lambda _client, _userdata, _flags, reason, _properties: accepted.append(not reason.is_failure)
    client.connect("localhost", port)
    _until(client, lambda: bool(accepted))
    return client, topics, accepted


def _until(client: paho.Client, condition, timeout_s: float = 10.0) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the broker did not answer in time"
        client.loop(timeout=0.1)


def test_a_device_writes_only_its_own_topics_and_the_consumer_reads_them(broker: tuple[int, Path]) -> None:
    consumer, topics, _ = _client(broker, "wangge-consumer", "three")
    subscribed: list[int] = []
    consumer.on_subscribe = lambda *_: subscribed.append(1)
    consumer.subscribe("wangge/v1/+/fix", qos=1)
    _until(consumer, lambda: bool(subscribed))
    device, _, _ = _client(broker, "hs-1", "one")
    published: list[int] = []
    device.on_publish = lambda *_: published.append(1)
    device.publish("wangge/v1/hs-2/fix", b"{}", qos=1)  # refused in silence: 3.1.1 has no negative PUBACK
    device.publish("wangge/v1/hs-1/fix", b"{}", qos=1)
    _until(device, lambda: len(published) == 2)
    _until(consumer, lambda: bool(topics))
    assert topics == ["wangge/v1/hs-1/fix"]
    device.disconnect()
    consumer.disconnect()


def test_a_wrong_password_is_refused(broker: tuple[int, Path]) -> None:
    _, _, accepted = _client(broker, "hs-1", "two")
    assert accepted == [False]
