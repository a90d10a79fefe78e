"""A small ONVIF device before the simulated cameras: enough for a client to find the addresses of their streams.

`http://127.0.0.1:P/onvif/device_service` is the first camera, `http://127.0.0.1:P/ID/onvif/device_service` any other.
Device service, Media1 and Media2 as far as a reader of profiles asks; HTTP digest or WS-UsernameToken; a clock that may
be off; addresses that may name a host that nobody can reach.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import av
import cv2

from simulators.cameras import onvif_answers as answers
from simulators.cameras import soap
from simulators.cameras.digest import Gate
from simulators.cameras.fleet import Fleet
from simulators.cameras.onvif_answers import Profile
from simulators.cameras.server import Server
from simulators.cameras.small_http import HttpAnswer, HttpRequest

OPEN = frozenset({"GetSystemDateAndTime", "GetServices", "GetCapabilities", "GetServiceCapabilities", "GetHostname"})
"""Calls without credentials (ONVIF Core, access class PRE_AUTH)."""
UNREACHABLE = "192.168.1.108"
SERVICES = frozenset(answers.PATHS.values())
Authentication = Literal["both", "digest", "token"]


@dataclass(slots=True)
class Device:
    """The handler of the ONVIF port. Without a user nobody is asked who he is.

    clock_offset_s: its clock minus ours, beside what the camera's own fault adds. tolerance_s: how old or young a token
    may be. wrong_host: addresses name UNREACHABLE. media2: whether it has that service. port: once it is known.
    """

    server: Server
    fleet: Fleet
    user: str | None = None
    password: str = ""
    authentication: Authentication = "both"
    clock_offset_s: float = 0.0
    tolerance_s: float = 60.0
    wrong_host: bool = False
    media2: bool = True
    port: int = 0
    calls: list[str] = field(default_factory=list)
    _gate: Gate | None = None

    def __post_init__(self) -> None:
        if self.user:
            self._gate = Gate(self.user, self.password, qop=True)

    async def answer(self, request: HttpRequest) -> HttpAnswer:
        """Never raises: what is wrong is in the answer."""
        words = [word for word in request.path.split("/") if word]
        identity = words[0] if words and words[0] in self.fleet.cameras else next(iter(self.fleet.cameras))
        if words and words[-1] == "snapshot.jpg":
            return await self._snapshot(request, identity)
        if request.method != "POST" or not words or words[-1] not in SERVICES:
            return HttpAnswer(404)
        call = soap.call(request.body)
        if call is None:
            return self._fault(400, "WellFormed", "no SOAP request")
        self.calls.append(call.name)
        del self.calls[:-1000]
        refusal = self._refusal(request, call)
        if refusal is not None:
            return refusal
        body = self._body(call, identity)
        if body is None:
            return self._fault(500, "ActionNotSupported", f"{call.name} is not implemented")
        return HttpAnswer(200, soap.envelope(body), soap.CONTENT_TYPE)

    def now(self, identity: str) -> datetime:
        """The camera's clock."""
        offset_s = self.clock_offset_s + self.fleet.cameras[identity].conditions.clock_offset_s
        return datetime.fromtimestamp(time.time() + offset_s, UTC)

    def profiles(self, identity: str) -> list[Profile]:
        """A profile a stream."""
        found = []
        for name, feeds in self.fleet.cameras[identity].streams.items():
            loop = feeds[0].loop
            seconds = loop.duration / loop.clock_hz
            keys = sum(unit.is_key for unit in loop.units)
            kbps = round(loop.mean_bytes * len(loop.units) * 8 / 1000 / seconds)
            size, fps = (loop.width, loop.height), round(len(loop.units) / seconds, 3)
            found.append(Profile(name, f"{name} stream", loop.codec, *size, fps, kbps, len(loop.units) // max(keys, 1)))
        return found

    def _refusal(self, request: HttpRequest, call: soap.Call) -> HttpAnswer | None:
        """What a stranger gets; None for everybody else."""
        if self._gate is None or call.name in OPEN:
            return None
        if self.authentication != "token" and self._gate.admits(request.method, request.headers.get("authorization")):
            return None
        now = self.now(next(iter(self.fleet.cameras)))
        if self.authentication != "digest" and call.token is not None:
            assert self.user is not None
            if soap.admits(call.token, self.user, self.password, now, self.tolerance_s):
                return None
            return self._fault(400, "NotAuthorized", "sender not authorized")
        if self.authentication == "token":
            return self._fault(400, "NotAuthorized", "sender not authorized")
        return HttpAnswer(401, headers={"WWW-Authenticate": self._gate.challenge()})

    def _body(self, call: soap.Call, identity: str) -> str | None:
        found = self.profiles(identity)
        token = call.parameters.get("ProfileToken", "")
        base = f"http://{self._host()}:{self.port}/{identity}/onvif/"
        bodies: dict[tuple[str, str], Callable[[], str]] = {
            ("tds", "GetSystemDateAndTime"): lambda: answers.system_date_and_time(self.now(identity)),
            ("tds", "GetDeviceInformation"): lambda: answers.device_information(identity),
            ("tds", "GetServices"): lambda: answers.services(base, media2=self.media2),
            ("tds", "GetCapabilities"): lambda: answers.capabilities(base),
            ("tds", "GetScopes"): lambda: answers.scopes(identity),
            ("trt", "GetProfiles"): lambda: answers.profiles1(found),
            ("trt", "GetProfile"): lambda: answers.profiles1(_named(found, token), "GetProfileResponse"),
            ("trt", "GetVideoSources"): lambda: answers.video_sources(found[0]),
            ("tr2", "GetProfiles"): lambda: answers.profiles2(_named(found, call.parameters.get("Token", ""))),
        }
        if call.prefix == "tr2" and not self.media2:
            return None
        if call.prefix in ("trt", "tr2") and call.name in ("GetStreamUri", "GetSnapshotUri"):
            return answers.uri(call.prefix, call.name, self._address(call.name, identity, token))
        make = bodies.get((call.prefix, call.name))
        return None if make is None else make()

    def _host(self) -> str:
        return UNREACHABLE if self.wrong_host else self.server.host

    def _address(self, name: str, identity: str, token: str) -> str:
        if name == "GetSnapshotUri":
            return f"http://{self._host()}:{self.port}/{identity}/snapshot.jpg"
        stream = token if token in self.fleet.cameras[identity].streams else "main"
        return self.server.url(identity, stream).replace(f"//{self.server.host}:", f"//{self._host()}:")

    async def _snapshot(self, request: HttpRequest, identity: str) -> HttpAnswer:
        if self._gate is not None and not self._gate.admits(request.method, request.headers.get("authorization")):
            return HttpAnswer(401, headers={"WWW-Authenticate": self._gate.challenge()})
        picture = await asyncio.to_thread(self._picture, identity)
        return HttpAnswer(200, picture, "image/jpeg")

    def _picture(self, identity: str) -> bytes:
        main, _ = self.fleet.sources[identity].pair()
        decoder = av.CodecContext.create("h264" if main.codec == "h264" else "hevc", "r")
        assert isinstance(decoder, av.VideoCodecContext)
        frames = [*decoder.decode(av.Packet(main.units[0].data)), *decoder.decode(None)]
        whole, data = cv2.imencode(".jpg", frames[0].to_ndarray(format="bgr24"))
        assert whole
        return data.tobytes()

    def _fault(self, status: int, subcode: str, reason: str) -> HttpAnswer:
        return HttpAnswer(status, soap.fault("Sender", subcode, reason), soap.CONTENT_TYPE)


def _named(found: list[Profile], token: str) -> list[Profile]:
    """The profile with this token, all where there is none."""
    return [one for one in found if one.token == token] or found
