"""ONVIF: what a camera tells of itself: its clock, its model and the addresses of its streams.

Order of the calls (Core, Media, Media2): GetSystemDateAndTime, which needs no log-in, and whose offset goes into the
token of those that do; GetServices; GetDeviceInformation; profiles and their addresses. The log-in is
shown only when the device asks for it: HTTP digest where it answers 401, else a UsernameToken; never both, never twice,
since cameras lock out. Whatever host the device names, the one that was dialled is used (NAT, wrong addresses).
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from core.errors import InvalidInput
from devices.camera_address import parse_address
from devices.camera_secrets import LogIn
from streams.onvif_calls import MEDIA, MEDIA2, Calls, children, number, text_of
from streams.onvif_discovery import Found, printable, probe
from streams.onvif_transport import OnvifError, Transport

__all__ = ["CameraTold", "Found", "OnvifError", "Profile", "chosen", "host_and_port", "probe", "read_camera"]

ALL_CALLS_S = 60.0
MOST_PROFILES = 64
SUB_LEAST = (640, 360)
_CODECS = {"H264": "h264", "H265": "h265", "JPEG": "jpeg", "MPEG4": "mpeg4"}


@dataclass(frozen=True, slots=True)
class Profile:
    """One stream. codec: h264, h265, jpeg, mpeg4, or empty when not told. source: token of the lens (recorders have
    several). url: RTSP address with the dialled host and without a log-in. fps 0: not told."""

    token: str
    name: str
    codec: str
    width: int
    height: int
    fps: float
    source: str
    url: str


@dataclass(frozen=True, slots=True)
class CameraTold:
    """What a camera told. clock_offset_s: its UTC minus ours, to half a second; open: it asked for no log-in."""

    model: str
    serial: str
    clock_offset_s: float
    open: bool
    profiles: tuple[Profile, ...]


def host_and_port(text: str) -> tuple[str, int]:
    """`10.0.0.7`, `10.0.0.7:8080` or `[fd00::7]:80`; port 80 when none is given. Raises InvalidInput."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    if host is None or parts.path or parts.query or "@" in parts.netloc:
        raise InvalidInput("HOST: an address like 10.0.0.7 or 10.0.0.7:8080, without a log-in or path.")
    return host, port


async def read_camera(host: str, port: int, log_in: LogIn | None = None) -> CameraTold:
    """Asks a camera. Raises OnvifError (also when the log-in is wrong or one is needed)."""
    try:
        async with asyncio.timeout(ALL_CALLS_S), Transport() as transport:
            return await _read(host, port, log_in, transport)
    except TimeoutError:
        raise OnvifError(f"The device took more than {ALL_CALLS_S:g} s for its answers.") from None


async def _read(host: str, port: int, log_in: LogIn | None, transport: Transport) -> CameraTold:
    device = dialled("http://0.0.0.0/onvif/device_service", host, port)
    async with Calls(transport, log_in) as calls:
        asked = time.time()
        clock_utc = await calls.device_time(device)
        offset_s = calls.offset_s = clock_utc + 0.5 - (asked + time.time()) / 2  # whole seconds, cut off
        services = {name: dialled(xaddr, host, port) for name, xaddr in (await calls.services(device)).items()}
        information = await calls.information(device)
        media, is_media2 = services.get(MEDIA2), MEDIA2 in services
        if media is None:
            media = services.get(MEDIA) or dialled("http://0.0.0.0/onvif/media_service", host, port)
        profiles = []
        for raw in (await calls.profiles(media, media2=is_media2))[:MOST_PROFILES]:
            address = await calls.stream_address(media, text_of(raw, "token"), media2=is_media2)
            profile = _profile(raw, address, host)
            if profile is not None:
                profiles.append(profile)
        model = " ".join(filter(None, (information.get("Manufacturer"), information.get("Model"))))
        serial = information.get("SerialNumber") or ""
        return CameraTold(printable(model), printable(serial), round(offset_s, 1), calls.is_open, tuple(profiles))


def dialled(address: str, host: str, port: int) -> str:
    """A service's address with the host and port that were dialled; path and query exactly as told."""
    try:
        parts = urlsplit(address)
        httpx.URL(address)
    except (ValueError, httpx.InvalidURL):
        raise OnvifError("The device names an address of a service that is none.") from None
    shown = f"[{host}]" if ":" in host else host
    return urlunsplit(("http", f"{shown}:{port}", parts.path or "/onvif/device_service", parts.query, ""))


def _profile(raw: Mapping[str, Any], address: str, host: str) -> Profile | None:
    """The profile, unless it has no video or no address that may be registered."""
    encoder = children(raw, "encoder")
    if not encoder:
        return None
    try:
        parts = urlsplit(address.strip())
        shown = f"[{host}]" if ":" in host else host
        netloc = shown if parts.port is None else f"{shown}:{parts.port}"
        url = parse_address(urlunsplit(parts._replace(netloc=netloc, fragment=""))).url
    except (ValueError, InvalidInput):
        return None
    told = text_of(encoder, "Encoding").upper()
    return Profile(
        token=printable(text_of(raw, "token")),
        name=printable(text_of(raw, "Name")),
        codec=_CODECS.get(told.removeprefix("VIDEO/"), ""),
        width=round(number(encoder, "Width")),
        height=round(number(encoder, "Height")),
        fps=number(encoder, "FrameRateLimit"),
        source=printable(text_of(raw, "source")),
        url=url,
    )


def chosen(profiles: tuple[Profile, ...]) -> tuple[Profile, Profile | None]:
    """Main: the most pixels. Sub: of the same lens the fewest pixels, but at least 640×360; None where there is none.

    Only H.264 and H.265 can be recorded. Raises OnvifError when there is no such stream.
    """
    usable = [one for one in profiles if one.codec in ("h264", "h265", "")]
    if not usable:
        raise OnvifError("The camera has no H.264 or H.265 stream; switch one on in its own settings.")
    main = max(usable, key=lambda one: (one.width * one.height, one.fps))
    smaller = [
        one
        for one in usable
        if one.source == main.source
        and one.url != main.url
        and one.width * one.height < main.width * main.height
        and one.width >= SUB_LEAST[0]
        and one.height >= SUB_LEAST[1]
    ]
    return main, min(smaller, key=lambda one: (one.width * one.height, -one.fps), default=None)
