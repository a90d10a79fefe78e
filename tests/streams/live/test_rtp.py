"""Payloads that any depacketiser puts together again, and RTCP that says what the standard says."""

import struct

import pytest
from aiortc.rtp import RtcpPacket, RtcpSrPacket
from hypothesis import given
from hypothesis import strategies as st

from bench.live_source import Film
from core.media import VIDEO, Packet
from streams.live import rtcp
from streams.live.h264 import nal_units, parameter_sets
from streams.live.rtp import MOST_PAYLOAD, payloads


def put_together(parts: list[bytes]) -> list[bytes]:
    """NAL units of payloads (RFC 6184), independent of the code on trial."""
    units = list[bytes]()
    for part in parts:
        kind = part[0] & 31
        if kind == 24:
            at = 1
            while at < len(part):
                size = int.from_bytes(part[at : at + 2], "big")
                units.append(part[at + 2 : at + 2 + size])
                at += 2 + size
        elif kind == 28:
            if part[1] & 0x80:
                units.append(bytes((part[0] & 0xE0 | part[1] & 31,)))
            units[-1] += part[2:]
        else:
            units.append(part)
    return units


def packet(data: bytes, of: Film, *, is_key: bool) -> Packet:
    return Packet(VIDEO, 0, 0, 0, is_key, data, 0, 0.0, 1, of.packets[0][4])


def test_pictures_come_through_whole(plain: Film) -> None:
    for _, _, is_key, data, _ in plain.packets:
        parts = payloads(packet(data, plain, is_key=is_key), [])
        assert max(map(len, parts)) <= MOST_PAYLOAD
        assert put_together(parts) == list(nal_units(data))


def test_key_pictures_without_sets_get_them(plain: Film) -> None:
    sets = parameter_sets(plain.packets[0][4].video.config)
    bare = struct.pack(">I", 3001) + b"\x65" + bytes(3000)
    assert put_together(payloads(packet(bare, plain, is_key=True), sets)) == [*sets, b"\x65" + bytes(3000)]
    assert put_together(payloads(packet(bare, plain, is_key=False), sets)) == [b"\x65" + bytes(3000)]


@given(st.lists(st.binary(min_size=1, max_size=4000), max_size=12))
def test_any_units(units: list[bytes]) -> None:
    units = [bytes((unit[0] & 0x60 | 1,)) + unit[1:] for unit in units]
    data = b"".join(struct.pack(">I", len(unit)) + unit for unit in units)
    film = Packet(VIDEO, 0, 0, 0, False, data, 0, 0.0, 1, None)  # type: ignore[arg-type]
    assert put_together(payloads(film, [])) == units


def test_sender_report_is_read_by_others() -> None:
    (report, _) = RtcpPacket.parse(rtcp.sender_report(7, 1_700_000_000_500_000, 123, 4, 5))
    assert isinstance(report, RtcpSrPacket)
    info = report.sender_info
    assert (report.ssrc, info.rtp_timestamp, info.packet_count, info.octet_count) == (7, 123, 4, 5)
    assert info.ntp_timestamp == (1_700_000_000 + 2_208_988_800 << 32) + (1 << 31)
    assert RtcpPacket.parse(rtcp.goodbye(7))


@pytest.mark.parametrize(
    ("data", "wishes"),
    [
        (struct.pack(">BBHII", 0x81, 206, 2, 1, 9), rtcp.Wishes(wants_key=True)),
        (struct.pack(">BBHII", 0x81, 206, 2, 1, 8), rtcp.Wishes()),
        (struct.pack(">BBHIIIBxxx", 0x84, 206, 4, 1, 0, 9, 1), rtcp.Wishes(wants_key=True)),
        (struct.pack(">BBHIIHH", 0x81, 205, 3, 1, 9, 65_535, 0b101), rtcp.Wishes(lost=[65_535, 0, 2])),
        (struct.pack(">BBHI", 0x81, 203, 1, 1), rtcp.Wishes(is_goodbye=True)),
        (struct.pack(">BBHIIIIIII", 0x81, 201, 7, 1, 9, 64 << 24, 0, 0, 0, 0), rtcp.Wishes(lost_share=0.25)),
        (b"", rtcp.Wishes()),
    ],
    ids=["PLI", "PLI for another", "FIR", "NACK over the wrap", "BYE", "RR", "nothing"],
)
def test_wishes(data: bytes, wishes: rtcp.Wishes) -> None:
    assert rtcp.read(data, 9) == wishes


@given(st.binary(max_size=200))
def test_any_rtcp_is_passed_over(data: bytes) -> None:
    assert len(rtcp.read(data, 1).lost) < 1000
