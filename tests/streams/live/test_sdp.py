"""Offers as browsers write them, offers that we cannot serve, and what is none."""

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from streams.live import sdp
from streams.live.h264 import SequenceFacts
from streams.live.source import NotPlayable

OFFER = """v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1 2
a=extmap-allow-mixed
m=audio 9 UDP/TLS/RTP/SAVPF 111 63
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:mI1O
a=ice-pwd:yUFpRuDmqhSLsh0ItDoCSIUX
a=ice-options:trickle
a=fingerprint:sha-256 AA:BB
a=setup:actpass
a=mid:0
a=recvonly
a=rtcp-mux
a=rtpmap:111 opus/48000/2
m=video 9 UDP/TLS/RTP/SAVPF 96 102 104 108 116 41
c=IN IP4 0.0.0.0
a=ice-ufrag:mI1O
a=ice-pwd:yUFpRuDmqhSLsh0ItDoCSIUX
a=fingerprint:sha-256 AA:BB
a=setup:actpass
a=mid:1
a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
a=recvonly
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtpmap:102 H264/90000
a=rtcp-fb:102 goog-remb
a=rtcp-fb:102 nack
a=rtcp-fb:102 nack pli
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:104 H264/90000
a=fmtp:104 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f
a=rtpmap:108 H264/90000
a=rtcp-fb:108 nack
a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:116 H264/90000
a=fmtp:116 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f
a=rtpmap:41 H264/90000
a=fmtp:41 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:mI1O
a=ice-pwd:yUFpRuDmqhSLsh0ItDoCSIUX
a=fingerprint:sha-256 AA:BB
a=setup:actpass
a=mid:2
a=sctp-port:5000
""".replace("\n", "\r\n")
OURS = sdp.Ours("ufrag", "p" * 22, "CC:DD", [("127.0.0.1", 1234), ("fd00::2", 1235)], 77, 1)


@pytest.mark.parametrize(
    ("profile", "constraints", "level", "number", "parameters"),
    [
        (66, 0xC0, 0x28, 108, "42e028"),
        (66, 0, 0x1F, 102, "42001f"),
        (77, 0, 0x1E, 116, "4d001e"),
        (100, 0, 0x32, 41, "640032"),
        (110, 0, 0x1F, 41, "64001f"),
    ],
)
def test_profile_of_the_stream_is_chosen(
    profile: int, constraints: int, level: int, number: int, parameters: str
) -> None:
    chosen = sdp.choose(sdp.read_offer(OFFER).video, SequenceFacts(profile, constraints, level, None))
    assert chosen.payload_type == number
    assert chosen.parameters.endswith(f"profile-level-id={parameters}")


def test_answer_is_read_by_others() -> None:
    offer = sdp.read_offer(OFFER)
    chosen = sdp.choose(offer.video, SequenceFacts(66, 0, 31, None))
    assert (chosen.feedback, chosen.playout_delay_id) == (("nack", "nack pli"), 5)
    answer = SessionDescription.parse(sdp.write_answer(offer, chosen, OURS))
    audio, video, data = answer.media
    assert (audio.direction, video.direction, data.port) == ("inactive", "sendonly", 0)
    assert [(each.ip, each.port) for each in video.ice_candidates] == [("127.0.0.1", 1234), ("fd00::2", 1235)]
    assert answer.group[0].items == ["0", "1"]
    assert video.ice.iceLite
    assert video.dtls is not None
    assert video.dtls.role == "server"
    assert [codec.payloadType for codec in video.rtp.codecs] == [102]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("v=0", "hello", "not a session description"),
        ("m=video", "m=text", "no video section"),
        ("a=recvonly", "a=sendonly", "no video section"),
        ("a=fingerprint:sha-256 AA:BB\r\n", "", "fingerprint"),
        ("a=fingerprint:sha-256 AA:BB", "a=fingerprint:AA", "a=fingerprint"),
        ("a=setup:actpass", "a=setup:passive", "setup"),
        ("a=rtcp-mux\r\n", "", "rtcp-mux"),
        ("m=video 9", "m=video x", "media line"),
        ("a=extmap:5", "a=extmap:five", "a=extmap"),
    ],
)
def test_refused_offers_name_what_is_wrong(old: str, new: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        sdp.read_offer(OFFER.replace(old, new))


def test_offer_without_h264_is_not_playable() -> None:
    video = sdp.read_offer(OFFER.replace("H264/90000", "VP9/90000")).video
    with pytest.raises(NotPlayable):
        sdp.choose(video, SequenceFacts(66, 0, 31, None))


def test_too_large_an_offer() -> None:
    with pytest.raises(InvalidInput, match="64 KiB"):
        sdp.read_offer(OFFER + "a=x:" + "y" * sdp.MOST_OFFER_BYTES)


LINES = st.sampled_from(OFFER.splitlines())


@given(
    st.lists(
        st.one_of(LINES, LINES.flatmap(lambda line: st.text(max_size=20).map(lambda t: line[:9] + t))), max_size=60
    )
)
def test_any_lines_are_read_or_refused(lines: list[str]) -> None:
    try:
        offer = sdp.read_offer("\r\n".join(["v=0", *lines]))
        chosen = sdp.choose(offer.video, SequenceFacts(66, 0, 31, None))
    except (InvalidInput, NotPlayable):
        return
    assert sdp.write_answer(offer, chosen, OURS).startswith("v=0")
