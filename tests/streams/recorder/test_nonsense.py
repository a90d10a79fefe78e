"""What fits no field of MP4 ends its camera's run; the other cameras of the worker are recorded as before."""

import time
from dataclasses import replace
from pathlib import Path

from core.media import Packet
from streams.hub import Hub
from streams.layout import open_root
from streams.recorder import Recorder
from tests.support.packets import encode_video


def test_one_cameras_nonsense_never_ends_the_recorder(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, open_root(tmp_path, time.time_ns() // 1_000_000))
    recorder.start()
    good, bad = Hub(), Hub()
    recorder.add(1, "good", "main", good)
    recorder.add(2, "bad", "main", bad)
    packets = encode_video("h264", [n * 6000 for n in range(30)])
    bad.publish(_now(replace(packets[0], duration_90k=1 << 40)))
    deadline = time.monotonic() + 20
    while not recorder.stats.nonsense and time.monotonic() < deadline:
        time.sleep(0.05)
    for packet in packets:
        good.publish(_now(packet))
    assert recorder.stats.nonsense >= 1
    assert recorder.is_alive
    recorder.stop()
    rows = {row.camera: row.samples for row in recorder.take().changes.segments}
    assert rows[1] == 30


def _now(packet: Packet) -> Packet:
    return replace(packet, arrived_us=time.time_ns() // 1000, arrived_s=time.monotonic())
