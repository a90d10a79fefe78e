"""WS-Discovery of the simulated ONVIF device: answers probes that come to its UDP port (OASIS WS-Discovery 2005/04).

Real devices listen on 239.255.255.250:3702; the simulated one joins that group only on the loopback interface, so that
no other machine ever sees it.
"""

import asyncio
import re
import socket
import struct
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from xml.sax.saxutils import escape

from simulators.cameras.soap import ENVELOPE

GROUP, PORT = "239.255.255.250", 3702
_ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
_DISCOVERY = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_MESSAGE_ID = re.compile(rb"MessageID[^>]*>\s*([^<\s]{1,200})")
_TYPES = re.compile(rb"<(?:\w+:)?Types[^>]*>([^<]{0,500})<")
_KNOWN = (b"Device", b"NetworkVideoTransmitter")


class Announcer(asyncio.DatagramProtocol):
    """Answers probes for its kind of device. identity: makes the device's address, the same in every run."""

    def __init__(self, identity: str, service: str) -> None:
        self._endpoint = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_DNS, identity)}"
        self._identity, self._service = identity, service
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of asyncio."""
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        """Of asyncio."""
        asked = probe_id(data)
        if asked is not None and self._transport is not None:
            self._transport.sendto(self.match(asked), sender)

    def match(self, asked: str) -> bytes:
        """The answer to a probe with this id."""
        scopes = " ".join(
            f"onvif://www.onvif.org/{scope}" for scope in (f"name/{self._identity}", "hardware/sim-1", "Profile/T")
        )
        return (
            f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{ENVELOPE}" xmlns:a="{_ADDRESSING}" '
            f'xmlns:d="{_DISCOVERY}" xmlns:dn="http://www.onvif.org/ver10/network/wsdl" '
            'xmlns:tds="http://www.onvif.org/ver10/device/wsdl"><s:Header>'
            f"<a:MessageID>urn:uuid:{uuid.uuid4()}</a:MessageID><a:RelatesTo>{escape(asked)}</a:RelatesTo>"
            f"<a:To>{_ADDRESSING}/role/anonymous</a:To><a:Action>{_DISCOVERY}/ProbeMatches</a:Action></s:Header>"
            "<s:Body><d:ProbeMatches><d:ProbeMatch>"
            f"<a:EndpointReference><a:Address>{self._endpoint}</a:Address></a:EndpointReference>"
            f"<d:Types>tds:Device dn:NetworkVideoTransmitter</d:Types><d:Scopes>{escape(scopes)}</d:Scopes>"
            f"<d:XAddrs>{escape(self._service)}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion>"
            "</d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
        ).encode()


def probe_id(data: bytes) -> str | None:
    """Message id of a probe that is for cameras; None for everything else."""
    found = _MESSAGE_ID.search(data)
    if found is None or b"ProbeMatch" in data or b"Probe" not in data:
        return None
    types = _TYPES.search(data)
    if types is not None and types[1].strip() and not any(one in types[1] for one in _KNOWN):
        return None
    return found[1].decode("utf-8", "replace")


@asynccontextmanager
async def announced(identity: str, service: str, host: str = "127.0.0.1", port: int = PORT) -> AsyncIterator[int]:
    """Answers until the end of the block; the UDP port. Raises OSError where it cannot be opened."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("" if port == PORT else host, port))
        if port == PORT:
            with suppress(OSError):  # without multicast it still answers those who know its address
                member = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(host))
                one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: Announcer(identity, service), sock=one)
    except BaseException:
        one.close()
        raise
    try:
        yield one.getsockname()[1]
    finally:
        transport.close()
