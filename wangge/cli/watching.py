"""Following live changes (SSE): one dictionary a change, resumed after a broken connection, nothing twice."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from wangge.running import Service, error_of

AGAIN_AFTER_S = 1.0
GIVE_UP_AFTER_S = 60.0


def changes(service: Service, query: Mapping[str, object], seconds: float | None = None) -> Iterator[dict[str, Any]]:
    """Changes committed from now on. Ends after `seconds`; raises NotRunning when nothing answers for a minute."""
    deadline = None if seconds is None else time.monotonic() + seconds
    given: dict[str, Any] = {name: value for name, value in query.items() if value is not None}
    last: str | None = None
    heard = time.monotonic()
    while deadline is None or time.monotonic() < deadline:
        try:
            for number, body in _messages(service, given, last, deadline):
                heard = time.monotonic()
                if number is not None:
                    last = number
                if body is not None:
                    yield json.loads(body)
        except httpx.TransportError:
            if time.monotonic() - heard > GIVE_UP_AFTER_S or last is None:
                service.get("/healthz")
        if deadline is None or time.monotonic() + AGAIN_AFTER_S < deadline:
            time.sleep(AGAIN_AFTER_S)
        else:
            return


def _messages(
    service: Service, query: Mapping[str, Any], last: str | None, deadline: float | None
) -> Iterator[tuple[str | None, str | None]]:
    """(id, data) of each message of one connection; (None, None) for each sign of life."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
    limits = httpx.Timeout(10.0, read=45.0)
    with service.client.stream("GET", "/api/stream", params=query, headers=headers, timeout=limits) as answer:
        if answer.is_error:
            answer.read()
            raise error_of(answer)
        number: str | None = None
        body: list[str] = []
        for line in answer.iter_lines():
            if deadline is not None and time.monotonic() >= deadline:
                return
            name, _, value = line.partition(":")
            if name == "id":
                number = value.strip()
            elif name == "data":
                body.append(value.strip())
            elif not line:
                yield number, "\n".join(body) if body else None
                number, body = None, []
