"""The supplied mosquitto configuration in a real mosquitto: TLS, one user a device, persistence, only own topics."""

import shutil
import signal
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


class Broker:
    """mosquitto with the configuration as supplied, only its folders and its port moved."""

    def __init__(self, folder: Path) -> None:
        assert MOSQUITTO, "mosquitto is missing: sudo apt-get install mosquitto"
        self.port = _free_port()
        self.certificate = folder / "tls" / "server.crt"
        self._configuration = folder / "mosquitto.conf"
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "tls").mkdir()
        (folder / "data").mkdir(mode=0o777)
        folder.chmod(0o755)
        _make_certificate(self.certificate, folder / "tls" / "server.key")
        passwords = folder / "passwords"
        passwords.touch(mode=0o600)
        for user, password in USERS.items():
            subprocess.run(["mosquitto_passwd", "-b", str(passwords), user, password], check=True, capture_output=True)
        text = (ROOT / "deploy/mosquitto/mosquitto.conf").read_text(encoding="utf-8")
        text = text.replace("/mosquitto/config", str(folder)).replace("/mosquitto/data", str(folder / "data"))
        text = text.replace("listener 8883", f"listener {self.port} 127.0.0.1")
        self._configuration.write_text(text.replace("per_listener", "user root\nper_listener"), encoding="utf-8")
        shutil.copy(ROOT / "deploy/mosquitto/acl", folder / "acl")

    def start(self) -> None:
        """Starts it and waits until it listens."""
        process = self._process = subprocess.Popen(
            [str(MOSQUITTO), "-c", str(self._configuration)], stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while True:
            assert process.poll() is None, "mosquitto refused the supplied configuration"
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=0.5).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "mosquitto did not listen in time"
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it by this signal, if it runs."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=10)
            self._process = None


def _make_certificate(certificate: Path, key: Path) -> None:
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """It runs until the test ends."""
    made = Broker(tmp_path)
    made.start()
    yield made
    made.stop()


def _client(
    broker: Broker, user: str, password: str, **options: bool
) -> tuple[paho.Client, list[paho.MQTTMessage], list[bool]]:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"test-{user}", **options)  # type: ignore[arg-type]
    client.username_pw_set(user, password)
    client.tls_set(ca_certs=str(broker.certificate), tls_version=ssl.PROTOCOL_TLS_CLIENT)
    got: list[paho.MQTTMessage] = []
    accepted: list[bool] = []
    client.on_message = lambda _client, _userdata, message: got.append(message)
    client.on_connect = lambda _client, _userdata, _flags, reason, _properties: accepted.append(not reason.is_failure)
    client.connect("localhost", broker.port)
    _until(client, lambda: bool(accepted))
    return client, got, accepted


def _until(client: paho.Client, condition, timeout_s: float = 10.0) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the broker did not answer in time"
        client.loop(timeout=0.1)


def test_a_device_writes_only_its_own_topics_and_the_consumer_reads_them(broker: Broker) -> None:
    consumer, got, _ = _client(broker, "wangge-consumer", "three")
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
    _until(consumer, lambda: bool(got))
    assert [message.topic for message in got] == ["wangge/v1/hs-1/fix"]
    device.disconnect()
    consumer.disconnect()


def test_a_wrong_password_is_refused(broker: Broker) -> None:
    _, _, accepted = _client(broker, "hs-1", "two")
    assert accepted == [False]


def test_what_is_in_flight_survives_a_kill_after_the_autosave(broker: Broker) -> None:
    """A connected consumer that acknowledged nothing gets all 50 again from the broker that was killed."""
    consumer, got, _ = _client(broker, "wangge-consumer", "three", clean_session=False, manual_ack=True)
    subscribed: list[int] = []
    consumer.on_subscribe = lambda *_: subscribed.append(1)
    consumer.subscribe("wangge/v1/+/fix", qos=1)
    _until(consumer, lambda: bool(subscribed))
    device, _, _ = _client(broker, "hs-1", "one")
    published: list[int] = []
    device.on_publish = lambda *_: published.append(1)
    for number in range(50):
        device.publish("wangge/v1/hs-1/fix", b"%d" % number, qos=1)
    _until(device, lambda: len(published) == 50)
    _until(consumer, lambda: len(got) == 50)
    saved_after = time.monotonic() + 2.5
    _until(consumer, lambda: time.monotonic() > saved_after)
    broker.stop(signal.SIGKILL)
    broker.start()
    consumer, again, _ = _client(broker, "wangge-consumer", "three", clean_session=False, manual_ack=True)
    _until(consumer, lambda: len(again) == 50)
    assert [message.payload for message in again] == [b"%d" % number for number in range(50)]
    consumer.disconnect()
