"""Current figures for the status page and `wangge status`: counters sampled every few seconds."""

import asyncio
from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from core.supervise import Part

SAMPLE_S = 5.0
COUNTED: dict[str, tuple[str, dict[str, str]]] = {
    "fix_messages_per_s": ("wangge_ingest_payloads_total", {"kind": "fix"}),
    "pos_messages_per_s": ("wangge_ingest_payloads_total", {"kind": "pos"}),
    "rows_per_s": ("wangge_ingest_rows_total", {}),
    "refused_per_s": ("wangge_ingest_refused_total", {}),
}
"""Figure → counter and the labels that it must have."""
SHOWN: dict[str, str] = {"waiting_rows": "wangge_ingest_waiting_rows", "unread_rows": "wangge_store_cursor_lag_rows"}
"""Figure → gauge. unread_rows: facts that a reader has yet to handle, of all readers."""


class Rates:
    """Samples a registry of metrics; `now` is the newest figures."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.now: dict[str, float] = {}

    async def run(self, part: Part) -> None:
        """Samples until cancelled."""
        loop = asyncio.get_running_loop()
        before, at = self._totals(), loop.time()
        part.ready()
        while True:
            await asyncio.sleep(SAMPLE_S)
            totals, now = self._totals(), loop.time()
            rates = {name: max(0.0, totals[name] - before[name]) / (now - at) for name in COUNTED}
            shown = {name: self._sum(metric, {}) for name, metric in SHOWN.items()}
            self.now = {name: round(value, 3) for name, value in (rates | shown).items()}
            before, at = totals, now

    def _totals(self) -> dict[str, float]:
        return {name: self._sum(metric, labels) for name, (metric, labels) in COUNTED.items()}

    def _sum(self, metric: str, labels: dict[str, str]) -> float:
        return sum(
            sample.value
            for family in self._families(metric)
            for sample in family.samples
            if sample.name == metric and labels.items() <= sample.labels.items()
        )

    def _families(self, metric: str) -> Iterable[Metric]:
        return self._registry.restricted_registry([metric]).collect()
