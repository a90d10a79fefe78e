"""Figures of a camera worker for Prometheus: of each stream, and of recording, live view, clips, quality, the disk.

They are gathered when asked, from the counters that the parts keep anyway. Tables of name, type, sentence and where the
figure is; docs/metrics.md is made from them. Units are in the names.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from streams.room import Stream
    from streams.worker import Worker

Kind = Literal["counter", "gauge"]
STATES = {"lost": 0, "connecting": 1, "up": 2}


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric. of: its value, from a stream or from a worker; None leaves it out."""

    name: str
    kind: Kind
    about: str
    of: Callable[[Any], float | None]


def _since_key_s(stream: "Stream") -> float | None:
    last_us = stream.reader.stats.last_key_us
    return time.time() - last_us / 1e6 if last_us else None


STREAM_LABELS = ("camera", "stream")
STREAM_FIGURES: tuple[Figure, ...] = (
    Figure("wangge_camera_up", "gauge", "2 up, 1 connecting, 0 lost.", lambda s: STATES[s.reader.signal.state]),
    Figure("wangge_camera_packets_total", "counter", "Packets read.", lambda s: s.reader.stats.packets),
    Figure("wangge_camera_bytes_total", "counter", "Bytes read.", lambda s: s.reader.stats.bytes),
    Figure("wangge_camera_bits_per_second", "gauge", "Bit rate of late.", lambda s: s.reader.stats.bits_per_s),
    Figure(
        "wangge_camera_sessions_total",
        "counter",
        "Connections that brought pictures.",
        lambda s: s.reader.stats.sessions,
    ),
    Figure(
        "wangge_camera_stalls_total",
        "counter",
        "Connections ended because pictures stopped.",
        lambda s: s.reader.stats.stalls,
    ),
    Figure(
        "wangge_camera_jumps_total", "counter", "Leaps of the camera's time stamps.", lambda s: s.reader.stats.jumps
    ),
    Figure(
        "wangge_camera_unreadable_total",
        "counter",
        "Packets that could not be read.",
        lambda s: s.reader.stats.unreadable,
    ),
    Figure(
        "wangge_camera_lag_seconds",
        "gauge",
        "How much later than the fastest the newest packet came.",
        lambda s: s.reader.stats.lag_s,
    ),
    Figure("wangge_camera_last_key_seconds", "gauge", "Age of the newest key frame.", _since_key_s),
    Figure(
        "wangge_camera_abandoned_total", "counter", "Threads left behind in libav.", lambda s: s.reader.stats.abandoned
    ),
    Figure(
        "wangge_camera_dropped_total",
        "counter",
        "Packets that readers of the stream lost.",
        lambda s: s.hub.dropped,
    ),
)
GAPS = Figure("wangge_camera_gaps_total", "counter", "Gaps in the stream's footage.", lambda _: None)
WORKER_LABELS = ("worker",)
WORKER_FIGURES: tuple[Figure, ...] = (
    Figure("wangge_streams_cameras", "gauge", "Cameras that the worker holds.", lambda w: len(w.roster.rooms)),
    Figure("wangge_streams_facts_waiting", "gauge", "Facts about cameras not written yet.", lambda w: w.facts.waiting),
    Figure("wangge_streams_facts_total", "counter", "Facts about cameras written.", lambda w: w.facts.written),
    Figure(
        "wangge_streams_facts_dropped_total",
        "counter",
        "Facts about cameras dropped, store away for long.",
        lambda w: w.facts.dropped,
    ),
    Figure("wangge_recorder_bytes_total", "counter", "Bytes of footage written.", lambda w: w.recorder.stats.bytes),
    Figure("wangge_recorder_fragments_total", "counter", "Fragments written.", lambda w: w.recorder.stats.fragments),
    Figure("wangge_recorder_files_total", "counter", "Segments begun.", lambda w: w.recorder.stats.files),
    Figure("wangge_recorder_gaps_total", "counter", "Gaps in footage.", lambda w: w.recorder.stats.gaps),
    Figure(
        "wangge_recorder_dropped_total",
        "counter",
        "Packets not recorded, disk too slow.",
        lambda w: w.recorder.stats.dropped,
    ),
    Figure(
        "wangge_recorder_lost_total", "counter", "Packets not recorded, disk failing.", lambda w: w.recorder.stats.lost
    ),
    Figure(
        "wangge_recorder_failures_total",
        "counter",
        "Times that the media root failed or was full.",
        lambda w: w.recorder.stats.failures,
    ),
    Figure(
        "wangge_recorder_slowest_seconds",
        "gauge",
        "Longest turn of the writer.",
        lambda w: w.recorder.stats.slowest_tick_s,
    ),
    Figure("wangge_live_viewers", "gauge", "Live sessions open now.", lambda w: w.live.stats.whep + w.live.stats.mse),
    Figure("wangge_live_transcodes", "gauge", "Streams transcoded for viewers now.", lambda w: w.live.stats.transcodes),
    Figure("wangge_live_opened_total", "counter", "Live sessions opened.", lambda w: w.live.stats.opened),
    Figure(
        "wangge_live_refused_total", "counter", "Live sessions refused.", lambda w: sum(w.live.stats.refused.values())
    ),
    Figure("wangge_live_sent_bytes_total", "counter", "Bytes sent to viewers.", lambda w: w.live.stats.sent_bytes),
    Figure(
        "wangge_live_dropped_frames_total",
        "counter",
        "Pictures that slow viewers missed.",
        lambda w: w.live.stats.dropped_frames,
    ),
    Figure("wangge_clips_total", "counter", "Clips made.", lambda w: w.clips.stats.clips),
    Figure(
        "wangge_clips_gone_total", "counter", "Clips refused because a file was missing.", lambda w: w.clips.stats.gone
    ),
    Figure("wangge_quality_samples_total", "counter", "Pictures judged.", lambda w: w.sampler.stats.samples),
    Figure(
        "wangge_quality_suspicious_total",
        "counter",
        "Pictures that looked wrong.",
        lambda w: w.sampler.stats.suspicious,
    ),
    Figure(
        "wangge_quality_undecodable_total",
        "counter",
        "Key frames that could not be decoded.",
        lambda w: w.sampler.stats.undecodable,
    ),
    Figure(
        "wangge_footage_deleted_bytes_total",
        "counter",
        "Bytes of footage deleted.",
        lambda w: w.cleaner.stats.deleted_bytes,
    ),
    Figure("wangge_footage_kept_days", "gauge", "Age of the oldest main footage.", lambda w: w.cleaner.stats.kept_days),
    Figure(
        "wangge_footage_free_bytes",
        "gauge",
        "Room on the media root's file system.",
        lambda w: w.cleaner.stats.disk and w.cleaner.stats.disk.free,
    ),
)


class StreamsCollector(Collector):
    """What Prometheus asks. worker None: only names and sentences, for the documents."""

    def __init__(self, worker: "Worker | None") -> None:
        self._worker = worker

    def collect(self) -> Iterator[Metric]:
        """Every metric with its values now."""
        worker = self._worker
        for figure in STREAM_FIGURES:
            family = _family(figure, STREAM_LABELS)
            for room in list(worker.roster.rooms.values()) if worker else ():
                for stream in list(room.streams.values()):
                    _add(family, (room.wanted.id, stream.name), figure.of(stream))
            yield family
        gaps = _family(GAPS, STREAM_LABELS)
        for room in list(worker.roster.rooms.values()) if worker else ():
            for name in room.streams:
                _add(gaps, (room.wanted.id, name), worker.recorder.gaps(room.wanted.key, name) if worker else None)
        yield gaps
        for figure in WORKER_FIGURES:
            family = _family(figure, WORKER_LABELS)
            if worker is not None:
                _add(family, (f"{worker.place.host}/{worker.place.number}",), figure.of(worker))
            yield family


def _family(figure: Figure, labels: tuple[str, ...]) -> Any:
    if figure.kind == "counter":
        return CounterMetricFamily(figure.name.removesuffix("_total"), figure.about, labels=labels)
    return GaugeMetricFamily(figure.name, figure.about, labels=labels)


def _add(family: Any, labels: tuple[str, ...], value: float | None) -> None:
    if value is not None:
        family.add_metric(labels, value)


def exposition(worker: "Worker") -> bytes:
    """Prometheus text of one worker."""
    registry = CollectorRegistry()
    registry.register(StreamsCollector(worker))
    return generate_latest(registry)
