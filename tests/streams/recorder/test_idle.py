"""A camera that is gone leaves no file open; one that only sends seldom keeps its run, so that no picture is lost."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.media import Packet
from store.footage import CLOSED
from streams.hub import Hub
from streams.layout import open_root
from streams.recorder import Recorder, recording
from tests.support.packets import encode_video


def _now(packet: Packet) -> Packet:
    return replace(packet, arrived_us=time.time_ns() // 1000, arrived_s=time.monotonic())


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_only_a_camera_that_is_gone_ends_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_IDLE_S", 0.5)
    recorder = Recorder(tmp_path, open_root(tmp_path, time.time_ns() // 1_000_000))
    recorder.start()
    slow, gone = Hub(), Hub()
    recorder.add(1, "slow", "main", slow)
    recorder.add(2, "gone", "main", gone)
    packets = encode_video("h264", [n * 6000 for n in range(30)])
    for packet in packets[:15]:
        slow.publish(_now(packet))
        gone.publish(_now(packet))
    gone.clear()
    states: dict[int, int] = {}

    def gone_is_closed() -> bool:
        states.update({row.camera: row.state for row in recorder.take().changes.segments})
        return states.get(2) == CLOSED

    _until(gone_is_closed)
    for packet in packets[15:]:
        slow.publish(_now(packet))
    recorder.stop()
    rows = [row for row in recorder.take().changes.segments if row.camera == 1]
    assert {row.run for row in rows} == {rows[0].run}
    assert sum(row.samples for row in rows) == 30, "pictures after the pause belong to the same run"
