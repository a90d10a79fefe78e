"""One connection to a camera by our own client; the same shape as `streams.camera_session.Session`.

Set-up: OPTIONS, DESCRIBE, SETUP of the video track, PLAY; digest log-in where it is asked for; kept alive by a request
and a receiver report at half the session's time-out. Blocking; it belongs to one thread, but for `interrupt`.
"""

import struct
import time
from collections.abc import Iterator
from contextlib import suppress

from core.errors import DecodeError
from core.media import VIDEO, Packet, TrackFormats
from streams import annexb
from streams.annexb import AccessUnit
from streams.camera_session import SessionStats
from streams.camera_settings import CameraSettings
from streams.camera_source import Refused, Source, Stalled
from streams.rtsp.assembly import Assembler, Done
from streams.rtsp.digest import Login
from streams.rtsp.reorder import Reorder
from streams.rtsp.sdp import repaired_base, track_url, video_track
from streams.rtsp.wire import Answer, Wire
from streams.timeline import Timeline

_NTP_EPOCH_S = 2_208_988_800
_REPORT = struct.Struct(">BBHIIII")
_LONGEST_QUIET_S = 30.0


class RtspSession:
    """Opened by the constructor, within `settings.open_s` for each answer. Raises OSError, DecodeError, Refused."""

    def __init__(self, source: Source, settings: CameraSettings, number: int, stats: SessionStats) -> None:
        self.number, self._stats, self._settings = number, stats, settings
        self._login = Login(source.user, source.password or "") if source.user else None
        self._wire = Wire(source.url, settings.open_s, settings.open_s)
        try:
            self._set_up(source.url)
            self._wire.limit(settings.stall_s)
        except BaseException:
            self._wire.close()
            raise
        self._timeline, self._reorder = Timeline(settings.jump_s), Reorder()
        self._shown_sets: annexb.ParameterSets | None = None
        self._formats: TrackFormats | None = None
        self._ticks: int | None = None
        self._timestamp = 0
        self._sequence: int | None = None
        self._report: tuple[int, int] | None = None

    def interrupt(self) -> None:
        """Ends a read that waits, from any thread."""
        self._wire.interrupt()

    def close(self) -> None:
        """Says goodbye to the camera and closes the connection."""
        with suppress(OSError):
            self._send("TEARDOWN", self._base)
        self._wire.close()

    def _set_up(self, url: str) -> None:
        self._session: str | None = None
        self._base = url
        options = self._ask("OPTIONS", url)
        self._keep_alive = "GET_PARAMETER" if "GET_PARAMETER" in (options.header("public") or "") else "OPTIONS"
        described = self._ask("DESCRIBE", url, Accept="application/sdp")
        base = repaired_base(described.header("content-base") or described.header("content-location"), url)
        track = video_track(described.body)
        self._codec, self._payload_type = track.codec, track.payload_type
        self._assembler = Assembler(track.codec)
        beside = b"".join(b"\0\0\1" + one for one in track.sets)
        self._sets = annexb.from_extradata(beside, track.codec) if beside else None
        self._base = base
        made = self._ask("SETUP", track_url(track.control, base), Transport="RTP/AVP/TCP;unicast;interleaved=0-1")
        self._channel, self._reports = _channels(made.header("transport") or "")
        self._session, _, rest = (made.header("session") or "").partition(";")
        timeout = rest.strip().lower().removeprefix("timeout=")
        self._refused_s = float("-inf")
        self._quiet_s = min(_LONGEST_QUIET_S, (int(timeout) if timeout.isdecimal() else 60) / 2) or 1.0
        self._ask("PLAY", base, Range="npt=0.000-")

    def _ask(self, method: str, url: str, **headers: str) -> Answer:
        """A request and its answer; logs in when asked to. Raises Refused."""
        answer = self._exchange(method, url, headers)
        challenges = answer.headers.get("www-authenticate", [])
        for _ in range(2):
            if answer.status != 401 or self._login is None or not self._login.challenged(challenges):
                break
            answer = self._exchange(method, url, headers)
            challenges = [one for one in answer.headers.get("www-authenticate", []) if "stale=true" in one.lower()]
        if not 200 <= answer.status < 300:
            raise Refused(answer.status)
        return answer

    def _exchange(self, method: str, url: str, headers: dict[str, str]) -> Answer:
        self._send(method, url, headers)
        deadline_s = time.monotonic() + self._settings.open_s
        while True:
            answer = self._wire.answer(deadline_s)
            if answer.status >= 200:
                return answer

    def _send(self, method: str, url: str, headers: dict[str, str] | None = None) -> None:
        sent = dict(headers or {})
        if self._session:
            sent["Session"] = self._session
        credentials = self._login.header(method, url) if self._login else None
        if credentials:
            sent["Authorization"] = credentials
        self._wire.send(method, url, sent)

    def packets(self) -> Iterator[Packet]:
        """Every picture from the first key frame on. Ends by an error: OSError, DecodeError or Stalled."""
        wire, timeline, stall_s = self._wire, self._timeline, self._settings.stall_s
        now_us, now_s = time.time_ns() // 1000, time.monotonic()
        timeline.progressed_s, alive_s = now_s, now_s + self._quiet_s
        while True:
            for channel, begin, end in wire.packets():
                if channel == self._channel:
                    for timestamp, unit in self._media(begin, end):
                        packet = self._picture(timestamp, unit, now_us, now_s)
                        if packet is not None:
                            yield packet
                elif channel == self._reports:
                    self._sender_report(wire.buffer[begin:end])
            if now_s - timeline.progressed_s > stall_s:
                raise Stalled
            if wire.answers and self._mind_answers(now_s):
                alive_s = now_s
            if now_s >= alive_s:
                alive_s = now_s + self._quiet_s
                self._send(self._keep_alive, self._base)
                self._wire.send_packet(self._reports, struct.pack(">BBHI", 0x80, 201, 1, 1))
            wire.fill()
            now_us, now_s = time.time_ns() // 1000, time.monotonic()

    def _mind_answers(self, now_s: float) -> bool:
        """Answers to keep-alives. True: refused for an old nonce, to be sent again with the new one, once a while.

        Raises ConnectionResetError when the camera has forgotten the session.
        """
        answers = self._wire.answers
        refused = [answer for answer in answers if answer.status == 401]
        forgotten = any(answer.status == 454 for answer in answers)
        answers.clear()
        if forgotten:
            raise ConnectionResetError
        if not refused or self._login is None or now_s < self._refused_s + self._quiet_s / 2:
            return False
        self._refused_s = now_s
        return self._login.challenged(refused[-1].headers.get("www-authenticate", []))

    def _media(self, begin: int, end: int) -> Done:
        """An RTP packet (RFC 3550 5.1) in the buffer; units that are whole with it."""
        buffer = self._wire.buffer
        head, marked = buffer[begin], buffer[begin + 1]
        if end - begin < 13 or head >> 6 != 2 or marked & 127 != self._payload_type:
            self._stats.unreadable += 1
            return []
        start = begin + 12
        if head != 0x80:
            start += 4 * (head & 15)
            if head & 16:
                start += 4 + 4 * int.from_bytes(buffer[start + 2 : start + 4], "big")
            if head & 32:
                end -= buffer[end - 1]
        sequence = buffer[begin + 2] << 8 | buffer[begin + 3]
        if sequence != self._sequence and self._sequence is not None:
            self._assembler.lost()
        self._sequence = sequence + 1 & 0xFFFF
        timestamp = int.from_bytes(buffer[begin + 4 : begin + 8], "big")
        return self._assembler.add(buffer[start:end], timestamp, marked > 127)

    def _picture(self, timestamp: int, unit: AccessUnit, now_us: int, now_s: float) -> Packet | None:
        stats, timeline = self._stats, self._timeline
        raw = self._unwrapped(timestamp)
        if unit.sets:
            self._sets = annexb.merged(self._sets, unit.sets)
        if unit.is_key:
            self._describe()
        pts, dts, begins = timeline.place(raw, self._reorder.decoding(raw), now_s, unit.is_key)
        if begins:
            self.number += 1
        sender_us = None
        if unit.is_key:
            stats.keys += 1
            stats.last_key_us = now_us
            stats.jumps += begins
            stats.lag_s = timeline.latency_s
            sender_us = self._sender_us(timestamp)
        stats.unreadable += self._assembler.broken
        self._assembler.broken = 0
        if self._formats is None:
            stats.skipped += 1
            return None
        return Packet(VIDEO, pts, dts, 0, unit.is_key, unit.data, now_us, now_s, self.number, self._formats, sender_us)

    def _unwrapped(self, timestamp: int) -> int:
        """Media time: ticks since the connection's first picture."""
        if self._ticks is None:
            self._ticks = 0
        else:
            self._ticks += (timestamp - self._timestamp + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        self._timestamp = timestamp
        return self._ticks

    def _describe(self) -> None:
        """A key frame is here: the parameter sets that came since the last one are in force now."""
        if self._sets is None or self._sets is self._shown_sets:
            return
        try:
            video = annexb.video_format(self._codec, self._sets)
            self._reorder.expect(annexb.reorder_depth(self._codec, self._sets))
        except DecodeError:
            self._stats.unreadable += 1
            self._sets = self._shown_sets
            return
        self._shown_sets = self._sets
        self._formats = TrackFormats(video)

    def _sender_report(self, data: bytearray) -> None:
        """Keeps which UTC (epoch microseconds) the camera gives to which time stamp (RFC 3550 6.4.1)."""
        if len(data) < _REPORT.size or data[1] != 200:
            return
        _, _, _, _, seconds, part, timestamp = _REPORT.unpack_from(data)
        if seconds > _NTP_EPOCH_S:
            self._report = (seconds - _NTP_EPOCH_S) * 1_000_000 + (part * 1_000_000 >> 32), timestamp

    def _sender_us(self, timestamp: int) -> int | None:
        if self._report is None:
            return None
        utc_us, then = self._report
        ticks = (timestamp - then + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        return utc_us + ticks * 100 // 9


def _channels(transport: str) -> tuple[int, int]:
    """Channels of media and of reports, as the camera chose them. Raises DecodeError for another transport."""
    if "tcp" not in transport.lower():
        raise DecodeError("The camera does not send over TCP.")
    for part in transport.split(";"):
        name, _, value = part.strip().partition("=")
        if name.lower() == "interleaved":
            first, _, second = value.partition("-")
            if first.isdecimal() and int(first) < 255:
                return int(first), int(second) if second.isdecimal() and int(second) < 256 else int(first) + 1
    return 0, 1
