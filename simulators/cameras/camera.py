"""One simulated camera: its two streams, what is wrong with it, and what it says of itself in SDP."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from simulators.cameras.feed import PLAIN, Conditions, Feed
from simulators.cameras.loop import Loop

if TYPE_CHECKING:
    from simulators.cameras.connection import Connection


@dataclass(eq=False, slots=True)
class Camera:
    """streams: feeds of `main` and `sub`, video first. connections: those that have named this camera."""

    id: str
    streams: dict[str, list[Feed]]
    conditions: Conditions
    connections: set["Connection"] = field(default_factory=set)

    @property
    def feeds(self) -> list[Feed]:
        """Of both streams."""
        return [feed for feeds in self.streams.values() for feed in feeds]

    def cut(self) -> None:
        """Breaks every connection off (TCP reset)."""
        for connection in tuple(self.connections):
            connection.abort()

    def show(self, variant: str) -> None:
        """The variant that the video shows from each stream's next key frame on."""
        for feed in self.feeds:
            feed.wanted = variant if variant in feed.loops else PLAIN

    def jump(self, seconds: float) -> None:
        """Adds to all time stamps from now on."""
        for feed in self.feeds:
            feed.jumped += round(seconds * feed.loop.clock_hz)


def camera(identity: str, main: Sequence[Loop], sub: Sequence[Loop], seed: int) -> Camera:
    """A camera that plays these tracks (video first). Phase of its loop and first time stamps come from the seed."""
    random = Random(f"{seed} {identity}")
    conditions = Conditions()
    longest_s = max(main[0].duration / main[0].clock_hz, 1.0)
    start_s = time.monotonic() - random.uniform(0, longest_s)
    streams = {
        name: [Feed({PLAIN: loop}, start_s, random.getrandbits(32), conditions) for loop in loops]
        for name, loops in (("main", main), ("sub", sub))
        if loops
    }
    return Camera(identity, streams, conditions)


def description(feeds: Sequence[Feed], host: str) -> str:
    """SDP (RFC 4566) of a stream."""
    lines = ["v=0", f"o=- 1 1 IN IP4 {host}", "s=Simulated camera", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"]
    lines.append("a=range:npt=now-")
    for number, feed in enumerate(feeds):
        loop = feed.loops[feed.wanted]
        medium = "video" if number == 0 else "audio"
        lines += [f"m={medium} 0 RTP/AVP {loop.payload_type}", *loop.format_lines]
        if loop.width:
            lines.append(f"a=x-dimensions:{loop.width},{loop.height}")
        lines.append(f"a=control:trackID={number}")
    return "\r\n".join([*lines, ""])
