"""From a camera that really speaks RTSP through the recorder to a clip: nothing of what was recorded is missing."""

import asyncio
import json
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest

from core.media import STREAMS
from store.footage import record
from store.pool import Store
from streams.camera import CameraReader
from streams.camera_settings import CameraSettings
from streams.camera_source import Source
from streams.cleaner_settings import CleanerSettings
from streams.clips import Clips
from streams.clips.places import segment_path
from streams.hub import Hub
from streams.recorder import Recorder, RecorderSettings
from tests.streams.clips.playing import packet_times, whole
from tests.support.footage import ROOT, add_camera
from tests.support.rtsp import Street, wait_for

SETTINGS = RecorderSettings(segment_s=2.0, sync_s=0.3, row_s=0.5, retry_s=0.3)
ANY_DISK = CleanerSettings(headroom_bytes=0, headroom_share=0)


def count(path: Path) -> int:
    """Decoded pictures that are shown."""
    done = subprocess.run(
        ["ffprobe", "-v", "warning", "-of", "json", "-select_streams", "v", "-show_entries", "frame=pts_time", path],
        capture_output=True, timeout=30, check=True,
    )  # fmt: skip
    assert done.stderr == b"", done.stderr
    times = [float(frame["pts_time"]) for frame in json.loads(done.stdout)["frames"]]
    assert times == sorted(times)
    return len(times)


async def store_all(recorder: Recorder, store: Store) -> None:
    async with store.transaction() as connection:
        await record(connection, recorder.take().changes, holder="test", epochs={}, retry=True)


async def exported(clips: Clips, camera: int, span: tuple[int, int], file: Path) -> int:
    answer = await clips.respond_clip(camera, "main", *span, "GET", {})
    await asyncio.to_thread(file.write_bytes, await whole(answer.body))
    times = await asyncio.to_thread(packet_times, file)
    assert all(before[0] < after[0] for before, after in pairwise(times))
    return await asyncio.to_thread(count, file)


@pytest.mark.parametrize("name", ["b", "h265"])
async def test_what_a_camera_sent(street: Street, store: Store, tmp_path: Path, name: str) -> None:
    camera, hub, began_us = await add_camera(store), Hub(), time.time_ns() // 1000
    recorder = Recorder(tmp_path, ROOT, SETTINGS, ANY_DISK)
    reader = CameraReader("c", Source(street.url(name)), hub, CameraSettings(stall_s=5))
    clips = Clips(store, lambda _: tmp_path)
    recorder.start()
    recorder.add(camera, "c-0001", STREAMS[0], hub)
    reader.start()
    try:
        await asyncio.to_thread(wait_for, lambda: recorder.stats.files >= 2, 20, "a second file")
        await store_all(recorder, store)
        span = (began_us - 60_000_000, time.time_ns() // 1000 + 60_000_000)
        growing = await exported(clips, camera, span, tmp_path / "growing.mp4")
        assert growing > 0
        picture = await clips.snapshot(camera, "main", time.time_ns() // 1000)
        assert picture.jpeg[:2] == b"\xff\xd8"
    finally:
        await asyncio.to_thread(reader.stop)
        await asyncio.to_thread(recorder.stop)
    await store_all(recorder, store)
    finished = (span[0], span[1] + 1)  # another span, so that nothing kept is given
    assert await exported(clips, camera, finished, tmp_path / "finished.mp4") == reader.stats.packets > growing
    text = await clips.playlist(camera, "main", *finished, lambda one: str(segment_path(tmp_path, one)))
    await asyncio.to_thread((tmp_path / "list.m3u8").write_text, f"{text}#EXT-X-ENDLIST\n")
    assert await asyncio.to_thread(count, tmp_path / "list.m3u8") == reader.stats.packets
    main, _ = await clips.recordings(camera, *finished)
    assert len(main.spans) == 1
    clips.close()
