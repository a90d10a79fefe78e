"""Footage as the recorder leaves it, made of packets: segment files in a media root, and their rows through the store.

For tests of what reads footage; the recorder itself is tested with a camera.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from core.ids import ulid
from core.media import VIDEO, Packet
from store.footage import CLOSED, OPEN, Changes, ClockRow, InitRow, RunRow, SegmentRow, record
from store.pool import Store
from streams.layout import SegmentName, day_of_us
from streams.mp4 import SegmentIndex, codecs, fragment, init_section

ROOT = "01JDTESTROOT00000000000000"
FRAGMENT_TICKS = 90_000


@dataclass
class Made:
    """One segment: its row, and the packets that went into it, in decoding order."""

    row: SegmentRow
    path: Path
    packets: list[Packet] = field(default_factory=list)


async def add_camera(store: Store, camera_id: str = "c-0001") -> int:
    """Registers a camera and the media root; returns the camera's key."""
    async with store.connection() as connection:
        await connection.execute(
            "INSERT INTO media_roots (id, host, path) VALUES (%s, 'here', '/nowhere') ON CONFLICT DO NOTHING", (ROOT,)
        )
        found = await connection.execute(
            "INSERT INTO devices (id, kind) VALUES (%s, 'camera') RETURNING key", (camera_id,)
        )
        row = await found.fetchone()
    assert row is not None
    return int(row[0])


@dataclass
class FootageMaker:
    """Records packets of one camera to `folder`."""

    store: Store
    folder: Path
    camera: int
    camera_id: str = "c-0001"
    stream: int = 0
    segment_ticks: int = 4 * 90_000
    _runs: int = 0

    async def record(
        self,
        packets: Sequence[Packet],
        start_us: int,
        *,
        epoch: int = 1,
        reason: str = "start",
        is_open: bool = False,
        clock: Sequence[tuple[int, int]] | None = None,
    ) -> list[Made]:
        """One run. start_us: UTC of the first picture; clock: points of the map, when it is not true time from there.

        Segments are cut at key pictures after `segment_ticks`, and where the formats change.
        """
        self._runs += 1
        run = ulid(start_us // 1000, f"{self._runs:032x}")
        first = packets[0]
        points = list(clock or [(first.pts_90k, start_us)])
        made, changes = [], []
        durations = durations_of(packets)
        for n, part in enumerate(_segments(packets, self.segment_ticks)):
            is_last = part[-1] is packets[-1]
            one = self._write(run, n, part, durations, packets, points)
            if is_open and is_last:
                one.row = _with_state(one.row, OPEN)
            made.append(one)
            changes.append(one.row)
        sections = {row.init_digest: one for one in made for row in [one.row]}
        await self._store_rows(
            Changes(
                runs=[RunRow(run, self.camera, self.stream, ROOT, epoch, start_us, reason)],
                clocks=[ClockRow(run, "map", pts, at) for pts, at in points],
                inits=[_init_row(digest, one.packets[0]) for digest, one in sections.items()],
                segments=changes,
            )
        )
        return made

    async def _store_rows(self, changes: Changes) -> None:
        async with self.store.transaction() as connection:
            await record(connection, changes, holder="test", epochs={}, retry=True)

    def _write(
        self,
        run: str,
        n: int,
        part: list[Packet],
        durations: dict[int, int],
        packets: Sequence[Packet],
        points: Sequence[tuple[int, int]],
    ) -> Made:
        init = init_section(part[0].formats)
        index, data = SegmentIndex(len(init)), [init]
        zero = packets[0].dts_90k
        for sequence, pieces in enumerate(_fragments(part), 1):
            bases = [next((packet.dts_90k - zero for packet in pieces if packet.track == track), 0) for track in (0, 1)]
            one = fragment(sequence, bases[0], max(0, bases[1]), pieces, [durations[id(packet)] for packet in pieces])
            index.add(one)
            data.append(one.data)
        video = [packet for packet in part if packet.track == VIDEO]
        start_pts = video[0].pts_90k
        end_pts = max(packet.pts_90k + durations[id(packet)] for packet in video)
        start_us, end_us = _utc(points, start_pts), _utc(points, end_pts)
        day = day_of_us(start_us)
        path = self.folder / SegmentName(self.camera_id, self.stream, day, run, n).path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(data))
        row = SegmentRow(
            run, n, self.camera, self.stream, ROOT, day, CLOSED, hashlib.sha256(init).digest(), start_pts, end_pts,
            start_us, end_us, end_us, index.bytes, index.samples, index.encode(),
        )  # fmt: skip
        return Made(row, path, part)


def durations_of(packets: Sequence[Packet]) -> dict[int, int]:
    """Duration of every packet by its id(): to the next of its track; the last as long as the one before."""
    found: dict[int, int] = {}
    for track in (0, 1):
        own = [packet for packet in packets if packet.track == track]
        for packet, after in pairwise(own):
            found[id(packet)] = after.dts_90k - packet.dts_90k
        if own:
            found[id(own[-1])] = found[id(own[-2])] if len(own) > 1 else 6000
    return found


def _segments(packets: Iterable[Packet], ticks: int) -> list[list[Packet]]:
    found: list[list[Packet]] = []
    for packet in packets:
        if not found or (
            packet.track == VIDEO
            and packet.is_key
            and (packet.dts_90k - found[-1][0].dts_90k >= ticks or packet.formats is not found[-1][0].formats)
        ):
            found.append([])
        found[-1].append(packet)
    return found


def _fragments(packets: Iterable[Packet]) -> list[list[Packet]]:
    found: list[list[Packet]] = []
    for packet in packets:
        if not found or (
            packet.track == VIDEO and (packet.is_key or packet.dts_90k - found[-1][0].dts_90k >= FRAGMENT_TICKS)
        ):
            found.append([])
        found[-1].append(packet)
    return found


def _utc(points: Sequence[tuple[int, int]], pts: int) -> int:
    """By the nearest point before, true time; good enough for a row."""
    first = max((point for point in points if point[0] <= pts), default=points[0])
    return first[1] + (pts - first[0]) * 100 // 9


def _init_row(digest: bytes, packet: Packet) -> InitRow:
    video = packet.formats.video
    return InitRow(digest, codecs(packet.formats), video.width, video.height, init_section(packet.formats))


def _with_state(row: SegmentRow, state: int) -> SegmentRow:
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    return SegmentRow(**fields | {"state": state})
