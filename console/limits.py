"""Outer guards of the HTTP server: size of bodies, and headers that keep a browser from helping an attacker."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
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

    def __init__(self, app: App, limit: int, larger: Mapping[str, int] | None = None) -> None:
        """larger: path → its own limit."""
        self._app = app
        self._limit = limit
        self._larger = dict(larger or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not (scope["path"] == "/" or scope["path"].startswith(GUARDED)):
            return await self._app(scope, receive, send)
        hardened = _hardened(send)
        limit = self._larger.get(scope["path"], self._limit)
        body = await _read(receive, limit, declared=_declared(scope))
        if body is None:
            return await of_error(TooLarge(f"The body is over {limit} bytes."))(scope, receive, hardened)
        return await self._app(scope, _once(body, receive), hardened)


def _declared(scope: Scope) -> int:
    """Content-Length, 0 where there is none; what is no number the server has refused already."""
    value = dict(scope["headers"]).get(b"content-length", b"0")
    return int(value) if value.isdigit() else 0


async def _read(receive: Receive, limit: int, *, declared: int) -> bytes | None:
    """The whole body, None when it is over the limit. Read before the route runs: then its size is known for sure."""
    if declared > limit:
        return None
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body"):
            return bytes(body)


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


def _hardened(send: Send) -> Send:
    async def hardened(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(pair for pair in SECURITY_HEADERS if pair[0] not in present)]
        await send(message)

    return hardened
