"""One client's socket: reads into its `Session`, offers messages to the intake, writes answers. Thin.

Back-pressure: reading pauses while the device's window or rate leaves no room, while lanes are full, and while a
CONNECT is judged; nothing is dropped. The write side is bounded: a peer that does not read is closed.
"""

import asyncio
from typing import TYPE_CHECKING, cast

from ingest.mqtt import topics
from ingest.mqtt.contract import Downlink, Inbound
from ingest.mqtt.link import Link
from ingest.mqtt.session import Phase, Reason, Session

if TYPE_CHECKING:
    from ingest.mqtt.listener import Listener

_ABRUPT = frozenset({Reason.KEEP_ALIVE, Reason.SLOW_READER, Reason.CONNECT_TIMEOUT, Reason.FULL})


class Connection(asyncio.Protocol):
    """The asyncio shell of one session; also the `Origin` of its messages. Lives in the event loop's thread."""

    __slots__ = (
        "_listener", "_reading", "_transport", "_write_paused_at", "client_id", "held", "limit_s", "link", "peer",
        "seen_at", "session",
    )  # fmt: skip

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener
        self._transport: asyncio.Transport
        self._reading = True
        self._write_paused_at: float | None = None
        self.session = Session(self, listener.limits)
        self.link: Link = listener.nobody
        self.client_id = ""
        self.held: list[Inbound] = []
        self.limit_s = listener.settings.connect_timeout_s
        self.seen_at = listener.clock.monotonic()
        self.peer = ""

    # --- asyncio.Protocol ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A socket (with TLS: after the handshake) is there."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername") or ("?", 0)
        self.peer = f"{peer[0]}:{peer[1]}"
        if not self._listener.opened(self):
            self.close(Reason.FULL)

    def data_received(self, data: bytes) -> None:
        """Bytes came; also when reading is paused (what was on its way is kept in the session)."""
        if self.session.phase is Phase.OVER:
            return
        listener = self._listener
        listener.stats.bytes_in += len(data)
        now = listener.clock.monotonic()
        self._pump(data, now)
        if self.session.moved or len(data) >= 1000:
            self.seen_at = now

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self.close(Reason.LOST, str(exc or ""))
        self._listener.gone(self)

    def pause_writing(self) -> None:
        """The peer does not read: down-link waits, the time and the buffer are bounded."""
        self._write_paused_at = self._listener.clock.monotonic()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._write_paused_at = None
        self.finish_step()

    # --- bytes in, messages out ---------------------------------------------------------------------------------

    def _pump(self, data: bytes, now: float) -> None:
        listener, link = self._listener, self.link
        room = 0 if self.held or listener.draining else link.room(now)
        messages = self.session.receive(data, room, listener.clock.now_ms())
        if messages:
            count = len(messages)
            link.take(count)
            listener.stats.messages += count
            taken = listener.intake.offer(messages)
            if taken < count:
                self.held = messages[taken:]
                listener.await_room(self)
        self._go_on()

    def proceed(self) -> None:
        """Goes on with kept bytes: there may be room now."""
        if self.session.phase is not Phase.OVER:
            self._pump(b"", self._listener.clock.monotonic())

    def offer_held(self) -> bool:
        """Offers again what the intake had no room for; False when something still waits."""
        taken = self._listener.intake.offer(self.held)
        self.held = self.held[taken:]
        return not self.held

    def finish_step(self) -> None:
        """The session was changed from outside (accepted, refused, closed): write and regulate."""
        if self.session.phase is not Phase.OVER:
            self._go_on()

    def _go_on(self) -> None:
        session = self.session
        if session.news:
            session.news = False
            self._listener.attend(self)
        if session.phase is Phase.OVER:
            return
        if session.outbox.queue and self._write_paused_at is None:
            session.release()
        if session.delivered:
            self._listener.delivered(self)
        if session.out:
            self._flush()
        if session.closing is not None:
            self.close(session.closing, session.detail)
        else:
            self._regulate()

    def _regulate(self) -> None:
        session, listener = self.session, self._listener
        if session.stalled or self.held or session.phase is Phase.JOINING or listener.draining:
            if self._reading:
                self._reading = False
                self._transport.pause_reading()
                listener.stats.paused += 1
            if session.stalled and not self.held and session.phase is Phase.OPEN:
                if self.link.window_is_full():
                    self.link.waiting[self] = None
                else:
                    listener.slow_down(self)
        elif not self._reading:
            self._reading = True
            self.seen_at = listener.clock.monotonic()
            self._transport.resume_reading()

    # --- acknowledgements and down-link -------------------------------------------------------------------------

    def settle(self) -> None:
        """Messages from here are stored: acknowledge what is due, and go on reading if that made room."""
        session, link = self.session, self.link
        settled = session.settle()
        if not settled:
            return
        link.in_flight -= settled
        stats = self._listener.stats
        stats.stored += settled
        if session.phase is Phase.OVER:
            session.out.clear()
            session.notices.clear()
        else:
            if session.out:
                stats.acks += len(session.out)
                self._flush()
            if session.notices:
                self._report_rejects()
        if link.waiting:
            waiting = list(link.waiting)
            link.waiting.clear()
            for connection in waiting:
                connection.proceed()

    def _report_rejects(self) -> None:
        reasons, self.session.notices = self.session.notices, []
        topic = topics.own_topic(self.session.device, "reject")
        if self.session.wants(topic) is not None and not self.send(
            Downlink(topic, topics.reject_payload(reasons), qos=1)
        ):
            self._listener.stats.dropped_notices += 1

    def send(self, message: Downlink) -> bool:
        """Sends or queues a down-link message; False when this client does not want it or cannot take more."""
        if not self.session.send(message):
            return False
        self._listener.stats.sent += 1
        self._go_on()
        return True

    def _flush(self) -> None:
        out = self.session.out
        self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        out.clear()
        if self._write_paused_at is not None and self._is_swamped():
            self.close(Reason.SLOW_READER)

    def _is_swamped(self) -> bool:
        return self._transport.get_write_buffer_size() > self._listener.settings.write_buffer_bytes

    # --- time and the end ---------------------------------------------------------------------------------------

    def overdue(self, now: float) -> Reason | None:
        """Whether the sweep must close it: nothing heard for too long (3.1.2-24), or nothing read by the peer."""
        if self._write_paused_at is not None and now - self._write_paused_at > self._listener.settings.write_stall_s:
            return Reason.SLOW_READER
        if not self._reading or now - self.seen_at <= self.limit_s:
            return None
        return Reason.CONNECT_TIMEOUT if self.session.phase is Phase.FRESH else Reason.KEEP_ALIVE

    def close(self, reason: Reason, detail: str = "") -> None:
        """Ends the connection; what is written already still goes out, unless the peer is dead. Idempotent."""
        session = self.session
        if session.phase is Phase.OVER:
            return
        was_open = session.phase is Phase.OPEN
        session.phase = Phase.OVER
        for _ in self.held:
            session.pending.pop()
        self.link.in_flight -= len(self.held)
        self.held = []
        self.link.waiting.pop(self, None)
        if session.out and reason is not Reason.LOST:
            self._flush()
        self._listener.closed(self, reason, detail, was_open=was_open)
        if reason in _ABRUPT:
            self._transport.abort()
        elif reason is Reason.DRAINING and self._transport.can_write_eof() and not self._transport.is_closing():
            self._linger()
        else:
            self._transport.close()

    def _linger(self) -> None:
        """Closing with unread bytes would reset the connection and lose the last PUBACKs: half-close, read off."""
        self._transport.write_eof()
        if not self._reading:
            self._transport.resume_reading()

    def abort(self) -> None:
        """Gives up on writing the rest."""
        self._transport.abort()
