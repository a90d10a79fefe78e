"""Outer guards of the HTTP server: size of bodies, and headers that keep a browser from helping an attacker."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from console.problems import TooLarge, of_error

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
GUARDED = ("/api", "/healthz", "/readyz", "/metrics", "/sign-")


class Guards:
    """ASGI wrapper. Paths under /api: bodies over `limit` bytes get 413, whether or not they say their length."""

    def __init__(self, app: App, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not (scope["path"] == "/" or scope["path"].startswith(GUARDED)):
            return await self._app(scope, receive, send)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._limit:
            error = TooLarge(f"The body is over {self._limit} bytes.")
            return await of_error(error)(scope, receive, _hardened(send))
        return await self._app(scope, self._counted(receive), _hardened(send))

    def _counted(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                raise TooLarge(f"The body is over {self._limit} bytes.")
            return message

        return counted


def _hardened(send: Send) -> Send:
    async def hardened(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(pair for pair in SECURITY_HEADERS if pair[0] not in present)]
        await send(message)

    return hardened
