"""A session: the devices of a run connected by one sender, what is measured on it, and how it is asked for."""

import resource
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from simulators.anomalies import AnomalyMix
from simulators.errors import SimulatorError
from simulators.http_pool import HttpPool
from simulators.mqtt_pool import MqttPool
from simulators.outgoing import Outgoing
from simulators.paho_sender import PahoSender
from simulators.sender import Sender
from simulators.tally import AckedLog, Latencies, OnAcked
from simulators.truth import Injected

SenderKind = Literal["mqtt", "paho", "http"]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is done.

    url: mqtt://host:port (senders mqtt, paho) or http://host:port. interval_s: of handsets. speedup: simulated seconds
    a second. start_ms: epoch milliseconds, None: see `run`. drain_s: how long the end waits for acknowledgements.
    online_s: how long the start waits for the devices to be connected.
    dead_zones, off_duty: see `handsets.HandsetFleet`. truth_every_s: also write ground truth so often while running;
    0: at the end alone.
    """

    url: str
    sender: SenderKind = "mqtt"
    seed: int = 0
    mix: AnomalyMix = AnomalyMix()
    interval_s: float = 10.0
    speedup: float = 1.0
    start_ms: int | None = None
    window: int = 20
    truth: Path | None = None
    truth_every_s: float = 0.0
    acked: Path | None = None
    drain_s: float = 30.0
    online_s: float = 60.0
    dead_zones: bool = True
    off_duty: bool = True


class Summary(msgspec.Struct, frozen=True):
    """What a run was. Counts as in `tally.Tally`; unacked: messages given up at the end.

    ack_*: first sending to acknowledgement; fix_to_ack_*: the moment that a message was due to acknowledgement,
    only in real time (else 0). cpu_s: this process's. All in seconds.
    """

    devices: int
    simulated_s: float
    wall_s: float
    cpu_s: float
    peak_rss_mib: float
    sent: int
    acked: int
    facts_acked: int
    resent: int
    errors: int
    rejected: int
    duplicates: int
    unacked: int
    ack_p50_s: float
    ack_p95_s: float
    ack_p99_s: float
    ack_max_s: float
    fix_to_ack_p50_s: float
    fix_to_ack_p99_s: float
    anomalies: int
    detectable: int


def address(url: str) -> tuple[str, int]:
    """Host and port of mqtt://host:port. Raises SimulatorError."""
    parts = urlsplit(url)
    if parts.scheme != "mqtt" or not parts.hostname or not parts.port:
        raise SimulatorError(f"{url!r} is no address like mqtt://127.0.0.1:1883")
    return parts.hostname, parts.port


def make_sender(credentials: Sequence[tuple[str, str]], options: Options, on_acked: OnAcked | None = None) -> Sender:
    """The sender that the options ask for. Raises SimulatorError for an address that does not fit."""
    if options.sender == "http":
        return HttpPool(credentials, options.url, on_acked=on_acked, seed=options.seed)
    host, port = address(options.url)
    if options.sender == "paho":
        return PahoSender(credentials, host, port, window=options.window, on_acked=on_acked)
    return MqttPool(credentials, host, port, window=options.window, on_acked=on_acked, seed=options.seed)


class Session:
    """An opened sender with its measurements; made by `session`."""

    def __init__(self, devices: int, options: Options) -> None:
        self.options, self.devices = options, devices
        self.listeners: list[OnAcked] = []
        self.sender: Sender
        self._fix_to_ack = Latencies()
        self._cpu, self._began = time.process_time(), time.monotonic()

    def acked(self, message: Outgoing, sent_ms: int, acked_ms: int) -> None:
        """Called by the sender for each acknowledged message."""
        if self.options.speedup == 1.0 and self.options.start_ms is None:
            self._fix_to_ack.add((acked_ms - message.due_ms) / 1000)
        for listener in self.listeners:
            listener(message, sent_ms, acked_ms)

    def summary(self, seconds: float, rows: Sequence[Injected]) -> Summary:
        """The figures up to now."""
        tally = self.sender.tally
        ack, whole = tally.latencies, self._fix_to_ack
        return Summary(
            self.devices,
            seconds,
            time.monotonic() - self._began,
            time.process_time() - self._cpu,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            tally.sent,
            tally.acked,
            tally.facts_acked,
            tally.resent,
            tally.errors,
            tally.rejected,
            tally.duplicates,
            self.sender.outstanding,
            ack.percentile_s(0.5),
            ack.percentile_s(0.95),
            ack.percentile_s(0.99),
            ack.max_s,
            whole.percentile_s(0.5),
            whole.percentile_s(0.99),
            len(rows),
            sum(row.detectable for row in rows),
        )


@asynccontextmanager
async def session(credentials: Sequence[tuple[str, str]], options: Options) -> AsyncIterator[Session]:
    """Open a sender for these devices, wait until nine of ten are on line, log acknowledged facts."""
    one = Session(len(credentials), options)
    one.sender = make_sender(credentials, options, one.acked)
    with ExitStack() as files:
        if options.acked is not None:
            log = AckedLog(files.enter_context(options.acked.open("ab")))
            one.listeners.append(log)
        async with one.sender.opened():
            await one.sender.online(options.online_s, 0.9)
            yield one
