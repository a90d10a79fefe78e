"""WHEP (RFC 9725): one offer in, one answer out, and the session that follows it. Transport-free.

The caller's HTTP gives `offer` the body of a POST and answers 201 with `Location` …/{session}; DELETE calls `delete`,
PATCH `trickle`. A session ends by DELETE, by the viewer's DTLS goodbye, or when nothing is heard from it any more.
"""

import asyncio
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import pylibsrtp
import structlog
from aiortc.rtcdtlstransport import RTCCertificate
from OpenSSL import SSL

from core.errors import InvalidInput, NotFound, WanggeError
from core.media import StreamName
from streams.live import sdp
from streams.live.choice import Ability, Chooser
from streams.live.dtls import Dtls
from streams.live.feed import Feed
from streams.live.ice import Peer, Ports
from streams.live.places import Places
from streams.live.sender import Sender
from streams.live.source import NoPicture
from streams.live.stats import LiveStats
from streams.live_settings import LiveSettings

log = structlog.get_logger()

_ABILITY = Ability()


@dataclass(frozen=True, slots=True)
class Answer:
    """sdp: body of the 201 (application/sdp). session: goes into Location. shown: name of what is really shown, such as
    `c-0001/sub`."""

    sdp: str
    session: str
    shown: str


class _Session:
    """One viewer: path, encryption, sender."""

    def __init__(
        self, camera: str, feed: Feed, offer: sdp.Offer, chosen: sdp.Chosen, began_s: float, whep: "Whep"
    ) -> None:
        self.id = secrets.token_urlsafe(24)
        self.camera, self.feed, self.offer = camera, feed, offer
        self.began_s, self.stats = began_s, whep.stats
        self.ended = asyncio.Event()
        self.why = "stopped"
        self.connecting: asyncio.Timeout | None = None
        self.peer = Peer(lambda _: None)
        self.sender = Sender(feed, chosen, self.peer, whep.stats, whep.settings.burst_bytes_per_s, self)
        self.dtls = Dtls(self.peer, whep.certificate, self.sender.asked, lambda: self.end("goodbye"))

    def end(self, why: str) -> None:
        """The first reason counts."""
        if not self.ended.is_set():
            self.why = why
            self.ended.set()
            if self.connecting is not None and not self.connecting.expired():
                self.connecting.reschedule(asyncio.get_running_loop().time())

    def changed(self) -> None:
        """See sender.Session; asking again, the viewer gets another way."""
        self.end("changed")

    def first_sent(self) -> None:
        """See sender.Session."""
        self.stats.first_pictures.add(monotonic() - self.began_s)


class Whep:
    """Sessions of one worker; made and run by `Live`."""

    def __init__(
        self, settings: LiveSettings, chooser: Chooser, ports: Ports, places: Places, stats: LiveStats
    ) -> None:
        self.settings, self.stats = settings, stats
        self.certificate = RTCCertificate.generateCertificate()
        self._chooser, self._ports, self._places = chooser, ports, places
        self._sessions: dict[str, _Session] = {}
        self._tasks: asyncio.TaskGroup | None = None

    def run_in(self, tasks: asyncio.TaskGroup | None) -> None:
        """Sessions become tasks of this group; None: no new ones."""
        self._tasks = tasks

    async def offer(self, camera: str, stream: StreamName, text: str) -> Answer:
        """A viewer comes. text: its SDP offer.

        Raises InvalidInput (the offer), NotFound (camera or stream), TooManyViewers, NoPicture, NotPlayable.
        """
        began_s = monotonic()
        offer = sdp.read_offer(text)
        with self._places.taken(camera) as place:
            feed = await self._chooser.hold(camera, stream, _ABILITY)
            try:
                chosen = sdp.choose(offer.video, feed.sequence)
                session = _Session(camera, feed, offer, chosen, began_s, self)
                ours = sdp.Ours(
                    session.peer.ufrag,
                    session.peer.password,
                    self.certificate.getFingerprints()[0].value,
                    self._ports.candidates,
                    session.sender.ssrc,
                    random.getrandbits(62),
                )
                answer = sdp.write_answer(offer, chosen, ours)
                if self._tasks is None:
                    raise NoPicture("Live view is not running here just now.")
            except WanggeError:
                self._chooser.release(feed)
                raise
            self._sessions[session.id] = session
            self._ports.add(session.peer)
            self._tasks.create_task(self._run(session, place.keep()), name=f"whep {feed.name}")
        return Answer(answer, session.id, feed.name)

    def delete(self, session: str) -> None:
        """The viewer leaves (DELETE). Raises NotFound."""
        self._found(session).end("deleted")

    def trickle(self, session: str, fragment: str) -> None:
        """Candidates of the browser (PATCH, RFC 8840): not needed, since it checks and we answer; no restart of ICE.

        Raises NotFound, InvalidInput for a restart.
        """
        peer = self._found(session).offer.ufrag
        for line in fragment.splitlines():
            if line.startswith("a=ice-ufrag:") and line.split(":", 1)[1].strip() != peer:
                raise InvalidInput("Restarting ICE is not supported: end this session and begin another.")

    def camera_of(self, session: str) -> str:
        """Whose session it is, for the right to end it. Raises NotFound."""
        return self._found(session).camera

    def forget(self, camera: str) -> None:
        """The camera is read elsewhere now, or not at all: its viewers are to ask again."""
        for session in self._sessions.values():
            if session.camera == camera:
                session.end("moved")

    def tend(self, now_s: float) -> None:
        """Once a second: sender reports, and viewers that left without a word."""
        for session in list(self._sessions.values()):
            if session.dtls.state == "connected":
                session.sender.report(now_s)
                if session.sender.wants_goodbye:
                    session.end("goodbye")
            if now_s - session.peer.heard_s > self.settings.silent_s and session.peer.selected.is_set():
                session.end("silent")

    def __len__(self) -> int:
        return len(self._sessions)

    def _found(self, session: str) -> _Session:
        found = self._sessions.get(session)
        if found is None:
            raise NotFound("There is no such viewing session; it may have ended.")
        return found

    async def _run(self, session: _Session, give_back: Callable[[], None]) -> None:
        """One viewer from its answer to its end; whatever it took is given back."""
        self.stats.whep += 1
        self.stats.opened += 1
        try:
            if await self._connected(session):
                session.sender.start(session.dtls)
                await session.ended.wait()
        except (OSError, ValueError, SSL.Error, pylibsrtp.Error) as error:  # what a viewer may do to the libraries
            session.end("failed")
            log.warning("whep_failed", stream=session.feed.name, error=repr(error))
        finally:
            self.stats.whep -= 1
            self.stats.closed[session.why] += 1
            del self._sessions[session.id]
            session.sender.stop()
            self._chooser.release(session.feed)
            give_back()
            self._ports.remove(session.peer)
            await session.dtls.stop()

    async def _connected(self, session: _Session) -> bool:
        """Path and encryption, within `connect_s`. False: the reason is noted."""
        try:
            async with asyncio.timeout(self.settings.connect_s) as session.connecting:
                await session.peer.selected.wait()
                if await session.dtls.connect(session.offer.fingerprints):
                    return not session.ended.is_set()
                session.end("refused")
        except TimeoutError:
            session.end("not_connected")
        finally:
            session.connecting = None
        log.info("whep_not_connected", stream=session.feed.name, why=session.why)
        return False
