"""An ONVIF device with the oddities of real ones, for the client's tests: one HTTP server, answers by table.

It checks what it is asked: tokens against its own (wrong) clock, digest, that nothing is shown before it was asked for.
"""

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from lxml import etree

from simulators.cameras.digest import Gate
from simulators.cameras.small_http import HttpAnswer, HttpRequest, serving

USER, PASSWORD = "viewer", "Pa55wört"
TOLERANCE_S = 5.0
_WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_NAMES = (
    'xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:tds="http://www.onvif.org/ver10/device/wsdl" '
    'xmlns:trt="http://www.onvif.org/ver10/media/wsdl" xmlns:tr2="http://www.onvif.org/ver20/media/wsdl" '
    'xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:ter="http://www.onvif.org/ver10/error"'
)
MAIN = ("main", "主码流", "H265", 2560, 1440, 25, "lens1", "rtsp://192.168.0.64:554/Streaming/101?a=1&amp;b=2")
SUB = ("sub", "子码流", "H264", 704, 576, 12, "lens1", "rtsp://admin:x@0.0.0.0:554/Streaming/102")
TINY = ("tiny", "第三", "H264", 352, 288, 12, "lens1", "rtsp://192.168.0.64:554/Streaming/103")
OTHER = ("other", "lens 2", "H264", 1280, 720, 25, "lens2", "rtsp://192.168.0.64:554/Streaming/201")
PICTURES = ("jpeg", "JPEG", "JPEG", 3840, 2160, 5, "lens1", "rtsp://192.168.0.64:554/jpeg")
WRONG = ("wrong", "no address", "H264", 4096, 2160, 25, "lens1", "http://192.168.0.64/")


@dataclass
class Device:
    """auth: what it asks for. seen: (call, how it was authenticated) in order."""

    auth: Literal["none", "digest", "token"] = "none"
    clock_off_s: float = 0.0
    media2: bool = True
    profiles: tuple[tuple[object, ...], ...] = (SUB, MAIN, TINY, OTHER, PICTURES, WRONG)
    spoiled: dict[str, HttpAnswer] = field(default_factory=dict)
    """Call → an answer in place of the right one."""
    seen: list[tuple[str, str]] = field(default_factory=list)
    gate: Gate = field(default_factory=lambda: Gate(USER, PASSWORD, qop=True))

    async def answer(self, request: HttpRequest) -> HttpAnswer:
        root = etree.fromstring(request.body)
        body = root.find("{*}Body")
        assert body is not None
        call = etree.QName(body[0]).localname
        shown = self._shown(request, root)
        self.seen.append((call, shown))
        if call in self.spoiled:
            return self.spoiled[call]
        if call != "GetSystemDateAndTime" and not (self.auth == "none" or shown == self.auth):
            if self.auth == "digest":
                return HttpAnswer(401, b"<html>no</html>", "text/html", {"WWW-Authenticate": self.gate.challenge()})
            return _fault(400, "ter:NotAuthorized", "Sender not Authorized")
        made = getattr(self, f"_{call}", None)
        return _fault(500, "ter:ActionNotSupported", call) if made is None else _envelope(made(body[0], request))

    def _shown(self, request: HttpRequest, root: etree._Element) -> str:
        """How the request is authenticated; a wrong digest or token is `wrong`."""
        token, header = root.find(f".//{{{_WSSE}}}UsernameToken"), request.headers.get("authorization")
        assert token is None or header is None, "never both at once"
        if header is not None:
            return "digest" if self.gate.admits(request.method, header) else "wrong"
        if token is None:
            return "none"
        created = token.findtext(f"{{{_WSU}}}Created") or ""
        nonce = base64.b64decode(token.findtext(f"{{{_WSSE}}}Nonce") or "")
        digest = base64.b64encode(hashlib.sha1(nonce + created.encode() + PASSWORD.encode()).digest()).decode()
        off_s = (datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) - self._now()).total_seconds()
        right = token.findtext(f"{{{_WSSE}}}Password") == digest and token.findtext(f"{{{_WSSE}}}Username") == USER
        return "token" if right and abs(off_s) <= TOLERANCE_S else "wrong"

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.clock_off_s)

    def _GetSystemDateAndTime(self, _: object, __: HttpRequest) -> str:
        now = self._now()
        return (
            "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType>"
            "<tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime>"
            f"<tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute>"
            f"<tt:Second>{now.second}</tt:Second></tt:Time><tt:Date><tt:Year>{now.year}</tt:Year>"
            f"<tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day></tt:Date></tt:UTCDateTime>"
            "</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
        )

    def _GetServices(self, _: object, __: HttpRequest) -> str:
        one = (
            "<tds:Service><tds:Namespace>http://www.onvif.org/{}/wsdl</tds:Namespace><tds:XAddr>{}</tds:XAddr>"
            "<tds:Version><tt:Major>2</tt:Major><tt:Minor>6</tt:Minor></tds:Version></tds:Service>"
        )
        found = one.format("ver10/media", "http://192.168.0.64:8000/onvif/Media")
        if self.media2:
            found += one.format("ver20/media", "http://0.0.0.0/onvif/Media2?x=1")
        return f"<tds:GetServicesResponse>{found}</tds:GetServicesResponse>"

    def _GetDeviceInformation(self, _: object, __: HttpRequest) -> str:
        return (
            "<tds:GetDeviceInformationResponse><tds:Manufacturer>Maker</tds:Manufacturer><tds:Model>DS-1</tds:Model>"
            "<tds:FirmwareVersion>1</tds:FirmwareVersion><tds:SerialNumber>S7</tds:SerialNumber>"
            "<tds:HardwareId>1</tds:HardwareId></tds:GetDeviceInformationResponse>"
        )

    def _GetProfiles(self, call: etree._Element, request: HttpRequest) -> str:
        if etree.QName(call).namespace == "http://www.onvif.org/ver20/media/wsdl":
            assert request.target == "/onvif/Media2?x=1"
            return f"<tr2:GetProfilesResponse>{''.join(map(_profile2, self.profiles))}</tr2:GetProfilesResponse>"
        assert request.target == "/onvif/Media"
        return f"<trt:GetProfilesResponse>{''.join(map(_profile1, self.profiles))}</trt:GetProfilesResponse>"

    def _GetStreamUri(self, call: etree._Element, _: HttpRequest) -> str:
        token = call.findtext("{*}ProfileToken")
        uri = next(str(one[7]) for one in self.profiles if one[0] == token)
        if etree.QName(call).namespace == "http://www.onvif.org/ver20/media/wsdl":
            return f"<tr2:GetStreamUriResponse><tr2:Uri>{uri}</tr2:Uri></tr2:GetStreamUriResponse>"
        return (
            f"<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>{uri}</tt:Uri><tt:InvalidAfterConnect>false"
            "</tt:InvalidAfterConnect><tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout>"
            "</trt:MediaUri></trt:GetStreamUriResponse>"
        )


def _profile1(one: tuple[object, ...]) -> str:
    token, name, codec, width, height, fps, source, _ = one
    said = "H264" if codec == "H265" else codec  # Media cannot say H.265
    return (
        f'<trt:Profiles token="{token}" fixed="true"><tt:Name>{name}</tt:Name>'
        f'<tt:VideoSourceConfiguration token="v"><tt:Name>v</tt:Name><tt:UseCount>1</tt:UseCount>'
        f'<tt:SourceToken>{source}</tt:SourceToken><tt:Bounds x="0" y="0" width="{width}" height="{height}"/>'
        f'</tt:VideoSourceConfiguration><tt:VideoEncoderConfiguration token="e"><tt:Name>e</tt:Name>'
        f"<tt:UseCount>1</tt:UseCount><tt:Encoding>{said}</tt:Encoding><tt:Resolution><tt:Width>{width}</tt:Width>"
        f"<tt:Height>{height}</tt:Height></tt:Resolution><tt:Quality>4</tt:Quality><tt:RateControl>"
        f"<tt:FrameRateLimit>{fps}</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval>"
        f"<tt:BitrateLimit>2048</tt:BitrateLimit></tt:RateControl><tt:SessionTimeout>PT60S</tt:SessionTimeout>"
        f"</tt:VideoEncoderConfiguration></trt:Profiles>"
    )


def _profile2(one: tuple[object, ...]) -> str:
    token, name, codec, width, height, fps, source, _ = one
    return (
        f'<tr2:Profiles token="{token}" fixed="true"><tr2:Name>{name}</tr2:Name><tr2:Configurations>'
        f'<tr2:VideoSource token="v"><tt:Name>v</tt:Name><tt:SourceToken>{source}</tt:SourceToken></tr2:VideoSource>'
        f'<tr2:VideoEncoder token="e"><tt:Name>e</tt:Name><tt:Encoding>{codec}</tt:Encoding><tt:Resolution>'
        f"<tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution><tt:RateControl>"
        f"<tt:FrameRateLimit>{fps}</tt:FrameRateLimit><tt:BitrateLimit>2048</tt:BitrateLimit></tt:RateControl>"
        f"</tr2:VideoEncoder></tr2:Configurations></tr2:Profiles>"
    )


def _envelope(body: str, status: int = 200) -> HttpAnswer:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<s:Envelope {_NAMES}><s:Body>{body}</s:Body></s:Envelope>'
    return HttpAnswer(status, b"\xef\xbb\xbf" + text.encode(), "application/soap+xml; charset=utf-8")


def _fault(status: int, code: str, reason: str) -> HttpAnswer:
    fault = (
        f"<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>{code}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en">{reason}</s:Text></s:Reason></s:Fault>'
    )
    return _envelope(fault, status)


@asynccontextmanager
async def running(device: Device) -> AsyncIterator[int]:
    """The port where it answers."""
    async with serving(device.answer, "127.0.0.1", 0) as port:
        yield port
