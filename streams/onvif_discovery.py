"""WS-Discovery: which ONVIF devices answer on the networks of this machine. Answers are claims; nothing is fetched."""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from streams.onvif_transport import OnvifError

_SCOPE = "onvif://www.onvif.org/"
_DEVICE = ("http://www.onvif.org/ver10/device/wsdl", "Device")
_TRANSMITTER = ("http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter")
_MOST = 1000
_MOST_LETTERS = 100


@dataclass(frozen=True, slots=True)
class Found:
    """A device that answered. host, port: where it says its device service is; endpoint: its stable identity."""

    host: str
    port: int
    name: str
    hardware: str
    address: str
    endpoint: str


async def probe(timeout_s: float) -> list[Found]:
    """Asks three times in `timeout_s` seconds: for devices, for video transmitters, and for anything (old cameras).

    Runs in a thread. Raises OnvifError where the network cannot be asked.
    """
    try:
        return await asyncio.to_thread(_search, max(0.3, timeout_s))
    except OSError as error:
        raise OnvifError(f"The network cannot be asked: {error.strerror}.") from error


def _search(timeout_s: float) -> list[Found]:
    from wsdiscovery import QName
    from wsdiscovery.discovery import ThreadedWSDiscovery

    wanted: tuple[list[Any] | None, ...] = ([QName(*_TRANSMITTER)], [QName(*_DEVICE)], None)
    discovery = ThreadedWSDiscovery()
    discovery.start()
    services: dict[str, Any] = {}
    try:
        for types in wanted:
            for service in discovery.searchServices(types=types, timeout=timeout_s / len(wanted)):
                if len(services) < _MOST:
                    services[str(service.getEPR())] = service
    finally:
        discovery.stop()
    found = (_found(endpoint, service) for endpoint, service in services.items())
    return sorted((one for one in found if one is not None), key=lambda one: (one.host, one.port))


def _found(endpoint: str, service: Any) -> Found | None:
    scopes = [str(scope.getValue()) for scope in service.getScopes()]
    if not any(scope.startswith(_SCOPE) for scope in scopes):
        return None
    for address in map(str, service.getXAddrs()):
        try:
            parts = urlsplit(address)
            host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            continue
        if parts.scheme in ("http", "https") and host and not host.startswith("169.254.") and host != "0.0.0.0":  # noqa: S104
            shown = (_scope(scopes, "name"), _scope(scopes, "hardware"), address, endpoint)
            return Found(host, port, *map(printable, shown))
    return None


def _scope(scopes: list[str], kind: str) -> str:
    head = f"{_SCOPE}{kind}/"
    return next((unquote(scope.removeprefix(head)) for scope in scopes if scope.startswith(head)), "")


def printable(text: str) -> str:
    """A device's text as it may be shown: short, without control characters."""
    return "".join(letter for letter in text[:_MOST_LETTERS] if letter.isprintable())
