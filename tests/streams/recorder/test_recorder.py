"""The recorder with cameras that really speak RTSP: every file plays, every picture is there, whatever happens."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from core.camera import KindCode
from core.media import Packet
from store.footage import CLOSED, OPEN, SegmentRow
from streams import mp4
from streams.camera import CameraReader
from streams.camera_settings import CameraSettings
from streams.camera_source import Source
from streams.cleaner_settings import CleanerSettings
from streams.hub import Hub
from streams.layout import SegmentName
from streams.recorder import Recorder, RecorderSettings
from streams.recorder.outbox import Entry
from tests.support.packets import encode_video
from tests.support.rtsp import FPS, Street, loop, wait_for

ROOT = "R" * 26
READING = CameraSettings(retry_s=(0.3,), stall_s=2.0)
SETTINGS = RecorderSettings(segment_s=2.0, sync_s=0.3, row_s=0.5, retry_s=0.3)
ANY_DISK = CleanerSettings(headroom_bytes=0, headroom_share=0)


class Said:
    """Everything that a recorder said, the newest of each row."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.entries: list[Entry] = []

    def all(self) -> "Said":
        self.entries.append(self._recorder.take())
        return self

    @property
    def segments(self) -> list[SegmentRow]:
        rows = {(row.run, row.n): row for entry in self.entries for row in entry.changes.segments}
        return sorted(rows.values(), key=lambda row: (row.start_us, row.n))

    @property
    def reasons(self) -> list[str]:
        runs = {row.id: row for entry in self.entries for row in entry.changes.runs}
        return [row.reason for row in sorted(runs.values(), key=lambda row: row.id)]

    def facts(self, kind: KindCode) -> list[dict[str, Any]]:
        return [fact.figures for entry in self.entries for fact in entry.facts if fact.kind == kind]


def path_of(folder: Path, row: SegmentRow) -> Path:
    return folder / SegmentName("c-0001", row.stream, row.day, row.run, row.n).path


def probed(path: Path) -> list[int]:
    """pts of every decoded picture of a file, in order of showing; fails when ffmpeg finds anything to say about it."""
    done = subprocess.run(
        ["ffprobe", "-v", "warning", "-of", "json", "-select_streams", "v", "-show_entries", "frame=pts", path],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stderr == "", (path, done.stderr)
    return [frame["pts"] for frame in json.loads(done.stdout)["frames"]]


def pictures(folder: Path, rows: list[SegmentRow]) -> int:
    """Counts the pictures that ffmpeg decodes, and holds file and row against each other."""
    total = 0
    for row in rows:
        path = path_of(folder, row)
        shown = probed(path)
        assert all(a < b for a, b in pairwise(shown))
        assert row.samples == len(shown)
        assert path.stat().st_size == row.size
        assert mp4.decode(row.sample_index).video.keys[0]
        assert row.durable_until_us == row.end_us
        total += len(shown)
    return total


@contextlib.contextmanager
def recording(folder: Path, url: str, settings: RecorderSettings = SETTINGS) -> Iterator[tuple[Recorder, CameraReader]]:
    folder.mkdir(exist_ok=True)
    hub = Hub()
    recorder, reader = Recorder(folder, ROOT, settings, ANY_DISK), CameraReader("c", Source(url), hub, READING)
    recorder.start()
    recorder.add(1, "c-0001", "main", hub)
    reader.start()
    try:
        yield recorder, reader
    finally:
        reader.stop()
        recorder.stop()


@pytest.mark.parametrize("name", ["h264", "b", "h265"])
def test_every_picture_that_was_sent_is_in_a_file_that_plays(street: Street, tmp_path: Path, name: str) -> None:
    with recording(tmp_path / "root", street.url(name)) as (recorder, reader):
        wait_for(lambda: recorder.stats.files >= 2, 15, "a second file")
        said = Said(recorder).all()
        assert any(row.state == OPEN for row in said.segments)
    said.all()
    rows = said.segments
    assert {row.state for row in rows} == {CLOSED}
    assert [row.n for row in rows] == list(range(len(rows)))
    assert pictures(tmp_path / "root", rows) == reader.stats.packets
    sent = wait_for(lambda: [one for one in street.sent(name) if one.ended_at_ms], what="the end of the session")
    assert sent[0].frames - reader.stats.packets <= 4, "at most what was on its way when we hung up"
    for before, after in pairwise(rows):
        assert abs(after.start_us - before.end_us) < (200_000 if name == "b" else 20_000)
    assert said.reasons == ["start"]
    assert recorder.stats.dropped == recorder.stats.lost == recorder.stats.gaps == 0
    assert abs(rows[0].start_us - time.time() * 1e6) < 30e6


def test_a_camera_that_was_away_leaves_a_gap_with_its_reason_and_a_new_run(street: Street, tmp_path: Path) -> None:
    def leave() -> None:
        street.camera("h264").conditions.refusing = True
        street.camera("h264").cut()

    settings = SETTINGS.model_copy(update={"gap_s": 0.5})
    with recording(tmp_path / "root", street.url("h264"), settings) as (recorder, reader):
        wait_for(lambda: recorder.stats.fragments >= 4, what="footage")
        street.call(leave)
        wait_for(lambda: reader.signal.state == "lost", what="the loss")
        time.sleep(1.0)  # the length of the gap
        street.call(lambda: setattr(street.camera("h264").conditions, "refusing", False))
        wait_for(lambda: recorder.stats.runs == 2 and reader.stats.packets > 45, 15, "the second run")
    said = Said(recorder).all()
    assert said.reasons == ["start", "reconnect"]
    assert pictures(tmp_path / "root", said.segments) == reader.stats.packets
    (gap,) = said.facts(KindCode.GAP)
    assert gap["reason"] == "signal"
    first, second = (
        [row for row in said.segments if row.run == run] for run in sorted({row.run for row in said.segments})
    )
    assert gap["from_ms"] == first[-1].end_us // 1000
    assert abs(gap["to_ms"] - second[0].start_us // 1000) < 2  # type: ignore[operator]
    assert 1000 < gap["to_ms"] - gap["from_ms"] < 8000  # type: ignore[operator]


def test_a_jump_and_new_parameters_lose_no_picture(street: Street, tmp_path: Path) -> None:
    def widen() -> None:
        feed = street.camera("h264").streams["main"][0]
        feed.loops["wide"] = loop(width=480, height=272)
        feed.wanted = "wide"

    with recording(tmp_path / "root", street.url("h264")) as (recorder, reader):
        wait_for(lambda: recorder.stats.fragments >= 3, what="footage")
        street.call(lambda: street.camera("h264").jump(7200.0))
        wait_for(lambda: recorder.stats.runs == 2, what="the second run")
        street.call(widen)
        files = recorder.stats.files
        wait_for(lambda: recorder.stats.files > files + 1, what="another file")
    said = Said(recorder).all()
    assert said.reasons == ["start", "jump"]
    assert pictures(tmp_path / "root", said.segments) == reader.stats.packets
    assert len({row.init_digest for row in said.segments}) == 2
    assert {init.width for entry in said.entries for init in entry.changes.inits} == {320, 480}
    assert said.facts(KindCode.GAP) == []


def _whole(folder: Path) -> tuple[int, int]:
    """Pictures in all files of a folder, each read back as the sweep does and played; and bytes that were torn."""
    total = torn = 0
    for path in sorted(folder.rglob("*.mp4")):
        found = mp4.read_segment(path)
        torn += found.torn_bytes
        assert len(probed(path)) == found.index.samples
        total += found.index.samples
    return total, torn


def _kill_while_recording(street: Street, folder: Path, after_s: float) -> None:
    before = len(street.sent("h264"))
    command = [sys.executable, "-m", "tests.streams.recorder.recording_process", street.url("h264"), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "recording\n"
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
    sent = wait_for(lambda: [one for one in street.sent("h264") if one.ended_at_ms][before:], what="the end")[-1]
    total, torn = _whole(folder)
    assert torn == 0
    assert 0 <= sent.frames - total <= FPS, f"{sent.frames} pictures were sent, {total} are there"


@pytest.mark.parametrize("after_s", [0.2, 1.7])
def test_a_killed_recorder_loses_less_than_a_second(street: Street, tmp_path: Path, after_s: float) -> None:
    _kill_while_recording(street, tmp_path / "root", after_s)


@pytest.mark.soak
def test_a_killed_recorder_loses_less_than_a_second_twenty_times(street: Street, tmp_path: Path) -> None:
    for number in range(20):
        _kill_while_recording(street, tmp_path / str(number), 0.3 * number)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def feed(hub: Hub, packets: list[Packet]) -> None:
    """Publishes packets as if they came now."""
    now_us, now_s = time.time_ns() // 1000, time.monotonic()
    first = packets[0].pts_90k
    for packet in packets:
        since_us = (packet.pts_90k - first) * 100 // 9
        hub.publish(replace(packet, arrived_us=now_us + since_us, arrived_s=now_s + since_us / 1e6, session=1))


def test_a_full_disk_pauses_recording_and_footage_goes_on_when_there_is_room(small_disk: Path) -> None:
    ballast, hub = small_disk / "ballast", Hub()
    recorder = Recorder(small_disk, ROOT, SETTINGS, ANY_DISK)
    recorder.start()
    recorder.add(1, "c-0001", "main", hub)
    footage = encode_video("h264", [n * 6000 for n in range(150)])
    try:
        feed(hub, footage[:60])
        wait_for(lambda: recorder.stats.fragments, what="footage")
        ballast.write_bytes(bytes(700_000))
        with contextlib.suppress(OSError), ballast.open("ab") as file:
            while file.write(bytes(4096)):
                file.flush()
        feed(hub, footage[60:105])
        wait_for(lambda: recorder.failing, what="the failure")
        for path in small_disk.rglob("*.mp4"):
            assert mp4.read_segment(path).torn_bytes == 0
        ballast.unlink()
        feed(hub, footage[105:])
        wait_for(lambda: recorder.failing is None, what="the recovery")
    finally:
        recorder.stop()
    said = Said(recorder).all()
    disk = said.facts(KindCode.DISK)
    assert [fact["state"] for fact in disk] == ["failing", "ok"]
    assert "space" in str(disk[0]["error"])
    assert said.reasons[0] == "start"
    assert said.reasons[-1] == "disk"
    assert pictures(small_disk, said.segments) >= 90


def test_the_headroom_is_respected(tmp_path: Path) -> None:
    hub = Hub()
    recorder = Recorder(tmp_path, ROOT, SETTINGS, CleanerSettings(headroom_bytes=1 << 60))
    recorder.start()
    recorder.add(1, "c-0001", "main", hub)
    try:
        feed(hub, encode_video("h264", [n * 6000 for n in range(30)]))
        wait_for(lambda: recorder.failing, what="the headroom")
        time.sleep(0.5)  # the time of a further try
        assert list(tmp_path.rglob("*.mp4")) == []
    finally:
        recorder.stop()
    assert [fact["state"] for fact in Said(recorder).all().facts(KindCode.DISK)] == ["failing"]


def test_a_slow_disk_costs_counted_packets_and_a_gap_never_memory(tmp_path: Path) -> None:
    hub = Hub()
    recorder = Recorder(tmp_path, ROOT, RecorderSettings(segment_s=2.0, sync_s=0.3, ring_packets=100), ANY_DISK)
    recorder.add(1, "c-0001", "main", hub)  # not started yet: nobody empties the ring
    footage = encode_video("h264", [n * 6000 for n in range(320)])
    feed(hub, footage[:310])
    recorder.start()
    try:
        wait_for(lambda: recorder.stats.fragments, what="footage")
        feed(hub, footage[310:])
    finally:
        recorder.stop()
    said = Said(recorder).all()
    assert recorder.stats.dropped >= 200
    assert pictures(tmp_path, said.segments) + recorder.stats.dropped == len(footage)


def test_a_removed_stream_is_written_to_its_end_and_others_go_on(street: Street, tmp_path: Path) -> None:
    with recording(tmp_path / "root", street.url("h264")) as (recorder, _):
        other, reader = Hub(), None
        try:
            reader = CameraReader("b", Source(street.url("b")), other, READING)
            reader.start()
            recorder.add(2, "c-0002", "sub", other)
            wait_for(lambda: recorder.stats.fragments >= 6, what="footage")
            recorder.remove(2, "sub")
            said = Said(recorder)
            wait_for(
                lambda: any(row.camera == 2 and row.state == CLOSED for row in said.all().segments), what="the last row"
            )
            before = recorder.stats.fragments
            wait_for(lambda: recorder.stats.fragments > before, what="more of the other")
            assert recorder.recorded == {(1, "main")}
            assert other.readers == ()
        finally:
            if reader:
                reader.stop()
