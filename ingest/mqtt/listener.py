"""Our own MQTT 3.1.1 listener for devices: acknowledges only what is committed.

In: sockets of devices and operators. Out: `Inbound` messages to the `Intake`, which answers with
`contract.complete`; down-link and grid events to those who subscribed. One event loop, one sweep for all time-outs.
Clauses are named in codec.py, session.py and gate.py.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

import structlog

from core.errors import StoreUnavailable
from ingest.mqtt import topics
from ingest.mqtt.connection import Connection
from ingest.mqtt.contract import Clock, Device, Downlink, Intake, Observer, SessionStore, Will
from ingest.mqtt.gate import Gate
from ingest.mqtt.link import Link
from ingest.mqtt.session import Reason, Session, SessionLimits
from ingest.mqtt.settings import MqttSettings
from ingest.mqtt.stats import ListenerStats
from ingest.mqtt.wills import WillDesk

log = structlog.get_logger(__name__)

_SWEEP_S = 1.0
_THROTTLE_TICK_S = 0.05
_CLOSE_WITHIN_S = 5.0
_LINGER_S = 1.0
_TIDY_EVERY_S = 60.0
_WORTH_A_WARNING = frozenset(
    {Reason.MALFORMED, Reason.FORBIDDEN_TOPIC, Reason.REFUSED, Reason.SLOW_READER, Reason.FULL}
)


def tls_context(cert: Path, key: Path) -> ssl.SSLContext:
    """A server context, TLS 1.2 or newer, from PEM files. OSError or ssl.SSLError when they cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    return context


async def _poll(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 only drain waits; the hot path tells nobody
        await asyncio.sleep(0.02)


class Listener:
    """Serves MQTT clients while `run` runs. Every method is for the event loop's thread.

    The caller raises RLIMIT_NOFILE. `started` is set when `port` is known; `stats` are plain integers.
    """

    def __init__(
        self, settings: MqttSettings, intake: Intake, store: SessionStore, observer: Observer, clock: Clock
    ) -> None:
        self.settings = settings
        self.intake = intake
        self.store = store
        self.observer = observer
        self.clock = clock
        self.stats = ListenerStats()
        self.limits = SessionLimits(
            packet_bytes=settings.max_packet_bytes,
            downlink_in_flight=settings.downlink_in_flight,
            downlink_queued=settings.downlink_queued,
            subscriptions=settings.subscriptions,
        )
        self.nobody = Link(Device("", 0, "unknown", window=0), 0.0, 1.0, 0.0)
        self.port = settings.port
        self.started = asyncio.Event()
        self.draining = False
        self._gate = Gate(self)
        self._wills = WillDesk(intake)
        self._links: dict[int, Link] = {}
        self._operators: dict[int, Link] = {}
        self._connections: dict[Connection, None] = {}
        self._closing: dict[Connection, float] = {}
        self._awaiting_room: dict[Connection, None] = {}
        self._throttled: dict[Connection, None] = {}
        self._logged: set[tuple[str, Reason]] = set()
        self._tidied_at = clock.monotonic()
        self._ended = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: asyncio.TaskGroup
        intake.on_ready(self._room_again)

    # --- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Listens until cancelled or drained. OSError when the port is busy; ssl.SSLError for unusable TLS files."""
        settings, context = self.settings, None
        if settings.tls_cert and settings.tls_key:
            context = await asyncio.to_thread(tls_context, settings.tls_cert, settings.tls_key)
        async with asyncio.TaskGroup() as self._tasks:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Connection(self),
                settings.host,
                settings.port,
                backlog=settings.backlog,
                ssl=context,
                ssl_handshake_timeout=settings.connect_timeout_s if context else None,
                ssl_shutdown_timeout=_CLOSE_WITHIN_S if context else None,
            )
            self.port = self._server.sockets[0].getsockname()[1]
            log.info("mqtt.listening", host=settings.host, port=self.port, tls=context is not None)
            self.started.set()
            try:
                await self._sweep_until_the_end()
            finally:
                self._server.close()
                for connection in [*self._connections, *self._closing]:
                    connection.close(Reason.DRAINING)
                    connection.abort()

    async def _sweep_until_the_end(self) -> None:
        while not self._ended.is_set():
            try:
                async with asyncio.timeout(_SWEEP_S):
                    await self._ended.wait()
            except TimeoutError:
                self.sweep()

    async def drain(self, deadline_s: float = 10.0) -> bool:
        """Ends in order: reads nothing more, waits for acknowledgements, publishes wills, closes; then `run` returns.

        False when something was not stored within `deadline_s`; it was not acknowledged, so devices send it again.
        """
        self.draining = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.finish_step()
        try:
            async with asyncio.timeout(deadline_s):
                await _poll(lambda: not any(link.in_flight for link in self._links.values()))
                self._close_all()
                await _poll(self._wills.is_empty)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LINGER_S):
                        await _poll(lambda: not self._closing)
        except TimeoutError:
            log.warning("mqtt.drain_incomplete", in_flight=sum(link.in_flight for link in self._links.values()))
        self._close_all()
        self._ended.set()
        return self._wills.is_empty() and not any(link.in_flight for link in self._links.values())

    def _close_all(self) -> None:
        for connection in list(self._connections):
            connection.close(Reason.DRAINING)

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Runs rare slow work in the listener's own task group; none any more when the listener is ending."""
        try:
            self._tasks.create_task(work)
        except RuntimeError:  # the group is shutting down: every connection is about to be closed
            work.close()

    def sweep(self) -> None:
        """Every second: closes what is silent too long or will not close, forgets idle devices. ~2 ms for 10,000."""
        now = self.clock.monotonic()
        for connection in list(self._connections):
            reason = connection.overdue(now)
            if reason is not None:
                self.stats.keepalive_timeouts += reason is Reason.KEEP_ALIVE
                connection.close(reason)
        for connection in [c for c, since in self._closing.items() if now - since > _CLOSE_WITHIN_S]:
            connection.abort()
        if now - self._tidied_at > _TIDY_EVERY_S:
            self._tidied_at = now
            self._logged.clear()
            for key in [key for key, link in self._links.items() if link.is_idle(now)]:
                del self._links[key]
                self._operators.pop(key, None)

    # --- what connections and the gate report -------------------------------------------------------------------

    def opened(self, connection: Connection) -> bool:
        """A socket was accepted; False when there are too many or we are about to end."""
        if len(self._connections) >= self.settings.max_connections or self.draining:
            return False
        self._connections[connection] = None
        self.stats.connections += 1
        return True

    def attend(self, connection: Connection) -> None:
        """Something rare came: a CONNECT, a subscription."""
        session = connection.session
        if session.connect is not None:
            connect, session.connect = session.connect, None
            self._gate.judge(connection, connect)
        if session.subscribed or session.unsubscribed:
            filters, session.subscribed, session.unsubscribed = session.subscribed, [], False
            if not session.clean:
                self.keep(session)
            if filters and session.device.kind != "operator":
                self.spawn(self._send_retained(connection, filters))
            for topic_filter in filters:
                self.observer.subscribed(session.device, topic_filter)

    def delivered(self, connection: Connection) -> None:
        """Down-link messages of this connection were acknowledged."""
        session = connection.session
        messages, session.delivered = session.delivered, []
        self.stats.delivered += len(messages)
        for message in messages:
            if message.message_id is not None:
                self.observer.delivered(session.device, message.message_id)

    def closed(self, connection: Connection, reason: Reason, detail: str, *, was_open: bool) -> None:
        """A connection is over: its will goes out unless it said DISCONNECT, its session is kept if it asked so."""
        if connection in self._connections:
            del self._connections[connection]
            self.stats.connections -= 1
        self._closing[connection] = self.clock.monotonic()
        self._awaiting_room.pop(connection, None)
        self._throttled.pop(connection, None)
        session, link, stats = connection.session, connection.link, self.stats
        if link.connections.get(connection.client_id) is connection:
            del link.connections[connection.client_id]
        stats.closed[reason] = stats.closed.get(reason, 0) + 1
        stats.malformed += reason is Reason.MALFORMED
        if reason is Reason.REFUSED:
            stats.refused[session.refused_code] = stats.refused.get(session.refused_code, 0) + 1
        if reason is Reason.FORBIDDEN_TOPIC:
            self.forbidden(session.device, detail, connection.peer)
        self._log_close(connection, reason, detail)
        if was_open:
            if session.will is not None and reason is not Reason.DISCONNECT:
                self.publish_will(session.device, session.will)
            session.will = None
            if not session.clean:
                self.keep(session)
            self.observer.disconnected(session.device, connection.client_id, reason)

    def gone(self, connection: Connection) -> None:
        """The socket of a closed connection is gone."""
        self._closing.pop(connection, None)

    def forbidden(self, device: Device, topic: str, peer: str) -> None:
        """A device tried a topic that is not its own (3.3.5-2; SEC-01)."""
        self.stats.forbidden += 1
        self.observer.forbidden_topic(device, topic, peer)

    def publish_will(self, device: Device, will: Will) -> None:
        """A last will goes the way of every message."""
        self.stats.wills += 1
        self._wills.publish(device, will, self.clock.now_ms())

    def keep(self, session: Session) -> None:
        """Saves a session with clean session 0 (written behind)."""
        self.store.save(session.record(), self.settings.session_expiry_s)

    def link_of(self, device: Device) -> Link:
        """What the connections of a device share; made when first needed."""
        link = self._links.get(device.key)
        if link is None:
            rate, burst_s = self.settings.messages_per_s, self.settings.burst_s
            link = self._links[device.key] = Link(device, rate, rate * burst_s, self.clock.monotonic())
        link.device = device
        if device.kind == "operator":
            self._operators[device.key] = link
        return link

    def _log_close(self, connection: Connection, reason: Reason, detail: str) -> None:
        kind = (connection.peer.rpartition(":")[0], reason)
        if reason in _WORTH_A_WARNING and kind not in self._logged:
            self._logged.add(kind)
            log.warning(
                "mqtt.closed", reason=reason.value, detail=detail[:200], peer=connection.peer,
                device=connection.session.device.device_id, again="counted, not logged, for a minute",
            )  # fmt: skip

    # --- back-pressure ------------------------------------------------------------------------------------------

    def await_room(self, connection: Connection) -> None:
        """The intake was full: goes on, in this order, when it says that it is ready."""
        self._awaiting_room[connection] = None

    def _room_again(self) -> None:
        self._wills.push()
        while self._awaiting_room:
            connection = next(iter(self._awaiting_room))
            if not connection.offer_held():
                return
            del self._awaiting_room[connection]
            connection.proceed()

    def slow_down(self, connection: Connection) -> None:
        """The device is over its rate: looks again at the next tick; one timer for all."""
        if not self._throttled:
            asyncio.get_running_loop().call_later(_THROTTLE_TICK_S, self._tick)
        self._throttled[connection] = None

    def _tick(self) -> None:
        connections, self._throttled = list(self._throttled), {}
        for connection in connections:
            connection.proceed()

    def hold(self, device_key: int, seconds: float) -> None:
        """Reads nothing from a device for about so long: the intake found it over its limit of fixes."""
        link = self._links.get(device_key)
        if link is not None:
            link.hold(seconds, self.clock.monotonic())

    # --- towards devices and operators --------------------------------------------------------------------------

    def send(
        self, device_key: int, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False,
        message_id: str | None = None,
    ) -> bool:  # fmt: skip
        """Sends to every connection of a device that subscribed `topic`; True when at least one took it.

        False: not connected, not subscribed, or its outbox is full; try again after `Observer.subscribed`. A message
        id that still waits or is in flight is not sent twice. `retain` keeps it for later subscriptions as well (they
        get it with RETAIN = 1, present ones without, 3.3.1-9); an empty payload clears. `Observer.delivered` follows.
        """
        if retain:
            self.store.retain(device_key, topic, payload)
        link = self._links.get(device_key)
        if link is None:
            return False
        connections = list(link.connections.values())
        if message_id is not None and any(c.session.outbox.holds(message_id) for c in connections):
            return True
        message = Downlink(topic, payload, min(qos, 1), message_id=message_id)
        return sum([connection.send(message) for connection in connections]) > 0

    def broadcast(self, topic: str, payload: bytes, visible: Callable[[Device], bool], *, qos: int = 1) -> int:
        """Sends a grid event to the operators who subscribed it and may see it (`visible`); how many.

        An operator who does not keep up (outbox full) is closed, so that no gap goes unnoticed.
        """
        message, sent = Downlink(topic, payload, min(qos, 1)), 0
        for link in list(self._operators.values()):
            if not visible(link.device):
                continue
            for connection in list(link.connections.values()):
                if connection.send(message):
                    sent += 1
                elif connection.session.wants(topic) is not None:
                    connection.close(Reason.SLOW_READER)
        return sent

    def disconnect(self, device_key: int, reason: Reason = Reason.REVOKED) -> int:
        """Closes all connections of a device at once (credential revoked); how many."""
        link = self._links.get(device_key)
        connections = list(link.connections.values()) if link is not None else []
        for connection in connections:
            connection.close(reason)
        return len(connections)

    async def _send_retained(self, connection: Connection, filters: Sequence[str]) -> None:
        """3.3.1-6: a new subscription gets the retained messages that match, with RETAIN = 1."""
        try:
            kept = await self.store.retained(connection.session.device.key)
        except StoreUnavailable as error:
            log.warning("mqtt.retained_not_sent", device=connection.session.device.device_id, error=str(error))
            return
        for topic, payload in kept:
            if any(topics.matches(topic_filter, topic) for topic_filter in filters):
                connection.send(Downlink(topic, payload, 1, retain=True))
