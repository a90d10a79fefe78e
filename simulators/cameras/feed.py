"""One track of one camera: which unit is due when, with which time stamp, and who receives it.

The camera's time goes on whether somebody watches or not; a unit leaves once for all receivers. All variants of a loop
(picture faults, another resolution) have the same instants, so a change between them, made at a key frame, moves no
time stamp.
"""

import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from simulators.cameras.garbage import spoiled_packets
from simulators.cameras.loop import Loop, Unit

if TYPE_CHECKING:
    from simulators.cameras.connection import Connection

PLAIN = "plain"
REPORT_S = 5.0
"""Seconds between RTCP sender reports."""
NTP_EPOCH_S = 2_208_988_800
MOST_WAITING = 4 << 20
"""Bytes that may wait for a slow client; then whole units are left out until the next key frame."""
_WRAP = 0xFFFFFFFF
_REPORT = struct.Struct(">BBHBBHIIIIII")
_NAME = struct.Struct(">BBHI12s")


@dataclass(slots=True)
class Conditions:
    """What is wrong with a camera just now. clock_offset_s: its clock minus ours. share: of the rate that a slow line
    lets through."""

    stalled: bool = False
    mute: bool = False
    refusing: bool = False
    garbage: Random | None = None
    clock_offset_s: float = 0.0
    share: float | None = None


@dataclass(eq=False, slots=True)
class Player:
    """One receiver of a feed. leader: the one of the video, which the sound does not precede.

    frames: units handed to its connection; dropped: left out because it reads too slowly.
    """

    connection: "Connection"
    feed: "Feed"
    channel: int
    control_channel: int
    sequence: int
    ssrc: int
    leader: "Player | None" = None
    frames: int = 0
    first_timestamp: int | None = None
    last_timestamp: int | None = None
    packets: int = 0
    octets: int = 0
    dropped: int = 0
    waits_for_key: bool = True
    next_report_s: float = 0.0
    began_ms: int = 0
    late: deque[tuple[Unit, int]] = field(default_factory=deque)
    late_bytes: int = 0
    allowance: float = 0.0

    def send(self, unit: Unit, timestamp: int, now_s: float) -> None:
        """One unit, and a sender report where one is due."""
        if self.waits_for_key:
            if not unit.is_key or (self.leader is not None and self.leader.waits_for_key):
                return
            self.waits_for_key = False
        if self.connection.waiting() + self.late_bytes >= MOST_WAITING:
            self.dropped += 1
            self.waits_for_key = True
            return
        if self.feed.conditions.share is None and not self.late:
            self._write(unit, timestamp, now_s)
        else:
            self.late.append((unit, timestamp))
            self.late_bytes += len(unit.packets.template)
            self._write_late(now_s)

    def _write_late(self, now_s: float) -> None:
        """On a slow line a share of the mean rate goes out, the rest waits; once the line is well, all of it goes."""
        share = self.feed.conditions.share
        self.allowance = float("inf") if share is None else self.allowance + share * self.feed.loop.mean_bytes
        while self.late and self.allowance >= len(self.late[0][0].packets.template):
            unit, timestamp = self.late.popleft()
            self.late_bytes -= len(unit.packets.template)
            self.allowance -= len(unit.packets.template)
            self._write(unit, timestamp, now_s)
        if not self.late:
            self.allowance = 0.0

    def _write(self, unit: Unit, timestamp: int, now_s: float) -> None:
        packets = unit.packets
        if now_s >= self.next_report_s:
            self.next_report_s = now_s + REPORT_S
            self.connection.write(self._report(now_s))
        data = packets.addressed(self.channel, self.sequence, timestamp, self.ssrc)
        garbage = self.feed.conditions.garbage
        self.connection.write(data if garbage is None else spoiled_packets(data, packets.offsets, garbage))
        count = len(packets.offsets)
        self.sequence = (self.sequence + count) & 0xFFFF
        self.packets += count
        self.octets += packets.octets
        self.frames += 1
        if self.first_timestamp is None:
            self.first_timestamp = timestamp
        self.last_timestamp = timestamp

    def _report(self, now_s: float) -> bytes:
        """RFC 3550 6.4.1 and 6.5.1: sender report, then the canonical name."""
        ntp_s = time.time() + self.feed.conditions.clock_offset_s + NTP_EPOCH_S
        seconds, part = int(ntp_s) & _WRAP, int(ntp_s % 1 * 2**32)
        rtp = self.feed.timestamp_at(now_s)
        report = _REPORT.pack(
            *(0x24, self.control_channel, 48, 0x80, 200, 6, self.ssrc),
            *(seconds, part, rtp, self.packets & _WRAP, self.octets & _WRAP),
        )
        return report + _NAME.pack(0x81, 202, 4, self.ssrc, b"\x01\x06wangge")


@dataclass(eq=False, slots=True)
class Feed:
    """loops: by name of the variant, all of the same instants. start_s: monotonic time of the first loop's beginning.

    base: time stamp then. jumped: ticks added since.
    """

    loops: dict[str, Loop]
    start_s: float
    base: int
    conditions: Conditions
    wanted: str = PLAIN
    jumped: int = 0
    players: list[Player] = field(default_factory=list)
    position: int = 0
    loop: Loop = field(init=False)
    wake: Callable[["Feed"], None] = lambda feed: None

    def __post_init__(self) -> None:
        self.loop = self.loops[PLAIN]

    def ticks(self, now_s: float) -> int:
        """The track's time, in its clock's ticks since start_s."""
        return round((now_s - self.start_s) * self.loop.clock_hz)

    def timestamp_at(self, now_s: float) -> int:
        """RTP time stamp of this instant."""
        return (self.base + self.jumped + self.ticks(now_s)) & _WRAP

    def timestamp_of(self, position: int) -> int:
        """RTP time stamp of a unit."""
        cycle, index = divmod(position, len(self.loop.units))
        ticks = cycle * self.loop.duration + self.loop.units[index].pts
        return (self.base + self.jumped + ticks) & _WRAP

    def due_s(self) -> float:
        """When the next unit leaves, monotonic."""
        cycle, index = divmod(self.position, len(self.loop.units))
        return self.start_s + (cycle * self.loop.duration + self.loop.sends[index]) / self.loop.clock_hz

    def next_key_s(self, now_s: float) -> float:
        """The instant (monotonic) shown by the key frame that a receiver gets first who comes now."""
        position = self.position if self.players else self.loop.position(self.ticks(now_s))
        cycle, index = divmod(self.loop.key_at(position), len(self.loop.units))
        return self.start_s + (cycle * self.loop.duration + self.loop.units[index].pts) / self.loop.clock_hz

    def join(self, player: Player, now_s: float) -> None:
        """Takes a receiver in, from the next key frame on."""
        if not self.players:
            self.position = self.loop.position(self.ticks(now_s))
        self.players.append(player)
        self.wake(self)

    def leave(self, player: Player) -> None:
        """Lets a receiver go."""
        if player in self.players:
            self.players.remove(player)

    def step(self, now_s: float) -> float | None:
        """Sends what is due; returns when the next unit is, None while nobody receives."""
        while self.players:
            due = self.due_s()
            if due > now_s:
                return due
            unit = self.loop.units[self.position % len(self.loop.units)]
            if unit.is_key and self.loop is not self.loops[self.wanted]:
                self.loop = self.loops[self.wanted]
                unit = self.loop.units[self.position % len(self.loop.units)]
            self._send(unit, now_s)
            self.position += 1
        return None

    def _send(self, unit: Unit, now_s: float) -> None:
        if self.conditions.stalled or self.conditions.mute:
            for player in self.players:
                player.waits_for_key = True
            return
        timestamp = self.timestamp_of(self.position)
        for player in tuple(self.players):
            player.send(unit, timestamp, now_s)
