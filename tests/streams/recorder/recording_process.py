"""Records one camera until it is killed: `python -m … URL FOLDER`. Says `recording` at the first file."""

import sys
import time
from pathlib import Path

from core.log import configure
from streams.camera import CameraReader
from streams.camera_settings import CameraSettings
from streams.camera_source import Source
from streams.hub import Hub
from streams.layout import open_root
from streams.recorder import Recorder, RecorderSettings


def main(url: str, folder: Path) -> None:
    configure()
    root = open_root(folder, time.time_ns() // 1_000_000)
    hub = Hub()
    recorder = Recorder(folder, root, RecorderSettings(segment_s=2.0, sync_s=0.5))
    recorder.start()
    recorder.add(1, "c-0001", "main", hub)
    CameraReader("c-0001/main", Source(url), hub, CameraSettings()).start()
    while not recorder.stats.fragments:
        time.sleep(0.02)
    print("recording", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
