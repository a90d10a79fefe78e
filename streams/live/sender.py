"""RTP of one viewer: headers, order, pace; payloads come ready from the feed.

The pictures since the last key frame go out first, as fast as `burst_bytes_per_s` allows, with timestamps pressed
together just before the newest one: the browser decodes them at once and shows the present. The same burst answers a
request for a key frame (PLI, FIR): the camera is never asked. There is no task and no queue of its own: what waits are
references to the feed's frames, and a key frame empties it.
"""

import asyncio
import random
import struct
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Protocol

from streams.live import rtcp
from streams.live.dtls import Dtls
from streams.live.feed import Feed, Frame
from streams.live.ice import Peer
from streams.live.sdp import Chosen
from streams.live.stats import LiveStats

_HEADER = struct.Struct(">BBHII")
_PUMP_S = 0.005
_AT_ONCE_BYTES = 64 * 1024
"""So much goes out without a pause: most pictures, and less than what a browser's socket holds."""
_MOST_REMEMBERED = 64
"""Pictures whose packets can be sent again."""
_REPEATED_BYTES_PER_S = 250_000
_REPEAT_WINDOW = 1000
"""Packets back; SRTP encrypts none that is further behind than its window of 1,024."""
_KEY_EVERY_S = 1.0
"""Requests for a key frame are answered at most this often, and seldomer when that takes long."""
_REPORT_EVERY_S = 2.0


class Session(Protocol):
    """Whose sender it is."""

    def changed(self) -> None:
        """The stream is no longer one that WebRTC can play."""

    def first_sent(self) -> None:
        """The first picture is out."""


class Sender:
    """See module."""

    def __init__(
        self,
        feed: Feed,
        chosen: Chosen,
        peer: Peer,
        stats: LiveStats,
        burst_bytes_per_s: int,
        session: Session,
    ) -> None:
        self.ssrc = random.getrandbits(32) or 1
        self.wants_goodbye = False
        self._feed, self._peer, self._stats = feed, peer, stats
        self._session, self._sent_some = session, False
        self._rate = burst_bytes_per_s
        self._type = chosen.payload_type
        self._first_byte, self._extension = 0x80, b""
        if chosen.playout_delay_id:  # RFC 8285: least and most delay 0, so pictures are shown as they come
            self._first_byte = 0x90
            self._extension = struct.pack(">HHBxxx", 0xBEDE, 1, chosen.playout_delay_id << 4 | 2)
        self._offset = random.getrandbits(32)
        self._sequence = random.getrandbits(15)
        self._timestamp = -1
        self._waiting: deque[Frame] = deque()
        self._part = 0
        self._room, self._room_at_s = float(_AT_ONCE_BYTES), monotonic()
        self._remembered: deque[tuple[int, int, list[bytes]]] = deque(maxlen=_MOST_REMEMBERED)
        self._repeat_room, self._repeat_at_s = float(_REPEATED_BYTES_PER_S), monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._needs_key = True
        self._next_key_s = self._report_at_s = 0.0
        self._packets = self._octets = 0
        self._newest: tuple[int, int] | None = None
        self._dtls: Dtls | None = None
        self._loop = asyncio.get_running_loop()

    def start(self, dtls: Dtls) -> None:
        """The path is there: begins with the pictures since the last key frame."""
        self._dtls = dtls
        self._feed.watchers.add(self)
        self._begin_at_key()

    def stop(self) -> None:
        """Nothing more is sent; twice is harmless."""
        self._feed.watchers.discard(self)
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._dtls is not None:
            if self._dtls.state == "connected":
                self._send_rtcp(rtcp.goodbye(self.ssrc))
            self._dtls = None

    def show(self, frames: Sequence[Frame]) -> None:
        """See feed.Watcher."""
        if self._dtls is None:
            return
        for frame in frames:
            if frame.packet.is_key and self._waiting:
                self._skip_to_key()
            self._needs_key &= not frame.packet.is_key
            if self._needs_key:
                continue
            self._waiting.append(frame)
        if self._timer is None:
            self._pump()

    def changed(self) -> None:
        """See feed.Watcher."""
        self.stop()
        self._session.changed()

    def _skip_to_key(self) -> None:
        """What waits is of no use once a key frame is there, but a picture that has begun is finished."""
        begun = self._waiting[0]
        self._waiting.clear()
        if self._part:
            self._waiting.append(begun)

    def asked(self, data: bytes) -> None:
        """An RTCP packet of the viewer."""
        self._peer.heard_s = monotonic()
        wishes = rtcp.read(data, self.ssrc)
        self.wants_goodbye |= wishes.is_goodbye
        if wishes.lost:
            self._repeat(wishes.lost)
        if wishes.wants_key:
            self._stats.key_requests += 1
            if monotonic() >= self._next_key_s and not self._waiting and self._feed.is_fresh:
                self._begin_at_key()

    def report(self, now_s: float) -> None:
        """Sends a sender report when one is due."""
        if self._newest is None or now_s - self._report_at_s < _REPORT_EVERY_S:
            return
        self._report_at_s = now_s
        timestamp, utc_us = self._newest
        self._send_rtcp(rtcp.sender_report(self.ssrc, utc_us, timestamp, self._packets, self._octets))

    def _begin_at_key(self) -> None:
        """All frames since the last key frame once more; those that were sent already get later timestamps."""
        self._waiting = deque(self._feed.frames)
        self._part = 0
        octets = sum(len(frame.packet.data) for frame in self._waiting)
        self._next_key_s = monotonic() + max(_KEY_EVERY_S, 4 * octets / self._rate)
        self._needs_key &= not self._waiting
        if self._waiting and self._timer is None:
            self._pump()

    def _pump(self) -> None:
        """Sends what may go now, and comes back for the rest."""
        self._timer = None
        now_s = monotonic()
        self._room = min(self._room + (now_s - self._room_at_s) * self._rate, _AT_ONCE_BYTES)
        self._room_at_s = now_s
        while self._waiting and self._room > 0:
            self._send_some(self._waiting[0])
        if self._waiting:
            self._timer = self._loop.call_later(_PUMP_S, self._pump)

    def _send_some(self, frame: Frame) -> None:
        """Packets of the frame in front, all of them unless room runs out."""
        dtls = self._dtls
        if dtls is None:
            self._waiting.clear()
            return
        parts = frame.payloads
        if not self._part:
            behind = len(self._waiting) - 1
            newest = self._waiting[-1].pts_90k if behind else frame.pts_90k
            self._timestamp = max(newest - behind, self._timestamp + 1)
            self._remembered.append((self._sequence, self._timestamp, parts))
        sequence, stamp = self._sequence, self._offset + self._timestamp & 0xFFFFFFFF
        last, room, sent, lost = len(parts) - 1, self._room, 0, 0
        at = self._part
        while at <= last and room > 0:
            marked = self._type | 0x80 if at == last else self._type
            head = _HEADER.pack(self._first_byte, marked, sequence & 0xFFFF, stamp, self.ssrc) + self._extension
            packet = dtls.protect(head + parts[at])
            if not self._peer.send(packet):
                lost += 1
            sent += len(packet)
            room -= len(packet)
            sequence += 1
            at += 1
        self._stats.lost_packets += lost
        self._account(at - self._part, sent)
        self._sequence, self._room = sequence, room
        if at <= last:
            self._part = at
            return
        self._part = 0
        self._waiting.popleft()
        self._newest = (stamp, frame.packet.arrived_us)
        if not self._sent_some:
            self._sent_some = True
            self._session.first_sent()

    def _account(self, packets: int, octets: int) -> None:
        self._packets += packets
        self._octets += octets
        self._stats.sent_packets += packets
        self._stats.sent_bytes += octets

    def _repeat(self, lost: list[int]) -> None:
        """Sends lost packets again as they were (RFC 4585); within a rate, since a request costs the asker little."""
        now_s = monotonic()
        room = self._repeat_room + (now_s - self._repeat_at_s) * _REPEATED_BYTES_PER_S
        self._repeat_room, self._repeat_at_s = min(room, float(_REPEATED_BYTES_PER_S)), now_s
        for number in lost:
            if self._repeat_room <= 0 or self._dtls is None:
                return
            for first, timestamp, parts in reversed(self._remembered):
                at = (number - first) & 0xFFFF
                if at < len(parts) and 0 < self._sequence - first - at < _REPEAT_WINDOW:
                    stamp = self._offset + timestamp & 0xFFFFFFFF
                    marked = self._type | 0x80 if at == len(parts) - 1 else self._type
                    head = _HEADER.pack(self._first_byte, marked, number, stamp, self.ssrc) + self._extension
                    packet = self._dtls.protect(head + parts[at])
                    self._peer.send(packet)
                    self._repeat_room -= len(packet)
                    self._stats.repeated_packets += 1
                    break

    def _send_rtcp(self, packet: bytes) -> None:
        if self._dtls is not None and self._dtls.state == "connected":
            self._peer.send(self._dtls.protect_rtcp(packet))
