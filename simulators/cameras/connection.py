"""One RTSP connection to the server: requests in, answers and interleaved packets out (RFC 2326, TCP only)."""

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from simulators.cameras import messages
from simulators.cameras.camera import Camera, description
from simulators.cameras.digest import Gate
from simulators.cameras.feed import Player
from simulators.cameras.garbage import spoiled_text
from simulators.cameras.messages import MessageError, MessageReader, Request, Target, response

if TYPE_CHECKING:
    from simulators.cameras.server import Server

SESSION_S: Final = 60
"""A session of which nothing was heard for so long ends."""
PUBLIC = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN"
Answer = tuple[int, dict[str, str], str]


class Connection(asyncio.Protocol):
    """Serves one client. Players belong to its one session and end with it."""

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.camera: Camera | None = None
        self.players: dict[int, Player] = {}
        self.playing = False
        self.stream = "main"
        self.session: str | None = None
        self.heard_s = time.monotonic()
        self.client = ""
        self.gate = Gate(server.user, server.password or "", server.qop) if server.user else None
        self._reader = MessageReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of asyncio."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername") or ("", 0)
        self.client = f"{peer[0]}:{peer[1]}"
        self.server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Of asyncio."""
        self._end_session()
        self._transport = None
        self.server.connections.discard(self)
        if self.camera is not None:
            self.camera.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Of asyncio."""
        if self.camera is not None and self.camera.conditions.mute:
            return
        try:
            found = self._reader.feed(data)
        except MessageError:
            self.server.refused += 1
            self.write(response(400, None))
            self.close()
            return
        self.heard_s = time.monotonic()
        for one in found:
            if isinstance(one, Request) and self._transport is not None:
                self._serve(one)

    def write(self, data: bytes | bytearray) -> None:
        """Hands bytes to the transport; nothing once it is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def waiting(self) -> int:
        """Bytes that the client has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def close(self) -> None:
        """Ends the connection after what is written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Breaks it off."""
        if self._transport is not None:
            self._transport.abort()

    def _serve(self, request: Request) -> None:
        wanted = messages.target(request.url)
        if self.camera is None and wanted is not None and wanted.camera in self.server.cameras:
            self.camera = self.server.cameras[wanted.camera]
            self.camera.connections.add(self)
        if self.camera is not None and self.camera.conditions.refusing:
            self.abort()
            return
        if self.camera is not None and self.camera.conditions.mute:
            return
        status, headers, body = self._answer(request, wanted)
        data = response(status, request, headers, body)
        garbage = None if self.camera is None else self.camera.conditions.garbage
        self.write(data if garbage is None else spoiled_text(data, garbage))
        if status == 200 and request.method == "PLAY":
            self._begin()
        elif status == 200 and request.method == "TEARDOWN":
            self._end_session()

    def _answer(self, request: Request, wanted: Target | None) -> Answer:
        if request.version != "1.0":
            return 505, {}, ""
        if request.method == "OPTIONS":
            return 200, {"Public": PUBLIC} | self._session_header(), ""
        handler = _HANDLERS.get(request.method)
        if handler is None:
            return 501, {"Allow": PUBLIC}, ""
        if self.gate is not None and not self.gate.admits(request.method, request.headers.get("authorization")):
            return 401, {"WWW-Authenticate": self.gate.challenge()}, ""
        if request.method in ("GET_PARAMETER", "SET_PARAMETER"):
            return 200, self._session_header(), ""
        if wanted is None or wanted.camera not in self.server.cameras:
            return 404, {}, ""
        if self.camera is None or self.camera.id != wanted.camera or wanted.stream not in self.camera.streams:
            return 404, {}, ""
        return handler(self, request, wanted)

    def _session_header(self) -> dict[str, str]:
        return {"Session": f"{self.session};timeout={SESSION_S}"} if self.session else {}

    def _describe(self, request: Request, wanted: Target) -> Answer:
        assert self.camera is not None
        base = request.url if request.url.endswith("/") else request.url + "/"
        headers = {"Content-Base": base, "Content-Type": "application/sdp"}
        return 200, headers, description(self.camera.streams[wanted.stream], self.server.host)

    def _setup(self, request: Request, wanted: Target) -> Answer:
        assert self.camera is not None
        feeds = self.camera.streams[wanted.stream]
        track = wanted.track
        if track is None and len(feeds) == 1:
            track = 0
        if track is None:
            return 459, {}, ""
        if track >= len(feeds):
            return 404, {}, ""
        if self.playing or (self.players and wanted.stream != self.stream):
            return 455, {}, ""
        if self.session and request.headers.get("session", self.session).split(";")[0].strip() != self.session:
            return 454, {}, ""
        offered = messages.channels(request.headers.get("transport", ""))
        if offered is None:
            return 461, {}, ""
        rtp, rtcp = offered if offered[0] >= 0 else (2 * track, 2 * track + 1)
        self.session = self.session or secrets.token_hex(8)
        self.stream = wanted.stream
        player = Player(self, feeds[track], rtp, rtcp, secrets.randbits(16), secrets.randbits(32))
        self.players[track] = player
        transport = f"RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp};ssrc={player.ssrc:08X}"
        return 200, {"Transport": transport} | self._session_header(), ""

    def _play(self, request: Request, wanted: Target) -> Answer:
        if not self._in_session(request):
            return 454, {}, ""
        base = request.url.rstrip("/")
        infos = []
        first, *others = (player for _, player in sorted(self.players.items()))
        begins_s = first.feed.next_key_s(time.monotonic())  # one instant for all tracks: RFC 2326 12.33
        for other in others:
            other.leader = first
        for track, player in sorted(self.players.items()):
            stamp = player.feed.timestamp_at(begins_s)
            infos.append(f"url={base}/trackID={track};seq={player.sequence};rtptime={stamp}")
        return 200, {"Range": "npt=now-", "RTP-Info": ",".join(infos)} | self._session_header(), ""

    def _pause(self, request: Request, wanted: Target) -> Answer:
        if not self._in_session(request):
            return 454, {}, ""
        self._stop()
        return 200, self._session_header(), ""

    def _teardown(self, request: Request, wanted: Target) -> Answer:
        return (200, {}, "") if self._in_session(request) else (454, {}, "")

    def _in_session(self, request: Request) -> bool:
        named = request.headers.get("session", "").split(";")[0].strip()
        return bool(self.players) and named == self.session

    def _begin(self) -> None:
        if self.playing:
            return
        self.playing = True
        now = time.monotonic()
        for player in self.players.values():
            player.began_ms = player.began_ms or round(time.time() * 1000)
            player.waits_for_key = True
            player.feed.join(player, now)

    def _stop(self) -> None:
        self.playing = False
        for player in self.players.values():
            player.feed.leave(player)

    def _end_session(self) -> None:
        self._stop()
        if self.camera is not None:
            for player in self.players.values():
                self.server.ended(self.camera.id, self.stream, self.client, player)
        self.players.clear()
        self.session = None


_HANDLERS: dict[str, Callable[[Connection, Request, Target], Answer]] = {
    "DESCRIBE": Connection._describe,
    "SETUP": Connection._setup,
    "PLAY": Connection._play,
    "PAUSE": Connection._pause,
    "TEARDOWN": Connection._teardown,
    "GET_PARAMETER": Connection._pause,
    "SET_PARAMETER": Connection._pause,
}
