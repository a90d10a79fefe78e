"""The listener's and the consumer's plain counters as Prometheus metrics, read when somebody asks for them."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ingest.mqtt import ListenerStats

if TYPE_CHECKING:
    from ingest.mqtt.consumer import ConsumerStats

COUNTERS: dict[str, str] = {
    "accepted": "Connections let in.",
    "messages": "Messages taken from devices.",
    "bytes_in": "Bytes read.",
    "stored": "Messages committed.",
    "acks": "Acknowledgements sent.",
    "sent": "Down-link messages sent.",
    "delivered": "Down-link messages acknowledged.",
    "takeovers": "Connections taken over by the same client id.",
    "keepalive_timeouts": "Connections closed for silence.",
    "malformed": "Connections closed for malformed packets.",
    "forbidden": "Attempts on topics that are not the device's own.",
    "wills": "Last wills published.",
    "paused": "Times that reading of a connection stopped.",
}
"""Counter of `ListenerStats` → what it is."""


class MqttCollector(Collector):
    """One for the process. listener, consumer: the present counters, None while there is none."""

    def __init__(
        self, listener: Callable[[], ListenerStats | None], consumer: "Callable[[], ConsumerStats | None]"
    ) -> None:
        self._listener, self._consumer = listener, consumer

    def collect(self) -> Iterable[Metric]:
        """All of them, zero while nothing runs."""
        stats = self._listener() or ListenerStats()
        yield GaugeMetricFamily("wangge_mqtt_connections", "MQTT connections open now.", stats.connections)
        for name, about in COUNTERS.items():
            yield CounterMetricFamily(f"wangge_mqtt_{name}", about, getattr(stats, name))
        refused = CounterMetricFamily("wangge_mqtt_refused", "Connections refused, by CONNACK code.", labels=["code"])
        for code, count in stats.refused.items():
            refused.add_metric([str(code)], count)
        yield refused
        closed = CounterMetricFamily("wangge_mqtt_closed", "Connections closed, by reason.", labels=["reason"])
        for reason, count in stats.closed.items():
            closed.add_metric([str(reason)], count)
        yield closed
        broker = self._consumer()
        figures = (
            (broker.connected, broker.messages, broker.stored, broker.receipts, broker.given_up)
            if broker
            else (0, 0, 0, 0, 0)
        )
        yield GaugeMetricFamily("wangge_broker_connected", "1 while a foreign broker is connected.", figures[0])
        yield CounterMetricFamily("wangge_broker_messages", "Messages taken from the foreign broker.", figures[1])
        yield CounterMetricFamily("wangge_broker_stored", "Messages of the foreign broker committed.", figures[2])
        yield CounterMetricFamily("wangge_broker_receipts", "Receipts for devices behind it.", figures[3])
        yield CounterMetricFamily("wangge_broker_given_up", "Numbers in gaps that were never filled.", figures[4])
