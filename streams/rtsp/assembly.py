"""RTP payloads into access units (RFC 6184, RFC 7798): NAL units with 4-byte lengths, closed with their last packet.

Pure. Cameras lie with the marker bit (some set it on every packet): a unit is closed by it only when a picture is in
it, and when a picture turns out to have been cut in two that way, units are closed by the next time stamp from then on.
"""

from streams import annexb
from streams.annexb import AccessUnit, Codec, FoundSets

_LARGEST = 32 << 20
"""Bytes of an access unit; what grows larger is garbage."""


Bytes = bytes | bytearray
Done = list[tuple[int, AccessUnit]]
_NONE: Done = []


class Assembler:
    """One stream. `add` per packet; the unit that is whole is returned, with its time stamp."""

    def __init__(self, codec: Codec) -> None:
        self._is_h264 = codec == "h264"
        self._codec = codec
        self._parts: list[Bytes] = []
        self._kinds: list[int] = []
        self._sets: list[bytes] = []
        self._fragment: list[Bytes] | None = None
        self._bytes = 0
        self._timestamp: int | None = None
        self._closed: int | None = None
        self._has_picture = False
        self._marker_lies = False
        self.broken = 0
        """NAL units that were cut by loss, or made no sense."""

    def add(self, payload: Bytes, timestamp: int, marker: bool) -> Done:
        """The next packet, in order. Returns units that are whole: (time stamp, unit), hardly ever more than one."""
        fragment = self._fragment
        size = len(payload)
        if fragment is not None and timestamp == self._timestamp and not marker and size > 3 and self._bytes < _LARGEST:
            self._bytes += size  # nearly every packet is from the middle of a large NAL unit
            if self._is_h264:
                if payload[0] & 31 == 28 and not payload[1] & 0xC0:
                    fragment.append(payload[2:])
                    return _NONE
            elif payload[0] >> 1 & 63 == 49 and not payload[2] & 0xC0:
                fragment.append(payload[3:])
                return _NONE
        return self._add(payload, timestamp, marker)

    def _add(self, payload: Bytes, timestamp: int, marker: bool) -> Done:
        done: Done = []
        if timestamp != self._timestamp:
            if self._has_picture:
                self._close(done)  # parameter sets of their own go with the next picture
            self._timestamp = timestamp
            self._fragment = None
        if len(payload) > 2:
            if self._is_h264:
                self._h264(payload)
            else:
                self._h265(payload)
        if marker and self._has_picture and not self._marker_lies and self._fragment is None:
            self._close(done)
        return done

    def lost(self) -> None:
        """Packets are missing before the next one: the NAL unit in progress is gone."""
        if self._fragment is not None:
            self._fragment = None
            self.broken += 1

    def _h264(self, payload: Bytes) -> None:
        kind = payload[0] & 31
        if kind == 28:
            head = payload[1]
            if head & 0x80:
                self._begin(bytes((payload[0] & 0xE0 | head & 31,)), payload[2:])
            else:
                self._go_on(payload[2:])
            if head & 0x40:
                self._finish()
        elif kind == 24:
            self._aggregate(payload, 1)
        elif 1 <= kind <= 23:
            self._whole(payload)
        else:
            self.broken += 1

    def _h265(self, payload: Bytes) -> None:
        kind = payload[0] >> 1 & 63
        if kind == 49:
            head = payload[2]
            if head & 0x80:
                self._begin(bytes((payload[0] & 0x81 | (head & 63) << 1, payload[1])), payload[3:])
            else:
                self._go_on(payload[3:])
            if head & 0x40:
                self._finish()
        elif kind == 48:
            self._aggregate(payload, 2)
        elif kind < 48:
            self._whole(payload)
        else:
            self.broken += 1

    def _begin(self, head: Bytes, rest: Bytes) -> None:
        if self._fragment is not None:
            self.broken += 1
        self._fragment = [head, rest]

    def _go_on(self, rest: Bytes) -> None:
        if self._fragment is None:
            return
        self._fragment.append(rest)
        self._bytes += len(rest)
        if self._bytes > _LARGEST:
            self._fragment = None
            self.broken += 1

    def _finish(self) -> None:
        if self._fragment is not None:
            fragment, self._fragment = self._fragment, None
            self._take(fragment)

    def _aggregate(self, payload: Bytes, at: int) -> None:
        while at + 2 < len(payload):
            size = payload[at] << 8 | payload[at + 1]
            at += 2
            if not size or at + size > len(payload):
                self.broken += 1
                return
            self._whole(payload[at : at + size])
            at += size

    def _whole(self, unit: Bytes) -> None:
        if unit.startswith((b"\0\0\1", b"\0\0\0\1")) or b"\0\0\1" in unit[:64]:
            for one in annexb.split(bytes(b"\0\0\1" + unit)):  # a camera that put start codes into its packets
                self._take([one])
        else:
            self._take([unit])

    def _take(self, chunks: list[Bytes]) -> None:
        first = chunks[0][0]
        kind = first & 31 if self._is_h264 else first >> 1 & 63
        size = sum(map(len, chunks))
        self._bytes += size
        if self._bytes > _LARGEST:
            self._parts, self._kinds, self._sets, self._has_picture, self._bytes = [], [], [], False, 0
            self.broken += 1
            return
        self._parts.append(size.to_bytes(4, "big"))
        self._parts += chunks
        self._kinds.append(kind)
        if self._is_h264:
            if kind <= 5:
                self._has_picture = True
            elif kind <= 8:
                self._sets.append(b"".join(chunks))
        elif kind < 32:
            self._has_picture = True
        elif kind <= 34:
            self._sets.append(b"".join(chunks))

    def _close(self, done: Done) -> None:
        timestamp = self._timestamp
        assert timestamp is not None
        if timestamp == self._closed:
            self._marker_lies = True
        data = b"".join(self._parts)
        sets: FoundSets | None = None
        if self._is_h264:
            is_key = 5 in self._kinds
            if self._sets:
                sets, is_recovery = annexb.h264_extras(self._sets)
                is_key = is_key or is_recovery
        else:
            is_key = any(16 <= kind < 24 for kind in self._kinds)
            if self._sets:
                sets = annexb.h265_extras(self._sets)
        self._closed = timestamp
        done.append((timestamp, AccessUnit(data, is_key, sets)))
        self._parts, self._kinds, self._sets = [], [], []
        self._has_picture, self._bytes = False, 0
