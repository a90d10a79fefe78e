"""The MQTT listener as a part of the service: sessions in the store, down-link, grid events, who is connected."""

import asyncio

from core.clock import SystemClock
from core.supervise import Part
from devices.keeper import RegistryKeeper
from devices.records import RegistryChange
from ingest.collector import Collector
from ingest.mqtt import Device, Listener, ListenerStats, MqttSettings, Observer
from store.pool import Store
from wangge import ports
from wangge.mqtt_downlink import DownlinkSender, broadcast
from wangge.mqtt_operators import MqttOperators
from wangge.mqtt_sessions import KeptSessions

SAVED_WITHIN_S = 2.0


class MqttPart(Observer):
    """Runs the listener; a new one after every failure, on the same port."""

    def __init__(
        self,
        settings: MqttSettings,
        port: int,
        store: Store,
        collector: Collector,
        keeper: RegistryKeeper,
        operators: MqttOperators,
        clock: SystemClock,
    ) -> None:
        self._settings = settings.model_copy(update={"port": port})
        self._store, self._collector, self._operators, self._clock = store, collector, operators, clock
        self._sessions = KeptSessions(store)
        self._downlink = DownlinkSender(store)
        self._listener: Listener | None = None
        keeper.listeners.append(self._close_revoked)

    @property
    def stats(self) -> ListenerStats | None:
        """Counters of the running listener."""
        return self._listener.stats if self._listener is not None else None

    @property
    def port(self) -> int:
        """The port really chosen."""
        return self._listener.port if self._listener is not None else self._settings.port

    async def run(self, part: Part) -> None:
        """Listens until cancelled or drained. Raises PortTaken when the port is held by another program."""
        settings = self._settings
        listener = self._listener = Listener(settings, self._collector.intake, self._sessions, self, self._clock)
        self._collector.intake.on_over_limit(listener.hold)
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(self._sessions.run(), name="mqtt sessions"),
                group.create_task(self._downlink.listen(), name="mqtt down-link notices"),
                group.create_task(self._downlink.run(listener), name="mqtt down-link"),
                group.create_task(broadcast(self._store, listener, self._operators), name="mqtt events"),
                group.create_task(self._operators.watch(listener.disconnect), name="mqtt operators"),
                group.create_task(self._say_ready(listener, part), name="mqtt ready"),
            ]
            try:
                await listener.run()
            except OSError as error:
                raise ports.refusal(settings.host, settings.port, "ingest.mqtt.port", error) from error
            for task in beside:
                task.cancel()

    async def _say_ready(self, listener: Listener, part: Part) -> None:
        await listener.started.wait()
        self._settings = self._settings.model_copy(update={"port": listener.port})
        part.ready()

    async def drain(self, within_s: float) -> None:
        """Takes nothing more, waits for acknowledgements, closes, saves sessions."""
        if self._listener is None:
            return
        await self._listener.drain(within_s)
        try:
            async with asyncio.timeout(SAVED_WITHIN_S):
                await self._sessions.flush()
        except TimeoutError:
            return

    def _close_revoked(self, change: RegistryChange) -> None:
        if self._listener is not None:
            for key in change.revoked:
                self._listener.disconnect(key)

    # What the listener tells

    def connected(self, device: Device, client_id: str, peer: str) -> None:
        """CONNACK 0 was sent."""
        del client_id, peer
        open_now = self._downlink.connected
        open_now[device.key] = open_now.get(device.key, 0) + 1
        if device.kind != "operator":
            self._collector.sights.connect(device.key, True, self._clock.now_ms())

    def disconnected(self, device: Device, client_id: str, reason: str) -> None:
        """A connection is over."""
        del client_id, reason
        open_now = self._downlink.connected
        left = open_now.get(device.key, 0) - 1
        if left > 0:
            open_now[device.key] = left
            return
        open_now.pop(device.key, None)
        if device.kind != "operator":
            self._collector.sights.connect(device.key, False, self._clock.now_ms())

    def subscribed(self, device: Device, topic_filter: str) -> None:
        """Waiting down-link messages may be sent now."""
        del device, topic_filter
        self._downlink.wake()

    def delivered(self, device: Device, message_id: str) -> None:
        """A message was acknowledged by the device."""
        del device
        self._downlink.delivered(message_id)

    def forbidden_topic(self, device: Device, topic: str, peer: str) -> None:
        """Counts for SEC-01."""
        self._collector.intake.forbidden_topic(device, topic, peer)
