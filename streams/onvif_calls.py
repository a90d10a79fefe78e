"""The ONVIF calls themselves: Device and Media by the library's WSDLs (zeep), Media2 by envelopes of our own.

The library ships no WSDL of Media2, and Media cannot say H.265. Profiles come out of both in the same shape:
`{"token", "Name", "source", "encoder": {"Encoding", "Width", "Height", "FrameRateLimit"}}`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
from lxml import etree

from devices.camera_secrets import LogIn
from streams.onvif_transport import LogInRefused, OnvifError, Transport, Unauthorized, parse_reply

DEVICE = "http://www.onvif.org/ver10/device/wsdl"
MEDIA = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
SCHEMA = "http://www.onvif.org/ver10/schema"
_ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
_BINDINGS = {DEVICE: ("devicemgmt.wsdl", "DeviceBinding"), MEDIA: ("media.wsdl", "MediaBinding")}
_UNREADABLE = (AttributeError, KeyError, LookupError, TypeError, ValueError)
"""What the library makes of answers that are not what the WSDL says."""


@cache
def _library() -> ModuleType:
    """The library. Importing it sets up logging for the whole process, which is not its business."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    import onvif

    for handler in [one for one in root.handlers if one not in before]:
        root.removeHandler(handler)
    root.setLevel(level)
    module: ModuleType = onvif
    return module


class Calls:
    """Calls of one device, with the log-in shown in the way that the device asks for."""

    def __init__(self, transport: Transport, log_in: LogIn | None) -> None:
        self.offset_s = 0.0
        """The device's clock minus ours; goes into tokens made after it was set."""
        self.is_open = True
        """No call needed a log-in so far."""
        self._transport, self._log_in = transport, log_in
        self._with_token = False
        self._services: dict[tuple[str, str, float], Any] = {}

    async def __aenter__(self) -> "Calls":
        return self

    async def __aexit__(self, *_: object) -> None:
        for service in self._services.values():
            await service.close()

    async def device_time(self, address: str) -> float:
        """The device's UTC, epoch seconds. Raises OnvifError when there is no ONVIF device."""
        service = await self._service(DEVICE, address)
        told = await self._understood(service.authless_GetSystemDateAndTime())
        try:
            day, clock = told.UTCDateTime.Date, told.UTCDateTime.Time
            at = datetime(day.Year, day.Month, day.Day, clock.Hour, clock.Minute, min(clock.Second, 59), tzinfo=UTC)
        except _UNREADABLE:
            raise OnvifError("The device's clock cannot be read; is it set?") from None
        return at.timestamp()

    async def services(self, address: str) -> dict[str, str]:
        """Namespace → address of the device's services."""
        try:
            told = await self._library_call(DEVICE, address, "GetServices", {"IncludeCapability": False})
            found = {str(one.Namespace): str(one.XAddr) for one in told or () if one.XAddr}
        except LogInRefused:
            raise
        except (OnvifError, *_UNREADABLE):
            told = await self._library_call(DEVICE, address, "GetCapabilities", {"Category": "All"})
            found = {MEDIA: str(told.Media.XAddr)} if getattr(told, "Media", None) else {}
        return found

    async def information(self, address: str) -> dict[str, str]:
        """Manufacturer, Model, SerialNumber and so on."""
        told = await self._library_call(DEVICE, address, "GetDeviceInformation", {})
        names = ("Manufacturer", "Model", "FirmwareVersion", "SerialNumber", "HardwareId")
        return {name: str(getattr(told, name, None) or "") for name in names}

    async def profiles(self, address: str, *, media2: bool) -> list[dict[str, Any]]:
        """Profiles in the shape of the module's head."""
        if not media2:
            told = await self._library_call(MEDIA, address, "GetProfiles", {})
            return [_of_media(one) for one in told or ()]
        body = f'<GetProfiles xmlns="{MEDIA2}"><Type>All</Type></GetProfiles>'
        root = await self._own_call(address, f"{MEDIA2}/GetProfiles", body)
        return [_of_media2(one) for one in root.iter(f"{{{MEDIA2}}}Profiles")]

    async def stream_address(self, address: str, token: str, *, media2: bool) -> str:
        """The RTSP address of a profile, as the device tells it."""
        if not media2:
            setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
            parameters = {"StreamSetup": setup, "ProfileToken": token}
            told = await self._library_call(MEDIA, address, "GetStreamUri", parameters)
            return str(getattr(told, "Uri", None) or "")
        request = etree.Element(f"{{{MEDIA2}}}GetStreamUri")
        etree.SubElement(request, f"{{{MEDIA2}}}Protocol").text = "RTSP"
        etree.SubElement(request, f"{{{MEDIA2}}}ProfileToken").text = token
        root = await self._own_call(address, f"{MEDIA2}/GetStreamUri", etree.tostring(request, encoding="unicode"))
        return next((one.text or "" for one in root.iter(f"{{{MEDIA2}}}Uri")), "")

    async def _library_call(self, namespace: str, address: str, name: str, parameters: Mapping[str, Any]) -> Any:
        async def call(with_token: bool) -> Any:
            service = await self._service(namespace, address)
            operation = getattr(service, name if with_token else f"authless_{name}")
            return await self._understood(operation(dict(parameters)))

        return await self._authenticated(call)

    async def _own_call(self, address: str, action: str, body: str) -> Any:
        async def call(with_token: bool) -> Any:
            envelope: Any = etree.fromstring(
                f'<s:Envelope xmlns:s="{_ENVELOPE}"><s:Header/><s:Body>{body}</s:Body></s:Envelope>'
            )
            if with_token:
                envelope, _ = self._token().apply(envelope, {})
            reply = await self._transport.post_xml(address, envelope, {"SOAPAction": f'"{action}"'})
            root = parse_reply(reply.content, reply.status_code)
            fault = root.find(f".//{{{_ENVELOPE}}}Fault")
            if fault is not None or reply.status_code != 200:
                raise _fault(" ".join(root.itertext()))
            return root

        return await self._authenticated(call)

    async def _authenticated(self, call: Callable[[bool], Awaitable[Any]]) -> Any:
        """None first; digest where the device answers 401; a token where it answers NotAuthorized. Each once."""
        try:
            return await call(self._with_token)
        except Unauthorized as error:
            wants_digest = error.kind == Unauthorized.kind
            if self._log_in is None:
                raise LogInRefused("The device wants a log-in: give --user and --password-file.") from None
            if not self.is_open:
                raise LogInRefused("The device refuses this user and password.") from None
        self.is_open = False
        assert self._log_in is not None
        if wants_digest:
            self._transport.auth = httpx.DigestAuth(self._log_in.user, self._log_in.password)
        else:
            self._with_token = True
        try:
            return await call(self._with_token)
        except Unauthorized:
            raise LogInRefused("The device refuses this user and password.") from None

    async def _understood(self, call: Awaitable[Any]) -> Any:
        from zeep import exceptions

        try:
            return await call
        except exceptions.Fault as fault:
            codes = " ".join(str(code) for code in (fault.code, *(fault.subcodes or ())))
            raise _fault(f"{codes} {fault.message}") from None
        except (exceptions.Error, etree.LxmlError, *_UNREADABLE):
            raise OnvifError("The device's answer is not what ONVIF says it must be.") from None

    def _token(self) -> Any:
        from zeep.wsse.username import UsernameToken

        make: Any = UsernameToken
        assert self._log_in is not None
        created = (datetime.now(UTC) + timedelta(seconds=self.offset_s)).replace(tzinfo=None)
        return make(self._log_in.user, self._log_in.password, use_digest=True, created=created, zulu_timestamp=True)

    async def _service(self, namespace: str, address: str) -> Any:
        """The library's service, made anew when the clock's offset became known."""
        key = (namespace, address, self.offset_s)
        if key not in self._services:
            library = await asyncio.to_thread(_library)
            wsdl, binding = _BINDINGS[namespace]
            service = library.ONVIFService(
                address,
                self._log_in.user if self._log_in else None,
                self._log_in.password if self._log_in else None,
                str(Path(str(library.__file__)).parent / "wsdl" / wsdl),
                no_cache=True,
                dt_diff=timedelta(seconds=self.offset_s),
                binding_name=f"{{{namespace}}}{binding}",
            )
            service.transport = self._transport
            await service.setup()
            self._services[key] = service
        return self._services[key]


class _NotAuthorized(Unauthorized):
    """A fault that asks for a token."""

    kind = "onvif_not_authorized"


def _fault(text: str) -> OnvifError:
    if "NotAuthorized" in text or "not authorized" in text.lower():
        return _NotAuthorized("The device refuses: it wants a log-in, or another one.")
    shown = "".join(letter for letter in " ".join(text.split())[:200] if letter.isprintable())
    return OnvifError(f"The device refuses: {shown}.")


def _of_media(profile: Any) -> dict[str, Any]:
    encoder = getattr(profile, "VideoEncoderConfiguration", None)
    source = getattr(profile, "VideoSourceConfiguration", None)
    found: dict[str, Any] = {}
    if encoder is not None:
        resolution, rate = getattr(encoder, "Resolution", None), getattr(encoder, "RateControl", None)
        found = {
            "Encoding": getattr(encoder, "Encoding", None),
            "Width": getattr(resolution, "Width", None),
            "Height": getattr(resolution, "Height", None),
            "FrameRateLimit": getattr(rate, "FrameRateLimit", None),
        }
    return {
        "token": getattr(profile, "token", None),
        "Name": getattr(profile, "Name", None),
        "source": getattr(source, "SourceToken", None),
        "encoder": found,
    }


def _of_media2(profile: Any) -> dict[str, Any]:
    encoder = profile.find(f".//{{{MEDIA2}}}VideoEncoder")
    names = ("Encoding", "Width", "Height", "FrameRateLimit")
    found = {} if encoder is None else {name: encoder.findtext(f".//{{{SCHEMA}}}{name}") for name in names}
    return {
        "token": profile.get("token"),
        "Name": profile.findtext(f"{{{MEDIA2}}}Name"),
        "source": profile.findtext(f".//{{{MEDIA2}}}VideoSource/{{{SCHEMA}}}SourceToken"),
        "encoder": found,
    }


def children(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of a profile; empty when there is none."""
    value = raw.get(name)
    return value if isinstance(value, Mapping) else {}


def text_of(raw: Mapping[str, Any], name: str) -> str:
    """A text of a profile; empty when there is none."""
    value = raw.get(name)
    return "" if value is None else str(value)


def number(raw: Mapping[str, Any], name: str) -> float:
    """A number of a profile; 0 when there is none, or a senseless one."""
    try:
        value = float(raw.get(name) or 0)
    except (TypeError, ValueError):
        return 0.0
    return value if 0 <= value <= 100_000 else 0.0
