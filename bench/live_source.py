"""Cameras for live view's benchmark and tests: films of any codec, and one whose every picture shows its own time.

`Player` publishes a film to a hub in real time from a thread of its own, as a camera's reader does. `StampedCamera`
draws the epoch milliseconds into each picture as a bar code and encodes it on the spot, so that a browser can tell how
old the picture is that it shows.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Self

import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from core.media import TICKS_PER_S, VIDEO, Packet, TrackFormats
from streams.annexb import ParameterSets, access_unit, merged, video_format
from streams.hub import Hub

BLOCK, BITS = 16, 32
"""The bar code: BITS squares of BLOCK pixels in the upper left corner, the highest bit first, white is 1."""
Codec = Literal["h264", "h265"]
_ENCODERS = {"h264": "libx264", "h265": "libx265"}


@dataclass(frozen=True, slots=True)
class Film:
    """packets: (dts, pts, is_key, data with 4-byte lengths, formats), ticks from 0, in decoding order."""

    packets: list[tuple[int, int, bool, bytes, TrackFormats]]
    ticks: int
    """Length of the whole film."""


class _Encoder:
    """Pictures in, access units with their formats out."""

    def __init__(
        self, codec: Codec, size: tuple[int, int], fps: int, *, gop_s: float, b_frames: int, bits_per_s: int
    ) -> None:
        self._codec: Codec = codec
        self._step = TICKS_PER_S // fps
        self._sets: ParameterSets | None = None
        self._formats: TrackFormats | None = None
        encoder = VideoCodecContext.create(_ENCODERS[codec], "w")
        assert isinstance(encoder, VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
        encoder.time_base, encoder.framerate = Fraction(1, TICKS_PER_S), Fraction(fps)
        encoder.bit_rate = bits_per_s
        encoder.gop_size = max(1, round(gop_s * fps))
        encoder.thread_count = 1
        encoder.options = {"preset": "ultrafast", "forced-idr": "1"}
        if codec == "h265":
            encoder.options |= {"x265-params": f"log-level=none:bframes={b_frames}:pools=none:frame-threads=1"}
        else:
            encoder.options |= {"sc_threshold": "0", "bf": str(b_frames)}
        if not b_frames:
            encoder.options |= {"tune": "zerolatency"}
        self._encoder = encoder

    def encode(self, luma: np.ndarray | None, pts_90k: int) -> Iterator[tuple[int, int, bool, bytes, TrackFormats]]:
        """luma: (height, width) uint8; None: the end."""
        frame = None
        if luma is not None:
            height, width = luma.shape
            planes = np.full((height * 3 // 2, width), 128, np.uint8)
            planes[:height] = luma
            frame = VideoFrame.from_ndarray(planes, "yuv420p")
            frame.pts, frame.time_base = pts_90k, Fraction(1, TICKS_PER_S)
        for made in self._encoder.encode(frame):
            unit = access_unit(bytes(made), self._codec)
            sets = merged(self._sets, unit.sets) if unit.sets else self._sets
            assert sets is not None
            if sets is not self._sets or self._formats is None:
                self._sets, self._formats = sets, TrackFormats(video_format(self._codec, sets))
            assert made.pts is not None
            assert made.dts is not None
            yield made.dts, made.pts, unit.is_key, unit.data, self._formats


def film(
    codec: Codec = "h264",
    size: tuple[int, int] = (640, 360),
    fps: int = 15,
    *,
    seconds: float = 2.0,
    gop_s: float = 1.0,
    b_frames: int = 0,
    bits_per_s: int = 500_000,
) -> Film:
    """A moving noisy pattern."""
    encoder = _Encoder(codec, size, fps, gop_s=gop_s, b_frames=b_frames, bits_per_s=bits_per_s)
    step, count = TICKS_PER_S // fps, round(seconds * fps)
    made = [each for n in range(count) for each in encoder.encode(_scene(size, n), n * step)]
    made += encoder.encode(None, 0)
    earliest = made[0][0]
    return Film([(dts - earliest, pts - earliest, *rest) for dts, pts, *rest in made], count * step)  # type: ignore[misc]


def _scene(size: tuple[int, int], number: int) -> np.ndarray:
    width, height = size
    rng = np.random.default_rng(number)
    slope = (np.arange(width)[None, :] + np.arange(height)[:, None] + 8 * number) % 256
    noise = np.repeat(np.repeat(rng.integers(0, 60, (height // 4, width // 4)), 4, 0), 4, 1)
    scene: np.ndarray = (slope // 2 + 40).astype(np.uint8)
    scene[: noise.shape[0], : noise.shape[1]] += noise.astype(np.uint8)
    return scene


def stamp(luma: np.ndarray, milliseconds: int) -> None:
    """Draws the lowest BITS bits of a number into a picture."""
    for bit in range(BITS):
        light = 235 if milliseconds >> (BITS - 1 - bit) & 1 else 16
        luma[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = light


class _Camera:
    """A thread that publishes until `stop`; use it as a context manager."""

    def __init__(self, hub: Hub, name: str) -> None:
        self.hub = hub
        self.sent = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(10)

    def _run(self) -> None:
        raise NotImplementedError

    def _publish(self, made: tuple[int, int, bool, bytes, TrackFormats], session: int) -> None:
        dts, pts, is_key, data, formats = made
        now_us = time.time_ns() // 1000
        self.hub.publish(Packet(VIDEO, pts, dts, 0, is_key, data, now_us, time.monotonic(), session, formats))
        self.sent += 1


class Player(_Camera):
    """Plays films in a loop; `play` changes the film at the next key frame, as a camera does whose settings change."""

    def __init__(self, hub: Hub, first: Film, *, speed: float = 1.0) -> None:
        super().__init__(hub, "film")
        self._film, self._speed = first, speed

    def play(self, other: Film) -> None:
        """From the beginning of `other` once the present film is through."""
        self._film = other

    def _run(self) -> None:
        base_90k, began_s = 0, time.monotonic()
        while not self._ends.is_set():
            now = self._film
            for dts, pts, is_key, data, formats in now.packets:
                due_s = began_s + (base_90k + dts) / TICKS_PER_S / self._speed - time.monotonic()
                if self._ends.wait(max(0.0, due_s)):
                    return
                self._publish((base_90k + dts, base_90k + pts, is_key, data, formats), 1)
            base_90k += now.ticks


class StampedCamera(_Camera):
    """Each picture shows when it was taken."""

    def __init__(
        self,
        hub: Hub,
        size: tuple[int, int] = (1280, 720),
        fps: int = 15,
        *,
        gop_s: float = 2.0,
        bits_per_s: int = 2_000_000,
    ) -> None:
        super().__init__(hub, "stamped")
        self._size, self._fps = size, fps
        self._scenes = [_scene(size, n) for n in range(16)]
        self._encoder = _Encoder("h264", size, fps, gop_s=gop_s, b_frames=0, bits_per_s=bits_per_s)

    def _run(self) -> None:
        began_s, number = time.monotonic(), 0
        while not self._ends.wait(max(0.0, began_s + number / self._fps - time.monotonic())):
            luma = self._scenes[number % len(self._scenes)].copy()
            stamp(luma, time.time_ns() // 1_000_000)
            for made in self._encoder.encode(luma, number * TICKS_PER_S // self._fps):
                self._publish(made, 1)
            number += 1
