"""Counts and times every answer by route (the pattern, never the path: its cardinality is bounded)."""

import time

from console.limits import App, Message, Receive, Scope, Send
from console.metrics import HTTP_REQUESTS, HTTP_SECONDS


class Measured:
    """ASGI wrapper, outermost."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "unknown")
                HTTP_REQUESTS.labels(_method(scope["method"]), route, str(message["status"])).inc()
                HTTP_SECONDS.labels(route).observe(time.perf_counter() - began)
            await send(message)

        return await self._app(scope, receive, counted)


def _method(method: str) -> str:
    return method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "other"
