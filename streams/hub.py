"""Hub: one stream's packets to everybody who wants them, without anybody holding up the camera.

In: packets from the camera's thread (`publish`). Out: one bounded ring per reader, which that reader empties whenever
it likes from a thread or loop of its own (`take`). A ring begins with a key frame. A ring that is full is emptied and
goes on at the next key frame; what was lost is counted. Nothing here waits for a reader.
"""

import threading
from collections.abc import Callable

from core.media import VIDEO, Packet, TrackFormats

_SESSIONS_KEPT = 16


class Reader:
    """A ring of one reader; made by `Hub.reader`. Any thread may take; one at a time."""

    def __init__(
        self, hub: "Hub", name: str, most_packets: int, most_bytes: int, wake: Callable[[], None] | None
    ) -> None:
        self.name = name
        self.dropped = 0
        """Packets lost so far because the ring was full, those until the next key frame among them."""
        self._hub = hub
        self._most_packets, self._most_bytes = most_packets, most_bytes
        self._wake = wake
        self._ring: list[Packet] = []
        self._bytes = 0
        self._waits_for_key = True

    def take(self) -> list[Packet]:
        """Everything that came since the last time, in order; empties the ring."""
        if not self._ring:
            return []
        with self._hub._lock:
            packets, self._ring, self._bytes = self._ring, [], 0
        return packets

    def close(self) -> None:
        """No more packets; what is in the ring is let go. Twice is harmless."""
        self._hub._remove(self)

    @property
    def waiting(self) -> int:
        """Packets in the ring now."""
        return len(self._ring)

    def _put(self, packet: Packet) -> bool:
        """With the hub's lock held. True: the ring was empty before, so its reader wants to be woken."""
        is_key = packet.is_key and packet.track == VIDEO
        if self._waits_for_key:
            if not is_key:
                if self.dropped:
                    self.dropped += 1
                return False
            self._waits_for_key = False
        ring, size = self._ring, len(packet.data)
        if len(ring) >= self._most_packets or self._bytes + size > self._most_bytes:
            self.dropped += len(ring) + (not is_key)
            ring.clear()
            self._bytes = 0
            if not is_key:
                self._waits_for_key = True
                return False
        ring.append(packet)
        self._bytes += size
        return len(ring) == 1


class Hub:
    """Fan-out of one stream. `publish`, `began` and `clear` belong to the camera's thread; the rest to anybody.

    The packets since the last key frame are kept (GOP cache), so that a new reader has a picture at once; a GOP larger
    than the bounds is not kept, and readers then begin at the next key frame.
    """

    def __init__(self, most_gop_packets: int = 1500, most_gop_bytes: int = 16 << 20) -> None:
        """Bounds of the GOP cache: the defaults hold 10 s at 60 frames a second with audio, and 12.8 Mbit/s."""
        self._most_gop_packets, self._most_gop_bytes = most_gop_packets, most_gop_bytes
        self._lock = threading.Lock()
        self._readers: tuple[Reader, ...] = ()
        self._gop: list[Packet] = []
        self._gop_bytes = 0
        self._sessions: dict[int, str] = {}
        self._left_dropped = 0
        self.formats: TrackFormats | None = None
        """Of the newest packet; None before the first, and while the camera is away."""

    def publish(self, packet: Packet) -> None:
        """Hands a packet to every reader and to the GOP cache. Wakes readers whose rings were empty, in this thread."""
        with self._lock:
            self.formats = packet.formats
            self._cache(packet)
            woken = [reader for reader in self._readers if reader._put(packet) and reader._wake]
        for reader in woken:
            if reader._wake:
                reader._wake()

    def began(self, session: int, reason: str) -> None:
        """A session begins (core.media.Packet.session). reason: start, reconnect or jump (of the camera's clock)."""
        with self._lock:
            self._sessions[session] = reason
            while len(self._sessions) > _SESSIONS_KEPT:
                del self._sessions[next(iter(self._sessions))]

    def why(self, session: int) -> str:
        """Why that session began; `reconnect` for one that is forgotten."""
        return self._sessions.get(session, "reconnect")

    def clear(self) -> None:
        """The camera is gone: nobody new begins with its old pictures."""
        with self._lock:
            self._gop, self._gop_bytes, self.formats = [], 0, None

    def gop(self) -> list[Packet]:
        """The packets since the last key frame, which is the first of them; empty when there is none."""
        with self._lock:
            return self._gop.copy()

    def reader(
        self,
        name: str,
        most_packets: int,
        most_bytes: int,
        wake: Callable[[], None] | None = None,
        from_gop: bool = True,
    ) -> Reader:
        """A new reader. most_packets, most_bytes: bounds of its ring. wake: called when the ring stops being empty.

        from_gop: begin with the GOP in progress, at once; else with the next key frame. A GOP that does not fit into
        the ring is not given. `wake` runs in the camera's thread (and here, when there is a GOP) and must not block.
        """
        reader = Reader(self, name, most_packets, most_bytes, wake)
        with self._lock:
            if from_gop and len(self._gop) < most_packets and self._gop_bytes < most_bytes:
                for packet in self._gop:
                    reader._put(packet)
            self._readers = (*self._readers, reader)
        if reader._ring and wake:
            wake()
        return reader

    @property
    def readers(self) -> tuple[Reader, ...]:
        """Those who read now."""
        return self._readers

    @property
    def dropped(self) -> int:
        """Packets that readers lost since the start, those that have left included."""
        with self._lock:
            return self._left_dropped + sum(reader.dropped for reader in self._readers)

    def _cache(self, packet: Packet) -> None:
        if packet.is_key and packet.track == VIDEO:
            self._gop, self._gop_bytes = [], 0
        elif not self._gop:
            return
        self._gop.append(packet)
        self._gop_bytes += len(packet.data)
        if len(self._gop) > self._most_gop_packets or self._gop_bytes > self._most_gop_bytes:
            self._gop, self._gop_bytes = [], 0

    def _remove(self, reader: Reader) -> None:
        with self._lock:
            if reader in self._readers:
                self._left_dropped += reader.dropped
            self._readers = tuple(other for other in self._readers if other is not reader)
            reader._ring, reader._bytes = [], 0
