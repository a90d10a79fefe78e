"""Camera: one thread that reads one stream of one camera for as long as it is wanted, whatever the camera does.

In: a Source. Out: packets to a Hub, and what becomes of the connection to a callback. A connection that fails is made
again after 1, 2, 5, 10, 30 s (with jitter); after a refused log-in only in 5 min, so that the camera does not lock us
out; a new Source is tried at once. Whatever a camera sends ends its session at worst: the thread lives on, and a call
that hangs is left behind by `stop` (its socket's time limit ends it).
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from core.errors import DecodeError
from streams.camera_session import Session, SessionStats
from streams.camera_settings import CameraSettings
from streams.camera_source import FAILURES, Reason, Refused, Source, Stalled, reason_of, says_later
from streams.hub import Hub
from streams.rtsp.session import RtspSession

log = structlog.get_logger()

State = Literal["connecting", "up", "lost"]
_JITTER = 0.25
_BITRATE_S = 5.0


@dataclass(frozen=True, slots=True)
class Signal:
    """How a stream is. at_us: since when, epoch microseconds (a loss: since the last picture). reason: of `lost`."""

    state: State
    at_us: int
    reason: Reason | None = None


class CameraStats(SessionStats):
    """Counts over the life of a reader; read from anywhere, never exact to the packet."""

    __slots__ = ("abandoned", "bits_per_s", "sessions", "stalls")

    def __init__(self) -> None:
        super().__init__()
        self.sessions = 0
        """Connections that brought a key frame."""
        self.stalls = 0
        self.abandoned = 0
        """Threads left behind because libav hung; 0 is healthy."""
        self.bits_per_s = 0.0


class CameraReader:
    """`start`, then `stop` once. Every method may be called from any thread; none blocks but `stop`.

    name: for the log, such as `c-0001/main`. on_signal: called in the camera's thread when the state or the reason
    changes; it must not block and must not raise.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        hub: Hub,
        settings: CameraSettings,
        on_signal: Callable[[Signal], None] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """chance: in [0, 1), for the jitter."""
        self.name, self.hub, self.stats = name, hub, CameraStats()
        self.signal = Signal("connecting", time.time_ns() // 1000)
        self._source, self._settings, self._on_signal, self._chance = source, settings, on_signal, chance
        self._poke = threading.Event()
        self._stopping = False
        self._number = 0
        self._seen_us = 0
        self._is_odd = False
        self._session: Session | RtspSession | None = None
        self._thread = threading.Thread(target=self._work, name=f"camera {name}", daemon=True)

    def start(self) -> None:
        """Begins; returns at once."""
        self._thread.start()

    @property
    def is_dead(self) -> bool:
        """Its thread has ended although nobody asked: something unforeseen, in the log with its trace."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._stopping

    def reconfigure(self, source: Source) -> None:
        """Another address or log-in: tried at once, also in the midst of a wait. The same one changes nothing."""
        if source != self._source:
            self._source = source
            self._rouse()

    def ask_to_stop(self) -> None:
        """Begins to stop; for many at once before `stop` waits for each."""
        self._stopping = True
        self._rouse()

    def stop(self, wait_s: float = 2.0) -> bool:
        """Ends the thread. False: it hangs in libav and was left behind; it publishes nothing any more."""
        self.ask_to_stop()
        if self._thread.ident is None:
            return True
        self._thread.join(wait_s)
        if self._thread.is_alive():
            self.stats.abandoned += 1
            log.warning("camera.abandoned", camera=self.name)
        return not self._thread.is_alive()

    def _rouse(self) -> None:
        self._poke.set()
        session = self._session
        if session is not None:
            session.interrupt()

    def _work(self) -> None:
        failures = 0
        while not self._stopping:
            self._poke.clear()
            source, began_s = self._source, time.monotonic()
            reason, wait_s = self._read(source)
            self.hub.clear()
            if self._stopping:
                return
            if source != self._source:
                failures = 0
                continue
            if reason == "stalled":
                self.stats.stalls += 1
            self._say("lost", reason)
            failures = 1 if time.monotonic() - began_s >= self._settings.steady_s else failures + 1
            retry_s = self._settings.retry_s
            wait_s = max(wait_s, retry_s[min(failures, len(retry_s)) - 1])
            if self._poke.wait(wait_s * (1 + _JITTER * (2 * self._chance() - 1))):
                failures = 0

    def _read(self, source: Source) -> tuple[Reason, float]:
        """One session to its end: why it ended, and the least time to wait."""
        session: Session | RtspSession | None = None
        try:
            session = self._session = self._opened(source)
            self._publish(session, source)
        except (*FAILURES, DecodeError, Refused, Stalled) as error:
            reason = reason_of(error, session is not None)
            wait_s = self._settings.refused_s if says_later(error) else 0.0
            if reason == "unauthorized":
                wait_s = self._settings.locked_out_s
            return reason, wait_s
        finally:
            self._session = None
            if session is not None:
                self._number = session.number
                session.close()
        return "ended", 0.0

    def _opened(self, source: Source) -> Session | RtspSession:
        """By our own client, or by libav: sound, TLS, and every other time a camera that ours does not understand."""
        number = self._number + 1
        if source.audio or not source.url.lower().startswith("rtsp://") or self._is_odd:
            self._is_odd = False
            return Session(source, self._settings, number, self.stats)
        try:
            return RtspSession(source, self._settings, number, self.stats)
        except DecodeError:
            self._is_odd = True
            raise

    def _publish(self, session: Session | RtspSession, source: Source) -> None:
        hub, stats, number = self.hub, self.stats, -1
        measured_s, measured = time.monotonic(), stats.bytes
        for packet in session.packets():
            if self._stopping or self._source is not source:
                return
            if packet.session != number:
                reason = ("jump" if number >= 0 else "reconnect") if stats.sessions else "start"
                stats.sessions += number < 0
                number = packet.session
                hub.began(number, reason)
                self._say("up", None)
            hub.publish(packet)
            self._seen_us = packet.arrived_us
            stats.packets += 1
            stats.bytes += len(packet.data)
            if packet.is_key and packet.arrived_s - measured_s >= _BITRATE_S:
                stats.bits_per_s = (stats.bytes - measured) * 8 / (packet.arrived_s - measured_s)
                measured_s, measured = packet.arrived_s, stats.bytes

    def _say(self, state: State, reason: Reason | None) -> None:
        if self._stopping or (self.signal.state == state and self.signal.reason == reason):
            return
        at_us = time.time_ns() // 1000
        if state == "lost" and self.signal.state == "up":
            at_us = min(at_us, self._seen_us)  # a silence is noticed `stall_s` after it began
        self.signal = Signal(state, at_us, reason)
        if state == "lost":
            log.warning("camera.lost", camera=self.name, reason=reason)
        else:
            log.info("camera.up", camera=self.name)
        if self._on_signal:
            self._on_signal(self.signal)
