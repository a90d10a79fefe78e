"""Figures of ingestion for Prometheus. Counted per batch or per payload group, never per fix."""

from collections import Counter as Counts
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_ROWS = (1, 5, 20, 100, 500, 1000, 2000, 5000, 10_000)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class LaneMetrics:
    """The figures of one lane; used by its writer's thread."""

    def __init__(self, owner: "IngestMetrics", lane: str) -> None:
        self.rows = owner.rows.labels(lane=lane)
        self.batch_rows = owner.batch_rows.labels(lane=lane)
        self.commit_s = owner.commit_s.labels(lane=lane)
        self.retries = owner.retries.labels(lane=lane)
        self.waiting_rows = owner.waiting_rows.labels(lane=lane)
        self.waiting_bytes = owner.waiting_bytes.labels(lane=lane)


class IngestMetrics:
    """All figures of ingestion, in one registry."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        self.payloads = Counter(
            "wangge_ingest_payloads_total", "Payloads taken over.", ["kind", "via"], registry=registry
        )
        self.refused = Counter(
            "wangge_ingest_refused_total", "Records that went to quarantine.", ["reason", "via"], registry=registry
        )
        self.security = Counter(
            "wangge_ingest_security_facts_total",
            "Facts about trust, also those counted together.",
            ["kind"],
            registry=registry,
        )
        self.limited = Counter(
            "wangge_ingest_limited_total", "Payloads held back by a device's limit.", ["via"], registry=registry
        )
        self.held_back = Counter(
            "wangge_ingest_held_back_total", "Payloads held back because a lane was full.", ["via"], registry=registry
        )
        self.rows = Counter("wangge_ingest_rows_total", "Rows committed.", ["lane"], registry=registry)
        self.batch_rows = Histogram(
            "wangge_ingest_batch_rows", "Rows of a committed batch.", ["lane"], buckets=_ROWS, registry=registry
        )
        self.commit_s = Histogram(
            "wangge_ingest_batch_seconds",
            "Time to write and commit a batch.",
            ["lane"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.retries = Counter(
            "wangge_ingest_batch_retries_total", "Batches tried again, store away.", ["lane"], registry=registry
        )
        self.waiting_rows = Gauge(
            "wangge_ingest_waiting_rows", "Rows that wait in a lane.", ["lane"], registry=registry
        )
        self.waiting_bytes = Gauge(
            "wangge_ingest_waiting_bytes", "Bytes that wait in a lane.", ["lane"], registry=registry
        )
        self.deferred_bytes = Gauge(
            "wangge_ingest_deferred_bytes", "Bytes of old fixes that wait for room in their lane.", registry=registry
        )

    def lane(self, name: str) -> LaneMetrics:
        """The figures of one lane."""
        return LaneMetrics(self, name)

    def count_refused(self, whys: Iterable[str], via: str) -> None:
        """Counts refusals by the class of their reason."""
        for why, count in Counts(whys).items():
            self.refused.labels(reason=why, via=via).inc(count)
