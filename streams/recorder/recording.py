"""The recording of one stream: packets from its ring into runs, files and rows. Belongs to the writer's thread.

A run ends where the camera's clock or ours does not go on (a new session, a step, a drift), where packets were dropped,
and where the disk failed; the next one begins with the key frame that is there, so that no other picture is lost.
"""

import time
from pathlib import Path

from core.camera import CameraFact, KindCode
from core.media import TICKS_PER_S, VIDEO, Packet, StreamName
from streams.hub import Hub
from streams.mp4 import Fragment, init_section
from streams.recorder.gaps import GapReason, gap_fact, reason_of_run
from streams.recorder.outbox import Outbox, Start
from streams.recorder.run import Run
from streams.recorder.segment import Segment
from streams.recorder.stats import RecorderStats
from streams.recorder.syncer import Syncer
from streams.recorder_settings import RecorderSettings

_SETTLES_S = 5.0
"""A gap is noted so long after it ended: a camera that bursts on connecting moves the beginning of its run back."""
_CLOCK_FACT_S = 300.0
_IDLE_S = 20.0
"""A run whose camera is gone is over after so long without a picture."""
_PATIENCE_S = 0.3
"""A last picture that waits longer than this beyond `fragment_s` for its successor is written without."""


class Recording:
    """Made by `Recorder.add`. step, pause and finish raise OSError when the disk fails."""

    def __init__(
        self,
        camera: int,
        camera_id: str,
        stream: StreamName,
        hub: Hub,
        place: tuple[Path, str],
        settings: RecorderSettings,
        outbox: Outbox,
        syncer: Syncer,
        stats: RecorderStats,
    ) -> None:
        """camera: registry key; camera_id: its name in paths. place: folder and id of the media root."""
        self.camera, self.camera_id, self.stream, self.hub = camera, camera_id, stream, hub
        (self._folder, self._root), self._settings = place, settings
        self._outbox, self._syncer, self._stats = outbox, syncer, stats
        self.reader = hub.reader("recorder", settings.ring_packets, settings.ring_bytes)
        self._dropped = 0
        self._added_us: int | None = time.time_ns() // 1000
        self._run: Run | None = None
        self._why = "start"
        self._last: tuple[int, float] | None = None
        self._gap: tuple[int, GapReason] | None = None
        self._last_picture: Packet | None = None
        self._clock_fact_s = 0.0
        self._hole = round(settings.gap_s * TICKS_PER_S)
        self._segment_ticks = round(settings.segment_s * TICKS_PER_S)
        self.gaps = 0
        """Since the start."""
        self.is_asked = False
        """Somebody wants to see what is there now: its rows are said at the next step, however young."""
        self.closing: dict[int, Run] = {}
        """Runs of files that are closed but not yet safe, by id() of the file."""

    def step(self, now_s: float) -> None:
        """Takes what the ring holds and writes what is due. now_s: monotonic."""
        packets = self.reader.take()
        if self.reader.dropped != self._dropped:
            self._stats.dropped += self.reader.dropped - self._dropped
            self._dropped = self.reader.dropped
            self._end("overload")
        for packet in packets:
            self._take(packet)
        run = self._run
        if run is None:
            return
        if self._last_picture is not None and now_s - self._last_picture.arrived_s > _IDLE_S and not self.hub.formats:
            self._end("reconnect")  # a camera that is away leaves no file open; one that is only slow goes on
            return
        asked, self.is_asked = self.is_asked, False
        oldest_s = run.gatherer.oldest_s()
        if oldest_s is not None and (asked or now_s - oldest_s >= self._settings.fragment_s):
            is_late = now_s - oldest_s >= self._settings.fragment_s + _PATIENCE_S
            self._write(run, run.gatherer.cut(None, hold_last=not is_late))
        if run.segment is not None and (asked or now_s >= run.segment.row_due_s):
            run.segment.row_due_s = now_s + self._settings.row_s
            run.say_progress(run.segment, self._outbox)
        if self._gap is not None and now_s - run.began_s >= _SETTLES_S:
            self._note_gap(run)

    def pause(self, why: str) -> None:
        """Ends the run where the disk has it; what is pending is lost. The next run has that reason."""
        run, self._run = self._run, None
        self._why = why
        if run is not None:
            self._stats.lost += len(run.gatherer.pending)
            self._leave(run)

    def finish(self) -> None:
        """Writes what is there and ends. The ring is closed."""
        for packet in self.reader.take():
            self._take(packet)
        self.reader.close()
        self._end("start")

    def closed(self, segment: Segment) -> bool:
        """The file is safe now: its last row. False: it is not one of ours."""
        run = self.closing.pop(id(segment), None)
        if run is not None:
            run.say_closed(segment, self._outbox)
        return run is not None

    def _take(self, packet: Packet) -> None:
        run = self._run
        if packet.track != VIDEO:
            if run is not None and packet.session == run.session:
                run.gatherer.add(packet)
            return
        if run is not None and packet.session != run.session:
            self._end(self.hub.why(packet.session))
            run = None
        if run is not None:
            self._mind_hole(run, packet)
        if packet.is_key:
            run = self._key(run, packet)
        elif run is None:
            self._stats.skipped += 1
            return
        run.gatherer.add(packet)
        self._last_picture = packet
        ending = run.clock.observe(packet.pts_90k, packet.arrived_us, packet.arrived_s)
        if ending is not None:
            self._why = ending

    def _key(self, run: Run | None, packet: Packet) -> Run:
        """A key frame: what is pending is written, and a new run or file begins where it is time."""
        if run is not None:
            self._write(run, run.gatherer.cut(packet))
            if packet.sender_utc_us is not None and run.note_sender(packet, self._outbox):
                self._note_clock(run, packet)
            if self._why:
                self._end(self._why)
                run = None
        if run is None:
            run = self._begin(packet)
        elif run.segment is not None:
            length = packet.pts_90k - run.segment.start_pts
            if length >= self._segment_ticks or packet.formats is not run.segment.formats:
                self._close_file(run)
        return run

    def _begin(self, packet: Packet) -> Run:
        run = Run(self.camera, self.camera_id, self.stream, self._root, packet, self._why, self._hole)
        if self._last is not None:
            end_us, end_s = self._last
            if packet.arrived_s - end_s > self._settings.gap_s:
                self._gap = (end_us, reason_of_run(self._why))
        self._stats.runs += 1
        self._why = ""
        self._run = run
        return run

    def _end(self, why: str) -> None:
        """Ends the run, if there is one: everything pending is written. why: reason of the next one."""
        run = self._run
        if run is None:
            return
        self._why = why
        self._write(run, run.gatherer.cut(None))
        self._run = None
        self._leave(run)

    def _leave(self, run: Run) -> None:
        self._close_file(run)
        if self._gap is not None and run.files:
            self._note_gap(run)
        if run.files and self._last_picture is not None:
            self._last = (run.clock.utc_us(run.end_pts), self._last_picture.arrived_s)

    def _write(self, run: Run, made: Fragment | None) -> None:
        """Appends a fragment, to a new file where none is open."""
        if made is None:
            return
        segment, end_pts = run.segment, run.gatherer.end_pts
        if segment is not None:
            segment.append(made, end_pts)
        else:
            segment = self._open_file(run, made, end_pts)
        run.end_pts = end_pts
        self._stats.fragments += 1
        self._stats.bytes += len(made.data)

    def _open_file(self, run: Run, made: Fragment, end_pts: int) -> Segment:
        first = run.gatherer.opened
        assert first is not None
        init = init_section(first.formats)
        span = (first.pts_90k, end_pts)
        segment = Segment(self._folder, run.name(first.pts_90k), first.formats, init, made, span)
        run.segment = segment
        run.files += 1
        segment.row_due_s = time.monotonic() + self._settings.row_s
        self._syncer.watch(segment)
        start = None
        if self._added_us is not None:
            began_us = run.clock.utc_us(run.first_pts)
            start = Start(run.id, self.camera, int(self.stream == "sub"), self._added_us, began_us)
            self._added_us = None
        run.say_file(segment, self._outbox, start)
        self._stats.files += 1
        return segment

    def _close_file(self, run: Run) -> None:
        segment, run.segment = run.segment, None
        run.gatherer.new_file()
        if segment is not None:
            self.closing[id(segment)] = run
            segment.is_closing = True

    def _mind_hole(self, run: Run, packet: Packet) -> None:
        """Pictures that the camera left out in the midst of a session, for longer than `gap_s`."""
        last = self._last_picture
        if last is None or last.session != packet.session or packet.dts_90k - last.dts_90k <= self._hole:
            return
        if packet.arrived_s - last.arrived_s <= self._settings.gap_s / 2:
            return
        self._write(run, run.gatherer.cut(None))
        from_us, to_us = run.clock.utc_us(run.gatherer.end_pts), run.clock.utc_us(packet.pts_90k)
        self._say_gap(from_us, to_us, "signal")

    def _note_gap(self, run: Run) -> None:
        assert self._gap is not None
        (from_us, reason), self._gap = self._gap, None
        to_us = run.clock.utc_us(run.first_pts)
        if to_us - from_us > self._settings.gap_s * 1e6:
            self._say_gap(from_us, to_us, reason)

    def _say_gap(self, from_us: int, to_us: int, reason: GapReason) -> None:
        self._stats.gaps += 1
        self.gaps += 1
        self._outbox.fact(gap_fact(self.camera, self.stream, from_us, to_us, reason))

    def _note_clock(self, run: Run, packet: Packet) -> None:
        """How far the camera's clock is from ours; once the map has settled, the main stream only."""
        if self.stream != "main" or not run.clock.is_settled or packet.arrived_s < self._clock_fact_s:
            return
        self._clock_fact_s = packet.arrived_s + _CLOCK_FACT_S
        assert packet.sender_utc_us is not None
        ours_us = run.clock.utc_us(packet.pts_90k)
        offset_s = round((packet.sender_utc_us - ours_us) / 1e6, 3)
        figures: dict[str, object] = {"offset_s": offset_s, "source": "rtcp"}
        self._outbox.fact(CameraFact(packet.arrived_us, KindCode.CLOCK, self.camera, figures=figures))
