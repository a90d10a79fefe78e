"""uvicorn's HTTP/1.1 protocol with two bounds that it lacks: the size of a request's head, and the time it may take.

Facts relied on (uvicorn 0.54, httptools 0.7, measured against the running service): a connection that sends nothing is
never closed before its first answer, and the head of a request may grow without end in memory.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class _Refused(Exception):
    """Leaves the parser; the answer was sent."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Runs in the event loop. Subclasses made by `bounded` carry the limits."""

    head_limit = 64 << 10
    head_wait_s = 30.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._is_in_head = True
        self._head_bytes = 0
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first request must come."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Over."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parses; what does not end a head counts towards its size."""
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_in_head and self._head_bytes > self.head_limit:
            self._refuse()

    def on_headers_complete(self) -> None:
        """A whole head."""
        self._stop_waiting()
        self._is_in_head, self._head_bytes = False, 0
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self.head_limit:
            self._refuse()
            raise _Refused
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next head may begin."""
        self._is_in_head = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Answered; the next request must come."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Not where the answer was sent."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def _refuse(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def _wait(self) -> None:
        self._stop_waiting()
        self._waiting = self.loop.call_later(self.head_wait_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def bounded(head_limit: int, head_wait_s: float) -> type[BoundedProtocol]:
    """The protocol with these limits (bytes, seconds), for `uvicorn.Config(http=…)`."""
    return type("BoundedProtocol", (BoundedProtocol,), {"head_limit": head_limit, "head_wait_s": head_wait_s})
