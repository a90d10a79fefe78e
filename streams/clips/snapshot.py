"""A picture of an instant: the key picture before it, decoded forward to the last one at or before the instant.

Decoding costs up to a GOP (10 s of it at worst), so it happens in a thread; how many at once is the caller's to bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from core.errors import DecodeError, NotFound
from store.footage import InitRow
from streams.clips.clock_map import ClockMap
from streams.clips.places import FolderOf, FootageGone, segment_path
from streams.clips.rows import FootageRows
from streams.clips.select import clock_of
from streams.clips.virtual import FileRange
from streams.mp4.boxes import VIDEO_TRACK, Box, header
from streams.mp4.index import TrackSamples, decode
from streams.mp4.init import sample_entries

JPEG_QUALITY = 85
WIDTHS = (16, 7680)
"""Smallest and largest width that may be asked for, pixels."""
_VISUAL_ENTRY_BYTES = 86
"""Of a sample entry before the boxes inside it (ISO/IEC 14496-12, 12.1.3)."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """jpeg: the file. at_us: UTC of the picture, at or before the instant asked for. width, height: pixels."""

    jpeg: bytes
    at_us: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Pictured:
    """Which samples show an instant. samples: ranges in decoding order, the first a key; pts: theirs, ticks since the
    run's first dts; shown: of the wanted picture."""

    samples: tuple[FileRange, ...]
    pts: tuple[int, ...]
    shown: int
    at_us: int


def picture(rows: FootageRows, folder_of: FolderOf, at_us: int, reach_us: int, width: int | None) -> Snapshot:
    """The newest picture of [at_us - reach_us, at_us]; blocking, in a thread. rows: newest first.

    Raises NotFound, FootageGone, DecodeError.
    """
    for segment in rows.segments:
        folder = folder_of(segment.root)
        if folder is None:
            continue
        clock = clock_of(segment, rows.clocks)
        file = FileRange(segment_path(folder, segment), 0, segment.length)
        track = decode(segment.sample_index).video
        found = find_picture(track, file, clock, segment.start_pts, at_us, at_us - reach_us)
        if found is not None:
            return take(found, rows.inits[segment.init_digest], width)
    raise NotFound("There is no picture of this camera at that time.")


def find_picture(
    track: TrackSamples, file: FileRange, clock: ClockMap, start_pts: int, at_us: int, least_us: int
) -> Pictured | None:
    """The newest picture of the segment in [least_us, at_us]; None when it has none."""
    if not len(track):
        return None
    pts = track.dts + track.composition_offsets
    base = start_pts - int(pts[0])
    times = clock.utc_us(pts + base)
    fitting = np.flatnonzero((times <= at_us) & (times >= least_us))
    keys = np.flatnonzero(track.keys)
    if not len(fitting) or not len(keys):
        return None
    shown = int(fitting[np.argmax(times[fitting])])
    before = keys[keys <= shown]
    if not len(before):
        return None
    first = int(before[-1])
    ranges = tuple(
        FileRange(file.path, int(track.offsets[number]), int(track.sizes[number])) for number in range(first, shown + 1)
    )
    return Pictured(ranges, tuple(pts[first : shown + 1].tolist()), int(pts[shown]), int(times[shown]))


def take(pictured: Pictured, init: InitRow, width: int | None) -> Snapshot:
    """Reads, decodes and encodes; blocking, in a thread. width: pixels, height follows; None: as recorded.

    Raises FootageGone when the file is missing or too short, DecodeError when the picture cannot be decoded.
    """
    units = _read(pictured.samples)
    image = _scaled(_decode(_decoder(init), units, pictured), width)
    done, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise DecodeError("The picture could not be written as JPEG.")
    return Snapshot(jpeg.tobytes(), pictured.at_us, image.shape[1], image.shape[0])


def _scaled(image: NDArray[np.uint8], width: int | None) -> NDArray[Any]:
    if width is None or width == image.shape[1]:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return cv2.resize(
        image, (width, height), interpolation=cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_LINEAR
    )


def _read(samples: Sequence[FileRange]) -> list[bytes]:
    try:
        with open(samples[0].path, "rb") as file:
            found = []
            for part in samples:
                file.seek(part.offset)
                found.append(file.read(part.length))
    except OSError as error:
        raise FootageGone(f"{samples[0].path.name} cannot be read: {error.strerror}.") from error
    if any(len(data) != part.length for data, part in zip(found, samples, strict=True)):
        raise FootageGone(f"{samples[0].path.name} is shorter than its row says.")
    return found


def _decoder(init: InitRow) -> VideoCodecContext:
    """A decoder of samples with 4-byte lengths, given the configuration record of the init section."""
    entry = sample_entries(init.init).get(VIDEO_TRACK, b"")
    record: Box = header(entry, _VISUAL_ENTRY_BYTES, len(entry))
    codec = "h264" if entry[4:8] == b"avc1" else "hevc"
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, VideoCodecContext)
    context.extradata = entry[record.body : record.end]
    context.thread_count = 1
    return context


def _decode(context: VideoCodecContext, units: Sequence[bytes], pictured: Pictured) -> NDArray[np.uint8]:
    """The wanted picture as BGR, shape (height, width, 3); the nearest before it where the decoder withholds it."""
    best = None
    try:
        for data, pts in zip(units, pictured.pts, strict=True):
            packet = av.Packet(data)
            packet.pts = packet.dts = pts
            for frame in context.decode(packet):
                best = _later(best, frame, pictured.shown)
        for frame in context.decode(None):
            best = _later(best, frame, pictured.shown)
    except FFmpegError as error:
        raise DecodeError(f"The picture cannot be decoded: {error.strerror}.") from error
    if best is None:
        raise NotFound("No picture came out of the footage at that instant.")
    image: NDArray[np.uint8] = best.to_ndarray(format="bgr24").astype(np.uint8, copy=False)
    return image


def _later(best: av.VideoFrame | None, frame: av.VideoFrame, shown: int) -> av.VideoFrame | None:
    if frame.pts is None or frame.pts > shown:
        return best
    return frame if best is None or best.pts is None or frame.pts >= best.pts else best
