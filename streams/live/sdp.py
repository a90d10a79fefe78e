"""Session descriptions of WHEP (RFC 9725, RFC 8829, RFC 8866): reading a browser's offer, writing our answer.

We are ICE-lite (RFC 8445, 2.5), DTLS server, and send one H.264 stream; everything else of an offer is declined.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.errors import InvalidInput
from streams.live.h264 import SequenceFacts
from streams.live.source import NotPlayable

MOST_OFFER_BYTES = 64 * 1024
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
_KEPT_FEEDBACK = ("nack", "nack pli", "ccm fir")
_BASELINE, _MAIN, _HIGH = 66, 77, 100


@dataclass(slots=True)
class Section:
    """One `m=` section of an offer. codecs: payload type → encoding name and clock, `H264/90000`; parameters: payload
    type → fmtp; feedback: payload type (or `*`) → rtcp-fb values; extensions: uri → id."""

    kind: str
    port: int
    protocol: str
    formats: list[str]
    mid: str = ""
    direction: str = "sendrecv"
    rtcp_mux: bool = False
    codecs: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, dict[str, str]] = field(default_factory=dict)
    feedback: dict[str, list[str]] = field(default_factory=dict)
    extensions: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Offer:
    """A browser's offer. fingerprints: (algorithm, value). ufrag: the browser's ICE user fragment."""

    sections: list[Section] = field(default_factory=list)
    bundle: list[str] = field(default_factory=list)
    ufrag: str = ""
    fingerprints: list[tuple[str, str]] = field(default_factory=list)
    setup: str = ""

    @property
    def video(self) -> Section:
        """The first video section that wants to receive. Raises InvalidInput."""
        for section in self.sections:
            if section.kind == "video" and section.direction in ("recvonly", "sendrecv"):
                return section
        raise InvalidInput("The offer has no video section that receives: add a `recvonly` video transceiver.")


@dataclass(frozen=True, slots=True)
class Chosen:
    """How video goes out: payload type, fmtp of the answer, accepted feedback, id of playout-delay (0: not offered)."""

    payload_type: int
    parameters: str
    feedback: tuple[str, ...]
    playout_delay_id: int


@dataclass(frozen=True, slots=True)
class Ours:
    """Our side of the transport. candidates: (address, port), the best first."""

    ufrag: str
    password: str
    fingerprint: str
    candidates: Sequence[tuple[str, int]]
    ssrc: int
    session: int


def read_offer(text: str) -> Offer:
    """Reads an offer and checks what we rely on. Raises InvalidInput naming what is missing."""
    if len(text) > MOST_OFFER_BYTES:
        raise InvalidInput("The offer is larger than 64 KiB.")
    offer, section = Offer(), None
    for line in text.splitlines():
        if line.startswith("m="):
            section = _section(line)
            offer.sections.append(section)
        elif line.startswith("a="):
            name, _, value = line[2:].strip().partition(":")
            try:
                _take(offer, section, name, value.strip())
            except ValueError:
                raise InvalidInput(f"The offer's line a={name} cannot be read.") from None
    if not text.startswith("v=0") or not offer.sections:
        raise InvalidInput("The body is not a session description with media (SDP, RFC 8866).")
    video = offer.video
    if not offer.ufrag or not offer.fingerprints:
        raise InvalidInput("The offer lacks ice-ufrag or fingerprint: only WebRTC (ICE and DTLS-SRTP) is served.")
    if offer.setup not in ("actpass", "active"):
        raise InvalidInput("The offer's a=setup must be actpass or active: this side is the DTLS server.")
    if not video.rtcp_mux or not video.protocol.endswith("RTP/SAVPF"):
        raise InvalidInput("The offer's video section must use UDP/TLS/RTP/SAVPF with rtcp-mux.")
    return offer


def _section(line: str) -> Section:
    words = line[2:].split()
    if len(words) < 4 or not words[1].split("/")[0].isdecimal():
        raise InvalidInput("The offer's media line (m=) cannot be read.")
    return Section(words[0], int(words[1].split("/")[0]), words[2], words[3:])


def _take(offer: Offer, section: Section | None, name: str, value: str) -> None:
    if name == "fingerprint":
        algorithm, digest = value.split()
        if (algorithm, digest) not in offer.fingerprints:
            offer.fingerprints.append((algorithm, digest))
    elif name == "ice-ufrag":
        offer.ufrag = offer.ufrag or value
    elif name == "setup":
        offer.setup = offer.setup or value
    elif name == "group" and value.startswith("BUNDLE"):
        offer.bundle = value.split()[1:]
    elif section is not None:
        _take_media(section, name, value)


def _take_media(section: Section, name: str, value: str) -> None:
    if name in ("recvonly", "sendonly", "sendrecv", "inactive"):
        section.direction = name
    elif name == "mid":
        section.mid = value
    elif name == "rtcp-mux":
        section.rtcp_mux = True
    elif name == "rtpmap":
        number, encoding = value.split(maxsplit=1)
        section.codecs[number] = encoding
    elif name == "fmtp":
        number, parameters = value.split(maxsplit=1)
        pairs = (part.strip().partition("=") for part in parameters.split(";"))
        section.parameters[number] = {key.lower(): rest for key, _, rest in pairs}
    elif name == "rtcp-fb":
        number, kind = value.split(maxsplit=1)
        section.feedback.setdefault(number, []).append(kind)
    elif name == "extmap":
        number, uri = value.split()[:2]
        identity = int(number.split("/")[0])
        if 1 <= identity <= 14:
            section.extensions[uri] = identity


def choose(video: Section, facts: SequenceFacts) -> Chosen:
    """The offered H.264 that fits the stream best: same profile, else the next one above, else any.

    Browsers' decoders take every profile without B-frames, whatever they offered, so a lower one is better than none.
    Raises NotPlayable without H.264 in packetization-mode 1.
    """
    best: tuple[int, str, str] | None = None
    for number in video.formats:
        if video.codecs.get(number, "").upper() != "H264/90000" or not number.isdecimal() or int(number) > 127:
            continue
        parameters = video.parameters.get(number, {})
        if parameters.get("packetization-mode", "0") != "1":
            continue
        level_id = parameters.get("profile-level-id", "42e01f").lower()
        distance = _distance(level_id, facts)
        if best is None or distance < best[0]:
            best = (distance, number, level_id)
    if best is None:
        raise NotPlayable("The browser does not offer H.264 in packetization-mode 1; it cannot show this camera here.")
    _, number, level_id = best
    level = f"{facts.level:02x}" if video.parameters[number].get("level-asymmetry-allowed") == "1" else level_id[4:]
    wanted = (*video.feedback.get(number, ()), *video.feedback.get("*", ()))
    return Chosen(
        int(number),
        f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={level_id[:4]}{level}",
        tuple(kind for kind in _KEPT_FEEDBACK if kind in wanted),
        video.extensions.get(PLAYOUT_DELAY, 0),
    )


def _distance(level_id: str, facts: SequenceFacts) -> int:
    """0: the stream's profile; small: one that holds it; large: a lower one."""
    try:
        profile, constraints = int(level_id[:2], 16), int(level_id[2:4], 16)
    except ValueError:
        return 1000
    order = {_BASELINE: 0, _MAIN: 2, _HIGH: 4}
    offered = order.get(profile, 6) - (profile == _BASELINE and bool(constraints & 0x40))
    ours = order.get(facts.profile, 6) - (facts.profile == _BASELINE and bool(facts.constraints & 0x40))
    return offered - ours if offered >= ours else 100 + ours - offered


def write_answer(offer: Offer, chosen: Chosen, ours: Ours) -> str:
    """The answer: video is sent, audio stays inactive, everything else is rejected."""
    video = offer.video
    taken = [s for s in offer.sections if s is video or (s.kind == "audio" and s.mid in offer.bundle and s.formats)]
    lines = ["v=0", f"o=- {ours.session} 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=ice-lite"]
    if video.mid in offer.bundle:
        lines.append("a=group:BUNDLE " + " ".join(s.mid for s in taken))
    lines.append("a=msid-semantic: WMS *")
    for section in offer.sections:
        lines += _described(section, section in taken, section is video, chosen, ours)
    return "\r\n".join(lines) + "\r\n"


def _described(section: Section, taken: bool, is_video: bool, chosen: Chosen, ours: Ours) -> list[str]:
    number = str(chosen.payload_type) if is_video else section.formats[0]
    lines = [f"m={section.kind} {9 if taken else 0} {section.protocol} {number}", "c=IN IP4 0.0.0.0"]
    if section.mid:
        lines.append(f"a=mid:{section.mid}")
    if not taken:
        return [*lines, "a=inactive"]
    lines += ["a=rtcp-mux", "a=setup:passive", f"a=fingerprint:sha-256 {ours.fingerprint}"]
    lines += [f"a=ice-ufrag:{ours.ufrag}", f"a=ice-pwd:{ours.password}"]
    lines += [  # in each section: browsers look in the first one of the bundle, which may be audio
        f"a=candidate:{n} 1 udp {(126 << 24) + ((65_535 - n) << 8) + 255} {address} {port} typ host"
        for n, (address, port) in enumerate(ours.candidates, 1)
    ]
    lines.append("a=end-of-candidates")
    if not is_video:
        encoding = section.codecs.get(number)
        return [*lines, "a=inactive", *([f"a=rtpmap:{number} {encoding}"] if encoding else [])]
    lines += ["a=sendonly", f"a=rtpmap:{number} H264/90000", f"a=fmtp:{number} {chosen.parameters}"]
    lines += [f"a=rtcp-fb:{number} {kind}" for kind in chosen.feedback]
    if chosen.playout_delay_id:
        lines.append(f"a=extmap:{chosen.playout_delay_id} {PLAYOUT_DELAY}")
    return [*lines, "a=msid:wangge video", f"a=ssrc:{ours.ssrc} cname:wangge"]
