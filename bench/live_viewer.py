"""A WHEP viewer without a decoder: full ICE, DTLS and SRTP, then it counts pictures and reports as a browser does.

Cheap enough to run many beside the server that is measured; tests use it to see every packet and to ask for lost ones.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import cast

from aioice import Candidate, Connection
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcicetransport import RTCIceTransport

from core.errors import WanggeError

_OFFER = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:0
a=recvonly
a=rtcp-mux
a=rtpmap:96 H264/90000
a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 ccm fir
a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
a=setup:actpass
a=ice-ufrag:{ufrag}
a=ice-pwd:{password}
a=fingerprint:sha-256 {fingerprint}
"""


_PAYLOAD_TYPE = 96


@dataclass(slots=True)
class Seen:
    """packets: (sequence, timestamp, marker, payload) while `keeps`; first_s: monotonic time of the first picture."""

    count: int = 0
    pictures: int = 0
    octets: int = 0
    first_s: float | None = None
    reports: int = 0
    goodbyes: int = 0
    keeps: bool = False
    packets: list[tuple[int, int, bool, bytes]] = field(default_factory=list)


class _Local(Connection):
    """ICE on loopback alone, which the library leaves out."""

    async def get_component_candidates(
        self,
        component: int,
        addresses: list[str],
        timeout: int = 5,  # noqa: ASYNC109 the library's
    ) -> list[Candidate]:
        return await super().get_component_candidates(component, ["127.0.0.1"], timeout)


class _Path:
    """What aiortc calls an ICE transport."""

    role = "controlling"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.loses = set[int]()

    async def _recv(self) -> bytes:
        while True:
            datagram = await self._connection.recv()
            sequence = int.from_bytes(datagram[2:4], "big")
            if not (datagram[0] >> 6 == 2 and datagram[1] & 0x7F == _PAYLOAD_TYPE and sequence in self.loses):
                return datagram
            self.loses.discard(sequence)

    async def _send(self, datagram: bytes) -> None:
        await self._connection.send(datagram)


class Viewer(RTCDtlsTransport):
    """Made by `viewer`; `seen` grows by itself, `ssrc` is the sender's once something came."""

    def __init__(self, connection: Connection, certificate: RTCCertificate) -> None:
        self._path = _Path(connection)
        super().__init__(cast(RTCIceTransport, self._path), [certificate])
        self._set_role("client")
        self.seen = Seen()
        self.ssrc = 0
        self.ended = asyncio.Event()
        self.on("statechange", lambda: self.ended.set() if self.state == "closed" else None)

    async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:
        marked, sequence, stamp, self.ssrc = struct.unpack_from(">xBHII", data)
        seen = self.seen
        seen.count += 1
        seen.octets += len(data)
        seen.pictures += marked >> 7
        if seen.first_s is None and marked >> 7:
            seen.first_s = monotonic()
        if seen.keeps:
            start = 20 if data[0] & 0x10 else 12
            seen.packets.append((sequence, stamp, bool(marked >> 7), data[start:]))

    async def _handle_rtcp_data(self, data: bytes) -> None:
        self.seen.reports += data[1] == 200
        self.seen.goodbyes += data[1] == 203

    async def send_raw(self, datagram: bytes) -> None:
        """Anything at all, over the nominated path."""
        await self._path._send(datagram)

    def lose(self, sequence: int) -> None:
        """The next packet with this sequence number is lost on its way, once."""
        self._path.loses.add(sequence & 0xFFFF)

    async def report(self) -> None:
        """A receiver report (RFC 3550, 6.4.2) without losses."""
        await self._send_rtp(struct.pack(">BBHIIIIIII", 0x81, 201, 7, 1, self.ssrc, 0, 0, 0, 0, 0))

    async def ask_for_key(self) -> None:
        """Picture loss indication (RFC 4585, 6.3.1)."""
        await self._send_rtp(struct.pack(">BBHII", 0x81, 206, 2, 1, self.ssrc))

    async def ask_for_lost(self, sequence: int, more: int = 0) -> None:
        """Generic NACK (RFC 4585, 6.2.1). more: bit mask of those that follow."""
        await self._send_rtp(struct.pack(">BBHIIHH", 0x81, 205, 3, 1, self.ssrc, sequence, more))


@asynccontextmanager
async def viewer(
    exchange: Callable[[str], Awaitable[str]], *, says_goodbye: bool = True, keeps: bool = False
) -> AsyncIterator[Viewer]:
    """A connected viewer. exchange: an async function offer → answer. says_goodbye: how it leaves.

    Raises WanggeError when the path or the encryption fails.
    """
    certificate = RTCCertificate.generateCertificate()
    connection = _Local(ice_controlling=True)
    await connection.gather_candidates()
    offer = _OFFER.format(
        ufrag=connection.local_username,
        password=connection.local_password,
        fingerprint=certificate.getFingerprints()[0].value,
    )
    told = _told(await exchange(offer))
    connection.remote_username, connection.remote_password = told["ice-ufrag"][0], told["ice-pwd"][0]
    connection.remote_is_lite = True
    for each in told["candidate"]:
        await connection.add_remote_candidate(Candidate.from_sdp(each))
    await connection.add_remote_candidate(None)
    made = Viewer(connection, certificate)
    made.seen.keeps = keeps
    try:
        await connection.connect()
        await made.start(RTCDtlsParameters([RTCDtlsFingerprint("sha-256", told["fingerprint"][0].split()[1])]))
        if made.state != "connected":
            raise WanggeError("The DTLS handshake failed.")
        async with asyncio.TaskGroup() as tasks:
            reporting = tasks.create_task(_reports(made))
            try:
                yield made
            finally:
                reporting.cancel()
    finally:
        if says_goodbye:
            await made.stop()
        await connection.close()
        if not says_goodbye:
            await made.stop()


async def _reports(made: Viewer) -> None:
    while not made.ended.is_set():
        await asyncio.sleep(1.0)
        if made.state == "connected":
            await made.report()


def _told(answer: str) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for line in answer.splitlines():
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            told.setdefault(name, []).append(value)
    return told
