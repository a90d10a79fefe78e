"""A media root with segment files in our layout and their rows, as a recorder leaves them. Pictures are made up."""

import fcntl
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from core.ids import ulid
from core.media import Packet, TrackFormats, VideoFormat
from store import media_roots
from store.footage import CLOSED, Changes, ClockRow, InitRow, RunRow, SegmentRow, record
from store.pool import Store
from streams.layout import SegmentName, day_of_us, open_root
from streams.mp4.codecs import codecs
from streams.mp4.fragment import fragment
from streams.mp4.index import SegmentIndex
from streams.mp4.init import init_section

FORMATS = TrackFormats(VideoFormat("h264", 640, 360, bytes.fromhex("0164001effe100046764001e01000168")))
INIT = init_section(FORMATS)
INIT_ROW = InitRow(sha256(INIT).digest(), codecs(FORMATS), 640, 360, INIT)
FIRST_PTS = 1_000_000_000
"""Media time of a run's first picture: cameras count from anywhere."""
SECONDS = 4
RATE = 5


@dataclass(frozen=True)
class Written:
    """One segment: its file (absolute) and its row."""

    path: Path
    row: SegmentRow


def segment_bytes(n: int, seconds: int = SECONDS) -> tuple[bytes, SegmentIndex]:
    """The n-th segment of a run: a fragment a second, the first picture of each a key."""
    data, index = INIT, SegmentIndex(len(INIT))
    step = 90_000 // RATE
    for second in range(seconds):
        base = (n * SECONDS + second) * 90_000
        packets = []
        for k in range(RATE):
            payload = os.urandom(200 + 40 * k)
            unit = len(payload).to_bytes(4, "big") + payload
            at = FIRST_PTS + base + k * step
            packets.append(Packet(0, at, at, step, k == 0, unit, 0, 0.0, 1, FORMATS))
        made = fragment(second + 1, base, 0, packets, [step] * RATE)
        index.add(made)
        data += made.data
    return data, index


class Root:
    """A media root on disk, with cameras c0, c1, …"""

    def __init__(self, store: Store, folder: Path, root: str, cameras: list[int]) -> None:
        self.store, self.folder, self.id, self.cameras = store, folder, root, cameras

    @classmethod
    async def make(cls, store: Store, folder: Path, cameras: int = 1) -> "Root":
        root = open_root(folder, 0)
        async with store.transaction() as connection:
            await media_roots.register(connection, root, "here", str(folder))
            found = await connection.execute(
                "INSERT INTO devices (id, kind) SELECT 'c' || n, 'camera' FROM generate_series(0, %s) AS n "
                "RETURNING key",
                (cameras - 1,),
            )
            return cls(store, folder, root, [row[0] for row in await found.fetchall()])

    def run(self, began_us: int, camera: int = 0, stream: int = 0) -> RunRow:
        """A run of the n-th camera."""
        key = self.cameras[camera]
        return RunRow(ulid(began_us // 1000, f"{key}/{stream}"), key, stream, self.id, 1, began_us, "start")

    def segment(self, run: RunRow, n: int, state: int = CLOSED, **changes: Any) -> Written:
        """Writes the file and makes its row."""
        data, index = segment_bytes(n)
        start_us = run.began_us + n * SECONDS * 1_000_000
        end_us = start_us + SECONDS * 1_000_000
        fields: dict[str, Any] = {
            "run": run.id,
            "n": n,
            "camera": run.camera,
            "stream": run.stream,
            "root": self.id,
            "day": day_of_us(start_us),
            "state": state,
            "init_digest": INIT_ROW.digest,
            "start_pts": FIRST_PTS + n * SECONDS * 90_000,
            "end_pts": FIRST_PTS + (n + 1) * SECONDS * 90_000,
            "start_us": start_us,
            "end_us": end_us,
            "durable_until_us": end_us,
            "size": len(data),
            "samples": index.samples,
            "sample_index": index.encode(),
        }
        row = SegmentRow(**(fields | changes))
        camera = f"c{self.cameras.index(run.camera)}"
        path = self.folder / SegmentName(camera, run.stream, row.day, run.id, n).path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return Written(path, row)

    async def store_rows(self, runs: list[RunRow], written: list[Written]) -> None:
        """What the recorder would have recorded."""
        clocks = [ClockRow(run.id, "map", FIRST_PTS, run.began_us) for run in runs]
        async with self.store.transaction() as connection:
            changes = Changes(runs, clocks, [INIT_ROW], [each.row for each in written])
            await record(connection, changes, holder="", epochs={}, retry=True)

    def files(self) -> list[str]:
        """All segment files, relative."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*.mp4"))


class Writing:
    """Holds a file as a living recorder does."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
