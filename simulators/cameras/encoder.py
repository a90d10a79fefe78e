"""Pictures → a loop of H.264 or H.265: key frames exactly where they are wanted, the rate held as in a camera."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from numpy.typing import NDArray

from simulators.cameras import nal
from simulators.cameras.loop import VIDEO_HZ, Encoded, EncodedUnit

Picture = NDArray[np.uint8]
"""BGR, height × width × 3."""
_X265 = "bframes={b}:keyint=100000:scenecut=0:repeat-headers=1:log-level=none:pools=1:frame-threads=1:open-gop=0"
_X264 = "bframes={b}:keyint=100000:scenecut=0:open-gop=0"

_PLAIN_X264 = ":qp=26:weightp=0:no-psy=1:no-deblock=1:ipratio=1"
_PLAIN_X265 = ":qp=28:no-weightp=1:psy-rd=0:no-deblock=1:no-sao=1:ipratio=1"


@dataclass(frozen=True, slots=True)
class Form:
    """How a stream is encoded. kbps: kilobits a second. plainest: nothing that
    could change a picture which is as the one before (filters, weights, finer steps of the quantiser)."""

    width: int
    height: int
    fps: float
    kbps: int
    gop_s: float = 2.0
    codec: nal.Codec = "h264"
    bframes: bool = False
    plainest: bool = False


class LoopEncoder:
    """Takes the pictures of one loop in order of showing. Not thread-safe."""

    def __init__(self, form: Form, duration: int, keys: frozenset[int] | None = None) -> None:
        """duration: of the loop, in ticks of 1/90 000 s. keys: instants of the key frames, instead of form.gop_s."""
        self.form = form
        self.duration = duration
        self._context = _context(form)
        self._next_key = 0
        self._keys = keys
        self._packets: list[av.Packet[av.VideoStream]] = []

    def add(self, picture: Picture, pts: int) -> None:
        """One picture of any size, at pts ticks from the loop's beginning."""
        form = self.form
        if picture.shape[:2] != (form.height, form.width):
            picture = cv2.resize(picture, (form.width, form.height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24").reformat(format="yuv420p")
        self.add_frame(frame, pts)

    def add_frame(self, frame: av.VideoFrame, pts: int) -> None:
        """One picture that is as it has to be; it belongs to the encoder from now on."""
        frame.pts = pts
        frame.time_base = Fraction(1, VIDEO_HZ)
        frame.pict_type = PictureType.NONE
        if self._begins_gop(pts):
            frame.pict_type = PictureType.I
        self._packets += self._context.encode(frame)

    def _begins_gop(self, pts: int) -> bool:
        if self._keys is not None:
            return pts in self._keys
        due = pts >= self._next_key
        if due:
            self._next_key += round(self.form.gop_s * VIDEO_HZ)
        return due

    def finish(self) -> Encoded:
        """The loop; nothing can be added afterwards."""
        form = self.form
        self._packets += self._context.encode(None)
        return Encoded(form.codec, self.duration, self.units(), VIDEO_HZ, form.width, form.height)

    def units(self) -> list[EncodedUnit]:
        """What came out so far."""
        return [_unit(self.form.codec, packet) for packet in self._packets]


def _context(form: Form) -> av.VideoCodecContext:
    context = av.CodecContext.create("libx264" if form.codec == "h264" else "libx265", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = form.width, form.height, "yuv420p"
    context.time_base = Fraction(1, VIDEO_HZ)
    context.framerate = Fraction(form.fps).limit_denominator(1001)
    context.thread_count = 1
    b_frames = 2 if form.bframes else 0
    options = {"preset": "ultrafast" if form.codec == "h265" else "superfast", "forced-idr": "1"}
    if not form.bframes:
        options["tune"] = "zerolatency"
    parameters = (_X265 if form.codec == "h265" else _X264).format(b=b_frames)
    if form.plainest:
        parameters += ":aq-mode=0:subme=0:me=dia" + (_PLAIN_X265 if form.codec == "h265" else _PLAIN_X264)
    else:
        context.bit_rate = form.kbps * 1000
        parameters += f":vbv-maxrate={form.kbps}:vbv-bufsize={form.kbps}"
    options["x264-params" if form.codec == "h264" else "x265-params"] = parameters
    context.options = options
    return context


def _unit(codec: nal.Codec, packet: "av.Packet[av.VideoStream]") -> EncodedUnit:
    data = bytes(packet)
    assert packet.pts is not None
    assert packet.dts is not None
    units = [unit for unit in nal.split(data) if not nal.is_dropped(codec, unit)]
    return EncodedUnit(packet.dts, packet.pts, nal.is_key(codec, units, any_random_access=True), nal.joined(units))


def instants(duration: int, fps: float, *, irregular: np.random.Generator | None = None) -> Iterator[int]:
    """Ticks at which pictures are taken within a loop. irregular: three of ten are left out at random (VFR)."""
    step = VIDEO_HZ / fps
    for number in range(int(duration / step + 0.5)):
        if irregular is None or number == 0 or irregular.random() >= 0.3:
            yield round(number * step)
