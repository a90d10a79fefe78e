"""DTLS-SRTP of one viewer (RFC 5764): aiortc's transport over our shared sockets, with its queue bounded.

Only here do we touch aiortc's inside (`_recv`, `_send`, `_handle_rtcp_data`, `_set_role`, `_tx_srtp`): its version is
pinned, and the tests with a real Chromium notice when it changes.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcicetransport import RTCIceTransport

from streams.live.ice import Peer

_MOST_WAITING = 128


class _Wire:
    """What aiortc calls an ICE transport. Datagrams beyond the bound push out the oldest."""

    role = "controlled"

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._waiting: deque[bytes] = deque(maxlen=_MOST_WAITING)
        self._came = asyncio.Event()

    def received(self, datagram: bytes) -> None:
        self._waiting.append(datagram)
        self._came.set()

    async def _recv(self) -> bytes:
        while not self._waiting:
            self._came.clear()
            await self._came.wait()
        return self._waiting.popleft()

    async def _send(self, datagram: bytes) -> None:
        self._peer.send(datagram)


class Dtls(RTCDtlsTransport):
    """on_rtcp: called with every genuine RTCP packet of the viewer; on_end: when the viewer says goodbye."""

    def __init__(
        self,
        peer: Peer,
        certificate: RTCCertificate,
        on_rtcp: Callable[[bytes], None],
        on_end: Callable[[], None],
    ) -> None:
        self._wire = _Wire(peer)
        peer.received = self._wire.received
        super().__init__(cast(RTCIceTransport, self._wire), [certificate])
        self._on_rtcp, self._on_end = on_rtcp, on_end
        self._set_role("server")
        self.on("statechange", self._state_changed)

    async def connect(self, fingerprints: list[tuple[str, str]]) -> bool:
        """The handshake, as server. False: refused or failed (wrong fingerprint among others)."""
        await self.start(RTCDtlsParameters([RTCDtlsFingerprint(*each) for each in fingerprints]))
        return self.state == "connected"

    def protect(self, packet: bytes) -> bytes:
        """RTP → SRTP."""
        protected: bytes = self._tx_srtp.protect(packet)
        return protected

    def protect_rtcp(self, packet: bytes) -> bytes:
        """RTCP → SRTCP."""
        protected: bytes = self._tx_srtp.protect_rtcp(packet)
        return protected

    async def _handle_rtcp_data(self, data: bytes) -> None:
        self._on_rtcp(data)

    def _state_changed(self) -> None:
        if self.state == "closed":
            self._on_end()
