"""Outer guards of the HTTP server: bounds of bodies, and headers that keep a browser from helping an attacker.

Bodies are read before anybody is known, so that their size is certain: at most HELD_MOST bytes of them at a time. A
path with a larger limit of its own (an import) is not read ahead: its route asks who calls first, then reads.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from console.problems import TooLarge, TooManyBodies, TooSlow, of_error
from core.errors import WanggeError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
]
STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")
HELD_MOST = 64 << 20
"""Bytes of bodies of all requests under way; beyond it, 503."""
GUARDED = ("/api", "/healthz", "/readyz", "/metrics", "/sign-")


class Guards:
    """ASGI wrapper. Every answer gets the headers; bodies of guarded paths are bounded, said length or not."""

    def __init__(self, app: App, limit: int, larger: Mapping[str, int] | None = None, wait_s: float = 30.0) -> None:
        """larger: path → its own limit. wait_s: a body (on a larger path: its next piece) may take so long."""
        self._app = app
        self._limit = limit
        self._larger = dict(larger or {})
        self._wait_s = wait_s
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        hardened = _hardened(send, secure=scope["scheme"] == "https")
        if not (scope["path"] == "/" or scope["path"].startswith(GUARDED)):
            return await self._app(scope, receive, hardened)
        if (larger := self._larger.get(scope["path"])) is not None:
            return await self._app(scope, _bounded(receive, larger, self._wait_s), hardened)
        body = bytearray()
        try:
            try:
                await self._read(receive, body, declared=_declared(scope))
            except WanggeError as error:
                return await of_error(error)(scope, receive, _closing(hardened))
            return await self._app(scope, _once(bytes(body), receive), hardened)
        finally:
            self._held -= len(body)

    async def _read(self, receive: Receive, body: bytearray, *, declared: int) -> None:
        """The whole body. Raises TooLarge, TooSlow, TooManyBodies."""
        if declared > self._limit:
            raise _too_large(self._limit)
        try:
            async with asyncio.timeout(self._wait_s):
                more = True
                while more:
                    message = await receive()
                    piece = message.get("body", b"")
                    body += piece
                    self._held += len(piece)
                    if len(body) > self._limit:
                        raise _too_large(self._limit)
                    if self._held > HELD_MOST:
                        raise TooManyBodies("Too many requests with bodies are under way; try again.")
                    more = message.get("more_body", False)
        except TimeoutError:
            raise TooSlow(f"The body did not arrive within {self._wait_s:g} s.") from None


def _too_large(limit: int) -> WanggeError:
    return TooLarge(f"The body is over {limit} bytes.")


def _declared(scope: Scope) -> int:
    """Content-Length, 0 where there is none; what is no number the server has refused already."""
    value = dict(scope["headers"]).get(b"content-length", b"0")
    return int(value) if value.isdigit() and len(value) < 19 else 0


def _bounded(receive: Receive, limit: int, wait_s: float) -> Receive:
    """The same body, counted and timed while the route reads it; raises TooLarge, TooSlow there."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        try:
            async with asyncio.timeout(wait_s):
                message = await receive()
        except TimeoutError:
            raise TooSlow(f"Nothing of the body arrived for {wait_s:g} s.") from None
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _too_large(limit)
        return message

    return bounded


def _once(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read, then what the server says (that the client went away)."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _hardened(send: Send, *, secure: bool) -> Send:
    wanted = [*SECURITY_HEADERS, STRICT_TRANSPORT] if secure else SECURITY_HEADERS

    async def hardened(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(pair for pair in wanted if pair[0] not in present)]
        await send(message)

    return hardened


def _closing(send: Send) -> Send:
    """Closes the connection behind the answer: the rest of a refused body is not read."""

    async def closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        await send(message)

    return closing
