"""Reads a foreign broker with paho-mqtt and acknowledges to it only what is committed.

Subscribes with QoS 1 and a persistent session (clean session 0), so that the broker keeps what comes while we are
away. paho acknowledges QoS 2 on its own before the commit, so QoS 2 is not asked for. Acknowledgements leave in the
order received (OASIS MQTT 3.1.1, 4.6.0-2) and never on another connection than the message came on: packet ids may
mean something else there; the broker sends such messages again and the fact's key makes that harmless.

Receipts leave after the ledger has kept what they are made from (`ledger`); what is committed and not yet in the ledger
when we end is told when the device sends it again.

paho runs in its own thread; everything else in the event loop's thread. At most `broker_window` messages are taken
and not yet stored: beyond, paho's thread waits and with it the socket.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from core.errors import ConfigurationError, StoreUnavailable
from ingest.mqtt import topics
from ingest.mqtt.contract import Clock, Device, Inbound, Intake
from ingest.mqtt.ledger import Ledger
from ingest.mqtt.receipts import Note, sequence_numbers
from ingest.mqtt.settings import MqttSettings

log = structlog.get_logger(__name__)

FILTERS = (*(f"{topics.PREFIX}+/{kind}" for kind in ("fix", "pos", "state", "answer", "report")), "owntracks/+/+")
_RECEIPTS_QUEUED = 10_000
_ADMITS_STOP_EVERY_S = 0.2
_TELLS_EVERY_S = 0.3
_TRIES_AGAIN_AFTER_S = 1.0
_MOST_NOTES = 100_000


@dataclass(slots=True)
class ConsumerStats:
    """connected: now. connections: CONNACK 0 so far, subscriptions: SUBACK. Everything else grows: messages, stored, …

    given_up: numbers in gaps that a device did not fill in time. forgotten: stored messages left out of the receipts
    since the store was away for long; they are sent again.
    """

    connected: bool = False
    connections: int = 0
    subscriptions: int = 0
    messages: int = 0
    stored: int = 0
    unknown: int = 0
    receipts: int = 0
    given_up: int = 0
    forgotten: int = 0
    unsent: int = 0
    paused: int = 0


@dataclass(slots=True)
class _Waiting:
    message: Inbound
    connection: int
    packet_id: int
    qos: int
    numbers: Mapping[str, Sequence[int]]


class Consumer:
    """One client of one foreign broker; `Origin` of its messages. ConfigurationError for an unusable broker_url."""

    def __init__(self, settings: MqttSettings, intake: Intake, clock: Clock, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._intake = intake
        self._clock = clock
        self.stats = ConsumerStats()
        self._notes: dict[tuple[int, str], list[Note]] = {}
        self._notes_count = 0
        self._names: dict[int, str] = {}
        self._waiting: deque[_Waiting] = deque()
        self._held: list[Inbound] = []
        self._inbox: deque[tuple[int, paho.MQTTMessage]] = deque()
        self._inbox_is_announced = False
        self._slots = threading.BoundedSemaphore(settings.broker_window)
        self._lock = threading.Lock()
        self._connection = 0
        self._draining = False
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        url = urlsplit(settings.broker_url or "")
        if url.scheme not in ("mqtt", "mqtts") or not url.hostname:
            raise ConfigurationError("ingest.mqtt.broker_url must look like mqtt://host:1883 or mqtts://host:8883.")
        self._host, self._tls = url.hostname, url.scheme == "mqtts"
        self._port = url.port or (8883 if self._tls else 1883)
        self._client = self._make_client()
        intake.on_ready(self._offer)

    def _make_client(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._settings.broker_client_id,
            clean_session=False,
            protocol=MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        client.reconnect_delay_set(1, 30)
        client.max_queued_messages_set(_RECEIPTS_QUEUED)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    # --- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Reads until cancelled or drained; reconnects by itself. OSError: password or CA file cannot be read."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._prepare)
        self._client.connect_async(self._host, self._port, self._settings.broker_keep_alive_s)
        self._client.loop_start()
        try:
            while not self._stopping.is_set():
                told = await self._tell()
                await asyncio.sleep(_TELLS_EVERY_S if told else _TRIES_AGAIN_AFTER_S)
        finally:
            self._stopping.set()
            self._client.disconnect()
            await asyncio.shield(asyncio.to_thread(self._client.loop_stop))

    def _prepare(self) -> None:
        settings, password = self._settings, None
        if settings.broker_password_file is not None:
            password = settings.broker_password_file.read_text().strip()
        if settings.broker_user is not None:
            self._client.username_pw_set(settings.broker_user, password)
        if self._tls:
            self._client.tls_set(ca_certs=str(settings.broker_ca) if settings.broker_ca else None)

    async def drain(self, deadline_s: float = 10.0) -> bool:
        """Takes nothing more, waits for what is under way, acknowledges it and leaves; False: not all was stored."""
        with self._lock:
            self._draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while self._waiting or self._inbox:  # noqa: ASYNC110 only drain waits
                    await asyncio.sleep(0.02)
                await self._tell()
                while self._client.want_write():  # noqa: ASYNC110 as above
                    await asyncio.sleep(0.02)
        self._stopping.set()
        return not self._waiting

    # --- paho's thread ------------------------------------------------------------------------------------------

    def _on_connect(
        self, client: paho.Client, _data: object, _flags: object, code: ReasonCode, _properties: Properties | None
    ) -> None:
        if code.is_failure:
            log.warning("mqtt.broker_refuses", broker=self._host, reason=str(code))
            return
        with self._lock:
            self._connection += 1
        self.stats.connected = True
        self.stats.connections += 1
        log.info("mqtt.broker_connected", broker=self._host, port=self._port)
        group = self._settings.broker_group
        prefix = f"$share/{group}/" if group else ""
        client.subscribe([(prefix + topic_filter, 1) for topic_filter in FILTERS])

    def _on_disconnect(
        self, _client: paho.Client, _data: object, _flags: object, code: ReasonCode, _properties: Properties | None
    ) -> None:
        with self._lock:
            self._connection += 1
        if self.stats.connected:
            log.warning("mqtt.broker_lost", broker=self._host, reason=str(code))
        self.stats.connected = False

    def _on_subscribe(
        self, _client: paho.Client, _data: object, _mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self.stats.subscriptions += 1
        refused = [name for name, code in zip(FILTERS, codes, strict=False) if code.is_failure]
        if refused:
            log.error("mqtt.broker_refuses_subscription", filters=refused, remedy="allow them in the broker's ACL")

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        if not self._slots.acquire(blocking=False):
            self.stats.paused += 1
            while not self._slots.acquire(timeout=_ADMITS_STOP_EVERY_S):
                if self._stopping.is_set():
                    return
        with self._lock:
            if self._draining:
                self._slots.release()
                return
            self._inbox.append((self._connection, message))
            if self._inbox_is_announced:
                return
            self._inbox_is_announced = True
        self._loop.call_soon_threadsafe(self._take)

    # --- the event loop's thread --------------------------------------------------------------------------------

    def _take(self) -> None:
        with self._lock:
            arrived = list(self._inbox)
            self._inbox.clear()
            self._inbox_is_announced = False
        for connection, raw in arrived:
            self._accept(connection, raw)
        self._offer()

    def _accept(self, connection: int, raw: paho.MQTTMessage) -> None:
        try:
            topic = raw.topic
        except UnicodeDecodeError:  # a broker that does not check 1.5.3; goes to quarantine
            topic = "owntracks/not/utf-8"
        device_id, kind = topics.device_of(topic) or (topic, "owntracks")
        device = self._intake.resolve(device_id)
        if device is None:
            self.stats.unknown += 1
            device = Device(device_id, 0, "unknown")
        message = Inbound(
            device, kind, topic, bytes(raw.payload), self._clock.now_ms(), raw.retain, self, b"",
        )  # fmt: skip
        is_numbered = kind in ("fix", "pos") and device.kind != "unknown"
        numbers = sequence_numbers(message.payload) if is_numbered else {}
        message.asks = bool(numbers)
        self._waiting.append(_Waiting(message, connection, raw.mid, raw.qos, numbers))
        self._held.append(message)
        self.stats.messages += 1

    def _offer(self) -> None:
        if self._held:
            taken = self._intake.offer(self._held)
            self._held = self._held[taken:]

    def settle(self) -> None:
        """Messages are stored: acknowledges them to the broker in the order received, notes them for receipts."""
        rejected: dict[str, list[str]] = {}
        while self._waiting and self._waiting[0].message.finished:
            done = self._waiting.popleft()
            self._slots.release()
            self.stats.stored += 1
            with self._lock:
                if done.connection == self._connection and done.qos:
                    self._client.ack(done.packet_id, done.qos)
            device = done.message.device
            for boot, numbers in done.numbers.items():
                self._note(device, boot, Note(numbers, min(done.message.fresh, len(numbers))))
            if done.message.rejects and device.kind != "unknown":
                rejected.setdefault(device.device_id, []).extend(done.message.rejects)
        for device_id, reasons in rejected.items():
            self.publish(f"{topics.PREFIX}{device_id}/reject", topics.reject_payload(reasons))

    def _note(self, device: Device, boot: str, note: Note) -> None:
        if self._notes_count >= _MOST_NOTES:
            self.stats.forgotten += 1
            return
        self._notes_count += 1
        self._names[device.key] = device.device_id
        self._notes.setdefault((device.key, boot), []).append(note)

    async def _tell(self) -> bool:
        """Has the ledger keep what is stored, then publishes the receipts due; False: the store is away, try again."""
        notes, names, count = self._notes, self._names, self._notes_count
        if not notes:
            return True
        self._notes, self._names, self._notes_count = {}, {}, 0
        try:
            due = await self._ledger.record(notes)
        except StoreUnavailable:
            for key, kept in notes.items():  # perhaps kept already: then they are no new rows the second time
                kept[:] = [note._replace(fresh=0) for note in kept]
                kept += self._notes.pop(key, ())
            notes |= self._notes
            self._notes, self._names, self._notes_count = notes, names | self._names, count + self._notes_count
            return False
        self.stats.given_up += due.given_up
        for (device_key, _boot), receipt in due.receipts:
            self.stats.receipts += 1
            self.publish(f"{topics.PREFIX}{names[device_key]}/stored", receipt)
        return True

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Publishes through the broker (receipts, rejects, down-link) with QoS 1; False when its queue is full."""
        sent = self._client.publish(topic, payload, qos=1, retain=retain).rc != paho.MQTT_ERR_QUEUE_SIZE
        self.stats.unsent += not sent
        return sent
