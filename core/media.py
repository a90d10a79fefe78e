"""Values of footage: what a camera sends, packet by packet, and how its time maps to ours.

Media times are the camera's own, in ticks of 1/90 000 s, unwrapped; they are written to files as they came and never
bent. UTC comes from a clock map beside them (`streams.recorder.clock`).
"""

from dataclasses import dataclass
from typing import Literal

StreamName = Literal["main", "sub"]
STREAMS: tuple[StreamName, ...] = ("main", "sub")
"""In the order of their number in the store (`stream`: 0 main, 1 sub)."""
TICKS_PER_S = 90_000
VIDEO, AUDIO = 0, 1
"""`Packet.track`."""


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """Parameters of a video track. config: AVCDecoderConfigurationRecord or HEVCDecoderConfigurationRecord
    (ISO/IEC 14496-15, 5.3.3 and 8.3.3) without box header. width, height: pixels as coded in the parameter sets."""

    codec: Literal["h264", "h265"]
    width: int
    height: int
    config: bytes


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Parameters of an audio track, always AAC. config: AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1)."""

    rate_hz: int
    channels: int
    config: bytes


@dataclass(frozen=True, slots=True)
class TrackFormats:
    """What a file's initialisation section describes; a change of it makes a new one."""

    video: VideoFormat
    audio: AudioFormat | None = None


@dataclass(frozen=True, slots=True)
class Packet:
    """One access unit of video, or one AAC frame.

    pts_90k, dts_90k: camera's media time (dts never goes back within a session). duration_90k: 0 when unknown.
    data: video as NAL units with 4-byte lengths, parameter sets left in band; audio as raw AAC without ADTS.
    arrived_us: our UTC when it came, epoch microseconds; arrived_s: monotonic clock then.
    session: counts the connections to the camera; packets of two sessions share no clock.
    formats: in force for this packet; the very same object while nothing changes, so `is` tells.
    sender_utc_us: the camera's own UTC for this packet, from RTCP sender reports; None without one.
    """

    track: int
    pts_90k: int
    dts_90k: int
    duration_90k: int
    is_key: bool
    data: bytes
    arrived_us: int
    arrived_s: float
    session: int
    formats: TrackFormats
    sender_utc_us: int | None = None
