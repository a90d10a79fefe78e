"""live: cameras seen in a browser at once, by WebRTC (WHEP) or by WebSocket and Media Source Extensions; snapshots.

In: packets of `streams.hub` and what browsers send. Out: RTP over DTLS-SRTP, fragmented MP4, JPEG. `Live` is everything
of one worker, without HTTP, which is the media port's. A picture is taken from the hub once for all viewers
(`feed`), never decoded unless a browser could not play it (`transcode`), and each viewer costs encryption and sending.
"""

from streams.live.live import Live
from streams.live.mse import MseSession
from streams.live.snapshot import Snapshot
from streams.live.source import Cameras, NoPicture, NotPlayable, TooManyViewers
from streams.live.stats import LiveStats
from streams.live.whep import Answer
from streams.live_settings import LiveSettings

__all__ = [
    "Answer",
    "Cameras",
    "Live",
    "LiveSettings",
    "LiveStats",
    "MseSession",
    "NoPicture",
    "NotPlayable",
    "Snapshot",
    "TooManyViewers",
]
