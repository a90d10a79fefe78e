"""WS-Discovery on the real multicast group of this machine: cameras are found, nonsense is not."""

import asyncio
import re
import socket
import struct
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from streams.onvif import probe

GROUP, PORT = "239.255.255.250", 3702
CAMERA = "onvif://www.onvif.org/name/Gate%20%E9%97%A8 onvif://www.onvif.org/hardware/DS-1 onvif://www.onvif.org/type/x"


class Answering(asyncio.DatagramProtocol):
    """Answers a probe as several devices at once, some of them odd."""

    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport
        self.run = uuid.uuid4().hex

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        found = re.search(rb"MessageID>([^<]+)<", data)
        if found is None or b"/Probe<" not in data:
            return
        self.transport.sendto(b"<a><b></a>", addr)
        self.transport.sendto(b"\xff" * 2000, addr)
        for name, scopes, address in (
            ("gate", CAMERA, "http://0.0.0.0/x http://169.254.1.1/x http://10.9.9.9:8080/onvif/device_service"),
            ("printer", "ldap:///ou=printers", "http://10.9.9.8/"),
            ("nowhere", CAMERA, "urn:none http://[broken/"),
        ):
            answer = match(found[1].decode(), f"urn:uuid:{self.run}-{name}", scopes, address)
            self.transport.sendto(answer.encode(), addr)


def match(relates_to: str, endpoint: str, scopes: str, addresses: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
        'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" '
        'xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><s:Header>'
        f"<a:MessageID>urn:uuid:{uuid.uuid4()}</a:MessageID><a:RelatesTo>{relates_to}</a:RelatesTo>"
        "<a:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:To>"
        "<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</a:Action></s:Header><s:Body>"
        f"<d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>{endpoint}</a:Address></a:EndpointReference>"
        f"<d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>{scopes}</d:Scopes><d:XAddrs>{addresses}</d:XAddrs>"
        "<d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
    )


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A socket in the group, beside whatever else listens there on this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((GROUP, PORT))
        membership = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton("0.0.0.0"))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        sock.setblocking(False)
        yield sock


async def test_cameras_that_answer_are_found() -> None:
    with listening() as sock:
        transport, answering = await asyncio.get_running_loop().create_datagram_endpoint(Answering, sock=sock)
        try:
            found = await probe(1.5)
        finally:
            transport.close()
    own = [one for one in found if answering.run in one.endpoint]
    assert [(one.host, one.port, one.name, one.hardware) for one in own] == [("10.9.9.9", 8080, "Gate 门", "DS-1")]
