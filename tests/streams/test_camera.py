"""The reader against cameras that really speak RTSP, and misbehave."""

import contextlib
import io
import logging
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from itertools import pairwise
from random import Random

import pytest
import structlog

from core.errors import InvalidInput
from core.media import AUDIO, VIDEO, Packet
from simulators.cameras import audio
from simulators.cameras.camera import camera
from streams.camera import CameraReader, Signal
from streams.camera_session import told
from streams.camera_settings import CameraSettings
from streams.camera_source import Source
from streams.hub import Hub
from tests.support.rtsp import FPS, Street, loop, usual_cameras, wait_for

QUICK = CameraSettings(retry_s=(0.2,), stall_s=1.5, open_s=2.0, refused_s=30.0)


class Watched:
    """A reader, everything it published, and everything it said."""

    def __init__(self, source: Source, settings: CameraSettings = QUICK) -> None:
        self.hub, self.signals, self.packets = Hub(), list[Signal](), list[Packet]()
        self.ring = self.hub.reader("test", 100_000, 1 << 30)
        self.reader = CameraReader("test", source, self.hub, settings, self.signals.append)
        self.reader.start()

    def taken(self) -> list[Packet]:
        self.packets += self.ring.take()
        return self.packets

    def has(self, count: int, seconds: float = 12.0) -> list[Packet]:
        wait_for(lambda: len(self.taken()) >= count, seconds, f"{count} packets")
        return self.packets

    def lost(self, reason: str, seconds: float = 12.0) -> None:
        wait_for(lambda: any(s.reason == reason for s in self.signals), seconds, f"lost: {reason}")


@contextlib.contextmanager
def watching(source: Source, settings: CameraSettings = QUICK) -> Iterator[Watched]:
    watched = Watched(source, settings)
    try:
        yield watched
    finally:
        began_s = time.monotonic()
        watched.reader.stop()
        assert time.monotonic() - began_s < 2.5


@pytest.mark.parametrize(("name", "codec"), [("h264", "h264"), ("b", "h264"), ("h265", "h265")])
def test_every_picture_arrives_in_order_from_the_first_key_on(street: Street, name: str, codec: str) -> None:
    with watching(Source(street.url(name))) as seen:
        packets = seen.has(40)
    video = packets[0].formats.video
    assert (video.codec, video.width, video.height) == (codec, 320, 180)
    assert packets[0].is_key
    assert [p.is_key for p in packets[:31]] == [n % FPS == 0 for n in range(31)]
    shown = sorted(p.pts_90k for p in packets[:-3])
    assert {b - a for a, b in pairwise(shown)} == {90_000 // FPS}
    assert all(a.dts_90k < b.dts_90k for a, b in pairwise(packets))
    assert all(p.dts_90k <= p.pts_90k for p in packets)
    assert len({id(p.formats) for p in packets}) == 1
    assert seen.signals[0].state == "up"
    sender_us = next(p.sender_utc_us for p in packets if p.is_key and p.sender_utc_us)
    assert abs(sender_us - time.time() * 1e6) < 20e6


def test_a_camera_that_is_cut_off_comes_back_as_a_new_session(street: Street) -> None:
    with watching(Source(street.url("h264"))) as seen:
        seen.has(20)
        street.call(street.camera("h264").cut)
        wait_for(lambda: seen.taken()[-1].session == 2, what="a second session")
        assert [s.state for s in seen.signals] == ["up", "lost", "up"]
        assert seen.signals[1].reason == "ended"
        second = next(p for p in seen.packets if p.session == 2)
        assert second.is_key
        assert seen.hub.why(1) == "start"
        assert seen.hub.why(2) == "reconnect"


def test_silence_and_a_half_open_connection_are_stalls(street: Street) -> None:
    with watching(Source(street.url("h264"))) as seen:
        seen.has(5)
        street.call(lambda: setattr(street.camera("h264").conditions, "mute", True))
        seen.lost("stalled")
        (loss,) = [signal for signal in seen.signals if signal.state == "lost"]
        assert loss.at_us == seen.taken()[-1].arrived_us, "lost since the last picture, not since we noticed"
        street.call(lambda: setattr(street.camera("h264").conditions, "mute", False))
        wait_for(lambda: seen.taken()[-1].session == 2, what="a second session")
        assert seen.reader.stats.stalls == 1


def test_a_jump_of_the_cameras_time_begins_a_session_and_loses_no_picture(street: Street) -> None:
    with watching(Source(street.url("h264"))) as seen:
        seen.has(20)
        street.call(lambda: street.camera("h264").jump(-500.0))
        wait_for(lambda: seen.taken()[-1].session == 2, what="a second session")
        seen.has(len(seen.packets) + 10)
        sent = street.sent("h264")
    assert seen.hub.why(2) == "jump"
    assert len(sent) == 1
    first = [p.pts_90k for p in seen.packets if p.session == 1]
    assert {b - a for a, b in pairwise(first)} == {90_000 // FPS}
    assert sent[0].frames - len(seen.packets) <= 5
    assert next(p for p in seen.packets if p.session == 2).pts_90k < 0 or seen.packets[-1].pts_90k < first[-1]


def test_parameters_that_change_in_the_middle_make_new_formats(street: Street) -> None:
    def widen() -> None:
        feed = street.camera("h264").streams["main"][0]
        feed.loops["wide"] = loop(width=480, height=272)
        feed.wanted = "wide"

    with watching(Source(street.url("h264"))) as seen:
        seen.has(10)
        street.call(widen)
        wait_for(lambda: seen.taken()[-1].formats.video.width == 480, what="the wide picture")
        changed = next(p for p in seen.packets if p.formats.video.width == 480)
        assert changed.is_key
        assert changed.session == 1
        assert len({id(p.formats) for p in seen.packets}) == 2


def test_garbage_in_answers_and_packets_never_ends_the_reader_nor_disturbs_another() -> None:
    street = Street(usual_cameras())
    try:
        with watching(Source(street.url("h264"))) as bad, watching(Source(street.url("b"))) as good:
            bad.has(5)
            street.call(lambda: setattr(street.camera("h264").conditions, "garbage", Random(3)))
            time.sleep(4)  # the time in which it may do harm
            street.call(lambda: setattr(street.camera("h264").conditions, "garbage", None))
            sessions = bad.reader.stats.sessions
            street.call(street.camera("h264").cut)
            wait_for(lambda: bad.reader.stats.sessions > sessions, what="a sound session")
            good.taken()
            assert {p.session for p in good.packets} == {1}
            shown = [p.dts_90k for p in good.packets]
            assert shown == sorted(set(shown))
    finally:
        street.close()


@pytest.mark.parametrize(
    "answer", [b"", b"\0" * 5000, b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 99999999\r\n\r\n"]
)
def test_a_server_that_is_no_camera_is_given_up_and_tried_again(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        stop, met = threading.Event(), []

        def serve() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError, OSError):
                    connection, _ = server.accept()
                    met.append(connection)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            url = f"rtsp://127.0.0.1:{server.getsockname()[1]}/x"
            with watching(Source(url), QUICK.model_copy(update={"open_s": 1.0})) as seen:
                wait_for(lambda: len(met) >= 2, 10, "another try")
                assert seen.signals[0].state == "lost"
        finally:
            stop.set()
            thread.join()
            for connection in met:
                connection.close()


def test_nobody_there_is_refused_and_a_new_address_is_tried_at_once(street: Street) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = QUICK.model_copy(update={"retry_s": (60.0,)})
    with watching(Source(f"rtsp://127.0.0.1:{port}/x"), settings) as seen:
        seen.lost("refused")
        seen.reader.reconfigure(Source(street.url("h264")))
        seen.has(3)


def test_a_refused_log_in_waits_long_and_the_right_one_is_tried_at_once() -> None:
    street = Street(usual_cameras(), user="operator-7", password="pa:ss/w@rd Ü")
    try:
        with watching(Source(street.url("h264"), "operator-7", "wrong")) as seen:
            seen.lost("unauthorized")
            time.sleep(0.6)  # it would have tried again three times
            assert len(seen.signals) == 1
            seen.reader.reconfigure(Source(street.url("h264"), "operator-7", "pa:ss/w@rd Ü"))
            seen.has(3)
    finally:
        street.close()


def test_a_log_in_shows_up_nowhere(street: Street, capfd: pytest.CaptureFixture[str]) -> None:
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    logging.getLogger().addHandler(handler)
    try:
        with structlog.testing.capture_logs() as logs:
            for url in ("rtsp://127.0.0.1:1/x", street.url("nobody")):
                source = Source(url, "operator-7", "s3cr3t-word")
                with watching(source) as seen:
                    wait_for(lambda seen=seen: seen.signals, what="a failure")
                    shown = [repr(source), str(source), repr(seen.reader), repr(seen.signals), repr(seen.reader.stats)]
                    assert "s3cr3t" not in "".join(shown)
                    assert "operator-7" not in "".join(shown)
            with pytest.raises(InvalidInput) as refused:
                Source("rtsp://operator-7:s3cr3t-word@camera/x")
    finally:
        logging.getLogger().removeHandler(handler)
    out = capfd.readouterr()
    everything = repr(logs) + text.getvalue() + out.out + out.err + "".join(traceback.format_exception(refused.value))
    assert "camera.lost" in everything
    assert "s3cr3t-word" not in everything.replace('Source("rtsp://operator-7:s3cr3t-word@camera/x")', "")


@pytest.mark.parametrize("kind", ["pcma", "aac"])
def test_sound_is_off_until_it_is_asked_for_and_always_aac(kind: str) -> None:
    street = Street([camera("sound", [loop(), *audio.loops(kind)], [], 4)])
    try:
        with watching(Source(street.url("sound"))) as silent, watching(Source(street.url("sound"), audio=True)) as loud:
            loud.has(60)
            silent.has(15)
    finally:
        street.close()
    assert {p.track for p in silent.packets} == {VIDEO}
    assert silent.packets[0].formats.audio is None
    sound = [p for p in loud.packets if p.track == AUDIO]
    assert sound
    assert sound[0].formats.audio is not None
    assert sound[0].formats.audio.rate_hz == (8000 if kind == "pcma" else 16000)
    assert all(a.dts_90k < b.dts_90k for a, b in pairwise(sound))
    last = max(p.pts_90k for p in loud.packets if p.track == VIDEO)
    assert abs(sound[-1].pts_90k - last) < 90_000


@pytest.mark.parametrize(
    ("said", "taken"), [(6000, 6000), (None, 0), (0, 0), (-5, 0), (900_000, 900_000), (1 << 40, 0)]
)
def test_a_senseless_duration_is_none(said: int | None, taken: int) -> None:
    """libav reckons it from the rate in the parameter sets; one that fits no field of MP4 ended the whole recorder."""
    assert told(said) == taken
