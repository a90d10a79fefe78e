"""The consumer of a city's own MQTT broker as a part of the service."""

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from core.clock import SystemClock
from core.supervise import Part
from ingest.collector import Collector
from ingest.mqtt.ledger import StoreLedger
from ingest.mqtt.settings import MqttSettings
from store.pool import Store

if TYPE_CHECKING:
    from ingest.mqtt.consumer import Consumer, ConsumerStats

LOOK_EVERY_S = 1.0


class BrokerPart:
    """Runs while `ingest.mqtt.broker_url` is set."""

    def __init__(self, settings: MqttSettings, collector: Collector, store: Store, clock: SystemClock) -> None:
        self._settings, self._collector, self._clock = settings, collector, clock
        self._ledger = StoreLedger(store, settings)
        self._consumer: Consumer | None = None

    @property
    def stats(self) -> "ConsumerStats | None":
        """Counters of the running consumer."""
        return self._consumer.stats if self._consumer is not None else None

    async def run(self, part: Part) -> None:
        """Reads the broker until cancelled or drained. Raises ConfigurationError for a broker_url that is none."""
        from ingest.mqtt.consumer import Consumer  # paho, only where a broker is read

        consumer = self._consumer = Consumer(self._settings, self._collector.intake, self._clock, self._ledger)
        part.degraded("not connected to the broker yet")
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(consumer, part), name="broker watch")
            await consumer.run()
            watching.cancel()

    async def _watch(self, consumer: "Consumer", part: Part) -> None:
        host = urlsplit(self._settings.broker_url or "").hostname
        while True:
            if consumer.stats.connected:
                part.ready()
            else:
                part.degraded(f"the broker at {host} does not answer; it is tried again")
            await asyncio.sleep(LOOK_EVERY_S)

    async def drain(self, within_s: float) -> None:
        """Takes nothing more, acknowledges what is stored, leaves."""
        if self._consumer is not None:
            await self._consumer.drain(within_s)
