"""Faults on command over HTTP on 127.0.0.1.

`POST /ID/KIND?for=60&value=0.5` begins one (ID `all`: every camera), `DELETE /ID` or `DELETE /ID/KIND` ends them,
`GET /` tells cameras, faults in force and what was sent.
"""

import msgspec

from simulators.cameras.injector import Injector, Running
from simulators.cameras.small_http import HttpAnswer, HttpRequest
from simulators.errors import SimulatorError

ALL = "all"


class Control:
    """The handler of the control port."""

    def __init__(self, injector: Injector) -> None:
        self._injector = injector

    async def answer(self, request: HttpRequest) -> HttpAnswer:
        """Never raises: what is wrong is in the answer."""
        words = [word for word in request.path.split("/") if word]
        try:
            if request.method == "GET" and not words:
                return _json(200, self._state())
            if request.method == "POST" and len(words) == 2:
                return _json(200, await self._begin(words[0], words[1], request))
            if request.method == "DELETE" and 1 <= len(words) <= 2:
                return _json(200, self._end(*words))
        except SimulatorError as error:
            return _json(404 if "no camera" in str(error) else 400, {"error": str(error)})
        return _json(404, {"error": "POST /ID/KIND?for=S&value=X, DELETE /ID[/KIND], or GET /"})

    async def _begin(self, identity: str, name: str, request: HttpRequest) -> list[dict[str, object]]:
        lasts_s, value = (_number(request, key) for key in ("for", "value"))
        one = None if identity == ALL else identity
        cameras = self._injector.cameras(one)
        kind, amount = await self._injector.prepare(name, value, one)
        return [_told(self._injector.begin(camera, kind, amount, lasts_s)) for camera in cameras]

    def _end(self, identity: str, name: str | None = None) -> list[dict[str, object]]:
        ended = []
        for camera in self._injector.cameras(None if identity == ALL else identity):
            for running in self._injector.active(camera):
                if name in (None, running.kind.name):
                    self._injector.end(running)
                    ended.append(_told(running))
        return ended

    def _state(self) -> dict[str, object]:
        server = self._injector.server
        return {
            "cameras": {
                one.id: {
                    "urls": {stream: server.url(one.id, stream) for stream in one.streams},
                    "connections": len(one.connections),
                    "faults": [_told(running) for running in self._injector.active(one)],
                }
                for one in self._injector.cameras(None)
            },
            "sent": msgspec.to_builtins(server.sent_so_far()),
        }


def _told(running: Running) -> dict[str, object]:
    return {
        "camera": running.camera.id,
        "kind": running.kind.name,
        "value": running.value,
        "began_ms": running.began_ms,
        "ended_ms": running.ended_ms,
    }


def _number(request: HttpRequest, key: str) -> float | None:
    text = request.query.get(key)
    try:
        return None if text is None else float(text)
    except ValueError as error:
        raise SimulatorError(f"{key} takes a number, not {text!r}") from error


def _json(status: int, value: object) -> HttpAnswer:
    return HttpAnswer(status, msgspec.json.encode(value) + b"\n")
