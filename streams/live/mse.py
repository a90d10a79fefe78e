"""Media Source Extensions by WebSocket: fragmented MP4, one fragment a picture, for viewers whom WebRTC does not reach.

Messages to the browser: first a text, `{"kind": "format", "mime": 'video/mp4; codecs="avc1.…"', "width", "height",
"start_s"}` (start_s: media time at which it begins, seconds), then binary: the init section, then fragments, several in
one message when several wait. Another `format` text and init section follow when the camera's parameters change, and
`{"kind": "gap"}` when pictures are missing, because the viewer is slow (it goes on at the next key frame) or the camera
was silent: the player should then seek to the end of what is buffered.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, MutableMapping, Sequence
from time import monotonic
from typing import Any, Protocol

from starlette.websockets import WebSocketDisconnect

from core.errors import WanggeError
from core.media import TICKS_PER_S, StreamName, TrackFormats
from streams.live.choice import Ability, Chooser
from streams.live.feed import Feed, Frame
from streams.live.places import Places
from streams.live.stats import LiveStats
from streams.live_settings import LiveSettings
from streams.mp4.codecs import video_codec
from streams.mp4.init import init_section

_MOST_MESSAGE = 512 * 1024
_STUCK_S = 15.0
POLICY_VIOLATION, TRY_AGAIN_LATER, GOING_AWAY = 1008, 1013, 1001
"""WebSocket close codes (RFC 6455, 7.4 and its registry)."""
_ENDS = {"stopped": GOING_AWAY, "changed": TRY_AGAIN_LATER, "moved": TRY_AGAIN_LATER}
_GONE = (OSError, RuntimeError, WebSocketDisconnect)
"""What Starlette raises when the browser is gone, early or late."""
_CLOSE_CODES = {"too_many_viewers": TRY_AGAIN_LATER, "no_picture": TRY_AGAIN_LATER}


class Socket(Protocol):
    """What is used of a Starlette WebSocket that was accepted."""

    async def send_text(self, data: str) -> None:
        """Waits while the browser does not read."""

    async def send_bytes(self, data: bytes) -> None:
        """The same."""

    async def receive(self) -> MutableMapping[str, Any]:
        """The next ASGI message; one of type `websocket.disconnect` is the last."""

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Ends it."""


class MseSession:
    """One viewer: an async iterator of messages (str or bytes) that ends with `end`. Made by `Mse.serve`."""

    def __init__(self, camera: str, feed: Feed, settings: LiveSettings, stats: LiveStats) -> None:
        self.camera, self.feed, self._codec = camera, feed, feed.codec
        self.why = "stopped"
        self._stats = stats
        self._began_s: float | None = monotonic()
        self._waiting: deque[Frame] = deque(feed.frames)
        self._bytes = sum(len(frame.packet.data) for frame in self._waiting)
        self._most_bytes = settings.most_mse_bytes + self._bytes
        self._usual_bytes = settings.most_mse_bytes
        self._skips = not self._waiting
        self._has_gap = False
        self._formats: TrackFormats | None = None
        self._end_90k: int | None = None
        self._came = asyncio.Event()
        self._ended = False

    def show(self, frames: Sequence[Frame]) -> None:
        """See feed.Watcher."""
        for frame in frames:
            if self._skips and not frame.packet.is_key:
                self._stats.dropped_frames += self._has_gap
                continue
            self._skips = False
            self._waiting.append(frame)
            self._bytes += len(frame.packet.data)
            if self._bytes > self._most_bytes:
                self._fall_back(frame)
        self._came.set()

    def changed(self) -> None:
        """See feed.Watcher; a player of MP4 does not mind B-frames, but another codec it may not know."""
        if self.feed.codec != self._codec:
            self.end("changed")

    def end(self, why: str) -> None:
        """No more messages."""
        self.why, self._ended = why, True
        self._came.set()

    def _fall_back(self, newest: Frame) -> None:
        """The viewer is too slow: everything that waits is left out, up to the next key frame."""
        self._has_gap = True
        self._stats.dropped_frames += len(self._waiting)
        self._waiting.clear()
        self._bytes, self._skips = 0, True
        if newest.packet.is_key:
            self._stats.dropped_frames -= 1
            self._waiting.append(newest)
            self._bytes, self._skips = len(newest.packet.data), False

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Messages for as long as there are pictures; slow reading makes gaps, never a queue."""
        while True:
            while not self._waiting and not self._ended:
                self._came.clear()
                await self._came.wait()
            if self._ended:
                return
            if self._has_gap or self._is_after_pause(self._waiting[0]):
                self._has_gap, self._end_90k = False, None
                yield json.dumps({"kind": "gap"})
                continue
            if self._waiting[0].packet.is_key and self._waiting[0].packet.formats is not self._formats:
                first = self._waiting[0]
                self._formats = first.packet.formats
                yield _format_message(first)
                yield init_section(TrackFormats(first.packet.formats.video))
                continue
            data = self._taken()
            self._stats.sent_bytes += len(data)
            yield data
            if self._began_s is not None:
                self._stats.first_pictures.add(monotonic() - self._began_s)
                self._began_s = None

    def _is_after_pause(self, frame: Frame) -> bool:
        """Whether the camera was silent before it, so that the player has nothing to play up to there."""
        return self._end_90k is not None and frame.dts_90k - self._end_90k > TICKS_PER_S

    def _taken(self) -> bytes:
        """Fragments of the next pictures, up to a change of format."""
        parts, size = list[bytes](), 0
        while self._waiting and size < _MOST_MESSAGE:
            frame = self._waiting[0]
            is_other = frame.packet.is_key and frame.packet.formats is not self._formats
            if parts and (is_other or self._is_after_pause(frame)):
                break
            self._waiting.popleft()
            self._end_90k = frame.dts_90k + frame.duration_90k
            self._bytes -= len(frame.packet.data)
            parts.append(frame.fragment)
            size += len(parts[-1])
        if self._bytes < self._usual_bytes:
            self._most_bytes = self._usual_bytes
        return b"".join(parts) if len(parts) > 1 else parts[0]


def _format_message(first: Frame) -> str:
    video = first.packet.formats.video
    return json.dumps(
        {
            "kind": "format",
            "mime": f'video/mp4; codecs="{video_codec(video)}"',
            "width": video.width,
            "height": video.height,
            "start_s": round(first.pts_90k / TICKS_PER_S, 4),
        }
    )


class Mse:
    """Sessions of one worker; made by `Live`."""

    def __init__(self, settings: LiveSettings, chooser: Chooser, places: Places, stats: LiveStats) -> None:
        self._settings, self._chooser, self._places, self._stats = settings, chooser, places, stats
        self._sessions: set[MseSession] = set()

    async def serve(self, socket: Socket, camera: str, stream: StreamName, *, h265: bool = False) -> None:
        """A whole viewing session on an accepted WebSocket, until the browser or the worker ends it.

        h265: the browser said that it plays H.265. An error that the viewer may see is sent as
        `{"kind": "error", "error": its kind, "message"}`, and the socket closed with 1008, or 1013 (try again later).
        """
        try:
            with self._places.taken(camera):
                feed = await self._chooser.hold(camera, stream, Ability(h265=h265, reordered=True))
                try:
                    await self._shown(socket, camera, feed)
                finally:
                    self._chooser.release(feed)
        except WanggeError as error:
            self._stats.refused[error.kind] += 1
            with contextlib.suppress(*_GONE):
                await socket.send_text(json.dumps({"kind": "error", "error": error.kind, "message": str(error)}))
                await socket.close(_CLOSE_CODES.get(error.kind, POLICY_VIOLATION), error.kind)

    def end_all(self) -> None:
        """The worker stops."""
        for session in list(self._sessions):
            session.end("stopped")

    def forget(self, camera: str) -> None:
        """See Whep.forget."""
        for session in list(self._sessions):
            if session.camera == camera:
                session.end("moved")

    def __len__(self) -> int:
        return len(self._sessions)

    async def _shown(self, socket: Socket, camera: str, feed: Feed) -> None:
        session = MseSession(camera, feed, self._settings, self._stats)
        self._sessions.add(session)
        self._stats.mse += 1
        self._stats.opened += 1
        feed.watchers.add(session)
        try:
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(_until_gone(socket, session))
                await self._pump(socket, session)
                listening.cancel()
        finally:
            feed.watchers.discard(session)
            self._sessions.discard(session)
            self._stats.mse -= 1
            self._stats.closed[session.why] += 1

    async def _pump(self, socket: Socket, session: MseSession) -> None:
        try:
            async for message in session:
                async with asyncio.timeout(_STUCK_S):
                    if isinstance(message, str):
                        await socket.send_text(message)
                    else:
                        await socket.send_bytes(message)
            if session.why in _ENDS:
                await socket.close(_ENDS[session.why], session.why)
        except TimeoutError:
            session.end("stuck")
        except _GONE:
            session.end("goodbye")


async def _until_gone(socket: Socket, session: MseSession) -> None:
    """Reads and forgets what the browser says, until it is gone."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            session.end("goodbye")
            return
