"""The socket of an RTSP connection: requests out; answers and interleaved packets in (RFC 2326 10.12), read in bulk."""

import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from core.errors import DecodeError

_BUFFER = 1 << 18
"""Bytes read at once at most; more than any interleaved packet (65,539)."""
_MOST_HEAD = 32 << 10
_MOST_BODY = 256 << 10
_USER_AGENT = "wangge"


@dataclass(slots=True)
class Answer:
    """headers: names in lower case, all values of each in order."""

    status: int
    headers: dict[str, list[str]] = field(default_factory=dict)
    body: str = ""

    def header(self, name: str) -> str | None:
        """The first value."""
        found = self.headers.get(name)
        return found[0] if found else None


class Wire:
    """One connection. Blocking; `interrupt` alone may be called by other threads. Raises OSError and DecodeError."""

    def __init__(self, url: str, connect_s: float, idle_s: float) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 554), connect_s)
        self._socket.settimeout(None)
        self.limit(idle_s)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 2, 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray(_BUFFER)
        self._view = memoryview(self.buffer)
        self.answers: list[Answer] = []
        """Answers that were read and not taken; `packets` puts them here."""
        self._start = self._end = 0
        self._sequence = 0

    def limit(self, idle_s: float) -> None:
        """A read that waits longer raises TimeoutError. By the kernel: Python's own costs a poll each time."""
        whole = int(idle_s)
        limit = struct.pack("ll", whole, max(1, int((idle_s - whole) * 1e6)))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)

    def interrupt(self) -> None:
        """Ends a read that waits, from any thread."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def close(self) -> None:
        """Gives the socket back."""
        self._socket.close()

    def send(self, method: str, url: str, headers: dict[str, str]) -> int:
        """Sends a request; returns its CSeq."""
        self._sequence += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._sequence}", f"User-Agent: {_USER_AGENT}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return self._sequence

    def send_packet(self, channel: int, data: bytes) -> None:
        """Sends an interleaved packet."""
        self._socket.sendall(struct.pack(">BBH", 0x24, channel, len(data)) + data)

    def answer(self, deadline_s: float) -> Answer:
        """The next answer; packets that come before it are passed over. deadline_s: monotonic."""
        while True:
            for _ in self.packets():
                if self.answers:
                    break
            if self.answers:
                return self.answers.pop(0)
            if time.monotonic() > deadline_s:
                raise TimeoutError
            self.fill()

    def fill(self) -> None:
        """Reads what there is, at least one byte. Raises TimeoutError, and ConnectionError at the end."""
        if self._start:
            rest = self._end - self._start
            if rest:
                self.buffer[:rest] = self.buffer[self._start : self._end]
            self._start, self._end = 0, rest
        try:
            count = self._socket.recv_into(self._view[self._end :])
        except BlockingIOError:
            raise TimeoutError from None
        if not count:
            raise ConnectionError
        self._end += count

    def packets(self) -> Iterator[tuple[int, int, int]]:
        """Packets that are whole in `buffer`: channel, begin, end; good until the next `fill`. Answers in between go to
        `answers`, and (-1, 0, 0) is given for each."""
        buffer, have, start = self.buffer, self._end, self._start
        while have - start >= 4:
            if buffer[start] == 0x24:
                begin = start + 4
                end = begin + (buffer[start + 2] << 8 | buffer[start + 3])
                if end > have:
                    return
                self._start = end
                yield buffer[start + 1], begin, end
                start = end
            else:
                found = self._answer_at(start)
                if found is None:
                    return
                self.answers.append(found)
                start = self._start
                yield -1, 0, 0

    def _answer_at(self, start: int) -> Answer | None:
        """The answer in the buffer; None while it is not whole. A request of the camera's own is passed over."""
        head_end, skip = self.buffer.find(b"\r\n\r\n", start, self._end), 4
        if head_end < 0:
            head_end, skip = self.buffer.find(b"\n\n", start, self._end), 2
        if head_end < 0:
            if self._end - start > _MOST_HEAD or not self.buffer[start : start + 1].isalpha():
                raise DecodeError("What the camera sends is not RTSP.")
            return None
        lines = self.buffer[start:head_end].decode("utf-8", "replace").splitlines()
        made = Answer(_status(lines[0]))
        for line in lines[1:]:
            name, _, value = line.partition(":")
            made.headers.setdefault(name.strip().lower(), []).append(value.strip())
        length = made.header("content-length") or "0"
        if not length.isdecimal() or int(length) > _MOST_BODY - _MOST_HEAD:
            raise DecodeError("The camera's answer has no sensible length.")
        body_start = head_end + skip
        if self._end - body_start < int(length):
            if self._end == len(self.buffer) and start == 0:
                raise DecodeError("The camera's answer is too long.")
            return None
        self._start = body_start + int(length)
        made.body = self.buffer[body_start : self._start].decode("utf-8", "replace")
        return made


def _status(line: str) -> int:
    """Of a status line; 0 for a request, which cameras may send, too. Raises DecodeError for anything else."""
    words = line.split(None, 2)
    if len(words) >= 2 and words[0].upper().startswith("RTSP/") and words[1].isdecimal():
        return int(words[1][:4])
    if len(words) == 3 and words[2].upper().startswith("RTSP/"):
        return 0
    raise DecodeError("What the camera sends is not RTSP.")
