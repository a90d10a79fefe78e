"""Decodes single key frames. A decoder is opened for each: that costs 0.05 ms, keeping one costs 0.8 MB a camera."""

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext

from core.errors import WanggeError
from core.media import VideoFormat
from streams.quality.measures import Bytes, Planes

_CODECS = {"h264": "h264", "h265": "hevc"}
_PLANAR = {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"}


class Undecodable(WanggeError):
    """A key frame from which no picture came: damaged, or its parameter sets are missing."""

    kind = "undecodable"


def decode_key(data: bytes, video: VideoFormat) -> av.VideoFrame:
    """The picture of a key frame (NAL units with 4-byte lengths). Raises Undecodable. Any thread; releases the GIL."""
    context = av.CodecContext.create(_CODECS[video.codec], "r")
    assert isinstance(context, VideoCodecContext)
    context.extradata = video.config
    context.thread_count = 1
    try:
        frames = context.decode(av.Packet(data))
        frames += context.decode(None)
    except (av.FFmpegError, ValueError) as error:
        raise Undecodable(f"A key frame could not be decoded: {error}") from error
    if not frames:
        raise Undecodable("A key frame gave no picture.")
    return frames[-1]


def planes_of(frame: av.VideoFrame) -> Planes:
    """The planes of a frame, without copying where it is planar YUV of 8 bits; they live as long as the frame."""
    if frame.format.name not in _PLANAR:
        frame = frame.reformat(format="gray8" if frame.format.name.startswith("gray") else "yuv420p")
    luma, *chroma = (_plane(plane) for plane in frame.planes)
    return Planes(luma, chroma[0], chroma[1]) if len(chroma) == 2 else Planes(luma)


def _plane(plane: av.video.plane.VideoPlane) -> Bytes:
    values = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]
    return values.reshape(plane.height, plane.line_size)[:, : plane.width]  # type: ignore[no-any-return]
