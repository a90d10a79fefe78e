"""One run: an unbroken recording of one stream, with its clock, its files and their rows. Writer's thread only."""

import hashlib
import os

from core.ids import ulid
from core.media import STREAMS, Packet, StreamName
from store.footage import CLOSED, OPEN, ClockRow, InitRow, RunRow, SegmentRow
from streams.layout import SegmentName, day_of_us
from streams.mp4 import codecs
from streams.recorder.clock import RunClock
from streams.recorder.fragments import Gatherer
from streams.recorder.outbox import Outbox, Start
from streams.recorder.segment import Segment

_EVIDENCE_TICKS = 60 * 90_000
"""The camera's own statement of time is kept once in so many ticks of its own."""


class Run:
    """Made with its first packet, a key frame. Nothing is said about it before its first file is there."""

    def __init__(
        self, camera: int, camera_id: str, stream: StreamName, root: str, first: Packet, reason: str, hole_ticks: int
    ) -> None:
        self.id = ulid(first.arrived_us // 1000, os.urandom(16).hex())
        self.camera, self.camera_id, self.stream, self.root, self.reason = camera, camera_id, stream, root, reason
        self.session = first.session
        self.first_pts = self.end_pts = first.pts_90k
        """Media time of the first picture, and of the end of what is on disk."""
        self.began_s = first.arrived_s
        self.clock = RunClock(first.pts_90k, first.arrived_us, first.arrived_s)
        self.gatherer = Gatherer(first, hole_ticks)
        self.segment: Segment | None = None
        self.files = 0
        self._evidence_pts = -(1 << 62)

    def name(self, start_pts: int) -> SegmentName:
        """Of the next file."""
        day = day_of_us(self.clock.utc_us(start_pts))
        return SegmentName(self.camera_id, STREAMS.index(self.stream), day, self.id, self.files)

    def row(self) -> RunRow:
        """Its row; the ledger puts the epoch in."""
        return RunRow(
            self.id,
            self.camera,
            STREAMS.index(self.stream),
            self.root,
            0,
            self.clock.utc_us(self.first_pts),
            self.reason,
        )

    def segment_row(self, segment: Segment, state: int) -> SegmentRow:
        """The row of one of its files as it is now."""
        clock, name, index = self.clock, segment.name, segment.index
        start_us = clock.utc_us(segment.start_pts)
        return SegmentRow(
            self.id,
            name.n,
            self.camera,
            name.stream,
            self.root,
            name.day,
            state,
            hashlib.sha256(segment.init_bytes).digest(),
            segment.start_pts,
            segment.end_pts,
            start_us,
            max(start_us, clock.utc_us(segment.end_pts)),
            max(start_us, clock.utc_us(segment.durable_pts)),
            index.bytes,
            index.samples,
            index.encode(),
        )

    def note_sender(self, packet: Packet, outbox: Outbox) -> bool:
        """Keeps the camera's own statement of time, now and then. True: it was kept."""
        if packet.sender_utc_us is None or packet.pts_90k < self._evidence_pts + _EVIDENCE_TICKS:
            return False
        self._evidence_pts = packet.pts_90k
        outbox.clock(ClockRow(self.id, "rtcp", packet.pts_90k, packet.sender_utc_us))
        return True

    def say_file(self, segment: Segment, outbox: Outbox, start: Start | None) -> None:
        """A file is there: its row, with everything that must be there before it."""
        outbox.run(self.row(), start)
        self.say_clock(outbox)
        video = segment.formats.video
        digest = hashlib.sha256(segment.init_bytes).digest()
        init = InitRow(digest, codecs(segment.formats), video.width, video.height, segment.init_bytes)
        outbox.segment(self.segment_row(segment, OPEN), init)

    def say_progress(self, segment: Segment, outbox: Outbox) -> None:
        """The file has grown; the beginning of the run may have moved."""
        if self.first_pts in self.clock.changed:
            outbox.run(self.row(), None)
        self.say_clock(outbox)
        outbox.segment(self.segment_row(segment, OPEN))

    def say_closed(self, segment: Segment, outbox: Outbox) -> None:
        """The file will not change any more."""
        self.say_clock(outbox)
        outbox.segment(self.segment_row(segment, CLOSED))

    def say_clock(self, outbox: Outbox) -> None:
        """Points of the clock map that are new or moved."""
        for pts, utc_us in self.clock.changed.items():
            outbox.clock(ClockRow(self.id, "map", pts, utc_us))
        self.clock.changed.clear()
