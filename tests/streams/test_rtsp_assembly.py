"""RTP payloads into access units: as sent, cut, aggregated, out of their minds."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DecodeError
from streams import annexb
from streams.annexb import AccessUnit, Codec
from streams.rtsp.assembly import Assembler
from streams.rtsp.digest import Login
from streams.rtsp.reorder import Reorder
from streams.rtsp.sdp import repaired_base, track_url, video_track

PLAIN = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z2E=,aGE=\n"


def fragments(unit: bytes, size: int, codec: Codec) -> list[bytes]:
    """FU-A (RFC 6184 5.8) or FU (RFC 7798 4.4.3) of one NAL unit."""
    head, body = (1, unit[1:]) if codec == "h264" else (2, unit[2:])
    kind = unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    out = []
    for number, part in enumerate(parts):
        flags = 0x80 * (number == 0) | 0x40 * (number == len(parts) - 1) | kind
        first = bytes([unit[0] & 0xE0 | 28]) if head == 1 else bytes([unit[0] & 0x81 | 49 << 1, unit[1]])
        out.append(first + bytes([flags]) + part)
    return out


def sent(payloads: list[bytes], codec: Codec, ticks: int = 0, *, markers: bool = True) -> list[AccessUnit]:
    assembler = Assembler(codec)
    done = []
    for number, payload in enumerate(payloads):
        done += assembler.add(bytearray(payload), ticks, markers and number == len(payloads) - 1)
    return [unit for _, unit in done]


@pytest.mark.parametrize("codec", ["h264", "h265"])
@given(st.lists(st.binary(min_size=4, max_size=80), min_size=1, max_size=5), st.integers(2, 30))
def test_what_was_cut_comes_back_whole(codec: Codec, bodies: list[bytes], size: int) -> None:
    head = b"\x65" if codec == "h264" else b"\x26\x01"
    units = [head + body.replace(b"\0\0", b"\1\1") for body in bodies]
    payloads = [one for unit in units for one in fragments(unit, size, codec)]
    (made,) = sent(payloads, codec)
    assert made.data == annexb.length_prefixed(units)
    assert made.is_key


@given(st.lists(st.tuples(st.binary(max_size=30), st.integers(0, 3), st.booleans(), st.booleans()), max_size=60))
def test_any_packets_make_whole_units_or_nothing(packets: list[tuple[bytes, int, bool, bool]]) -> None:
    for codec in ("h264", "h265"):
        assembler = Assembler(codec)  # type: ignore[arg-type]
        for payload, ticks, marker, is_lost in packets:
            if is_lost:
                assembler.lost()
            for _, unit in assembler.add(bytearray(payload), ticks, marker):
                at = 0
                while at < len(unit.data):
                    at += 4 + int.from_bytes(unit.data[at : at + 4], "big")
                assert at == len(unit.data)


def test_parameter_sets_and_pictures_in_one_packet_and_in_packets_of_their_own() -> None:
    sps, pps, idr = b"\x67abc", b"\x68de", b"\x65fghi"
    aggregate = b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in (sps, pps, idr))
    (made,) = sent([aggregate], "h264")
    assert made.sets == ((), (sps,), (pps,))
    assert made.is_key
    assert made.data == annexb.length_prefixed([sps, pps, idr])
    assembler = Assembler("h264")
    assert assembler.add(bytearray(sps), 1, True) == []
    assert assembler.add(bytearray(pps), 2, True) == []
    ((ticks, late),) = assembler.add(bytearray(idr), 3, True)
    assert (ticks, late) == (3, made)


def test_start_codes_inside_a_packet_are_taken_out() -> None:
    (made,) = sent([b"\x67abc\0\0\1\x68de\0\0\0\1\x65fgh"], "h264")
    assert made.data == annexb.length_prefixed([b"\x67abc", b"\x68de", b"\x65fgh"])


def test_a_marker_on_every_packet_is_not_believed_twice() -> None:
    assembler = Assembler("h264")
    done = []
    for picture in range(4):
        for part in range(3):
            done += assembler.add(bytearray(b"\x41" + bytes([picture, part, 7])), picture, True)
    whole = [unit.data for ticks, unit in done if ticks in (1, 2)]
    assert whole == [annexb.length_prefixed([b"\x41" + bytes([n, part, 7]) for part in range(3)]) for n in (1, 2)]


def test_a_lost_packet_costs_its_nal_unit_only() -> None:
    assembler = Assembler("h264")
    first, _, last = fragments(b"\x41" + bytes(range(1, 10)), 3, "h264")
    assembler.add(bytearray(b"\x41first"), 0, False)
    assembler.add(bytearray(first), 0, False)
    assembler.lost()
    ((_, made),) = assembler.add(bytearray(last), 0, True)
    assert made.data == annexb.length_prefixed([b"\x41first"])
    assert assembler.broken == 1


@pytest.mark.parametrize("depth", [0, 1])
def test_decoding_times_rise_and_never_come_after_showing(depth: int) -> None:
    order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11, 15, 13, 14] if depth else list(range(16))
    reorder = Reorder()
    reorder.expect(depth)
    dts = [reorder.decoding(n * 6000) for n in order]
    assert all(a < b for a, b in pairwise(dts))
    assert all(at <= n * 6000 for at, n in zip(dts, order, strict=True))


def test_a_reorder_that_nobody_announced_is_learned() -> None:
    reorder = Reorder()
    order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11]
    dts = [reorder.decoding(n * 6000) for n in order]
    assert reorder.depth >= 1
    assert all(at <= n * 6000 for at, n in zip(dts, order, strict=True))
    assert dts[4:] == sorted(set(dts[4:]))


def test_descriptions_of_cameras() -> None:
    track = video_track("v=0\nm=audio 0 RTP/AVP 8\na=control:track2\n" + PLAIN + "a=control:trackID=1\n")
    assert (track.codec, track.payload_type, track.control, track.sets) == ("h264", 96, "trackID=1", (b"ga", b"ha"))
    for text in ("", "m=video 0 RTP/AVP 26\n", "m=video 0 RTP/AVP 96\na=rtpmap:96 MP4V-ES/90000\n"):
        with pytest.raises(DecodeError):
            video_track(text)


@given(st.text(max_size=200))
def test_any_description_is_read_or_refused(text: str) -> None:
    try:
        video_track(text)
        video_track(PLAIN + text)
    except DecodeError:
        return


def test_addresses_of_tracks_are_joined_as_cameras_expect() -> None:
    base = "rtsp://camera/live?channel=1&subtype=0"
    assert track_url("trackID=1", base) == base + "/trackID=1"
    assert track_url("*", base) == base
    assert track_url("rtsp://other/x", base) == "rtsp://other/x"
    assert repaired_base("rtsp://10.0.0.9:554/live/", "rtsp://outside:8554/live") == "rtsp://outside:8554/live/"
    assert repaired_base("live/", "rtsp://outside/live") == "rtsp://outside/live"


def test_digest_answers_are_those_of_the_standard() -> None:
    login = Login("admin", "Pass1234")
    assert login.challenged(['Digest realm="IP Camera(12345)", nonce="9f1c2d3e4b5a69788796a5b4c3d2e1f0"'])
    header = login.header("DESCRIBE", "rtsp://192.0.2.10:554/Streaming/Channels/101")
    assert header is not None
    assert 'response="7d583eafbd44176426604fa435df6eb7"' in header
    assert not login.challenged(['Basic realm="x"'])
    both = ['Digest realm="r", nonce="n", algorithm=MD5', 'Digest realm="r", nonce="n", algorithm=SHA-256, qop="auth"']
    assert login.challenged(both)
    strong = login.header("PLAY", "rtsp://c/x")
    assert strong is not None
    assert "algorithm=SHA-256" in strong
    assert "nc=00000001" in strong
    assert "Pass1234" not in repr(login)
