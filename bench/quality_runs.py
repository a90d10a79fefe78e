"""One run of the picture benchmark: a simulated camera with one fault (or a picture that only looks faulty), coded and
decoded, sampled, held against its learned reference, judged by the real rules.

Time is virtual: a sample every 10 s. Only what the sampler needs is coded: a key frame and a few pictures after it,
at the quality of a sub-stream. The camera first learns its reference, stands well a while, has its fault, and is well
again.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from numpy.typing import NDArray

from alerts.rules.camera.clarity import ClaritySettings
from alerts.rules.camera.covered import CoveredSettings
from alerts.rules.camera.dark import DarkSettings
from alerts.rules.camera.frozen import FrozenSettings
from alerts.rules.camera.moved import MovedSettings
from alerts.rules.camera.picture import Clarity, Covered, Dark, Frozen, Moved, PictureSettings
from core.camera import CameraFact, Light, StoredCameraFact
from core.event import Finding
from core.media import VIDEO, Packet, TrackFormats
from simulators.cameras.scenes import Scene, picture_faults, scene
from streams.annexb import access_unit, merged, video_format
from streams.quality.watch import SampledCamera, Watch
from streams.quality_settings import QualitySettings

SIZE = (640, 360)
INTERVAL_S = 10.0
AFTER_KEY, STILL_AFTER, FPS = 4, 60, 15
"""Pictures coded after each key frame."""
LEARN, WELL, FAULT, AFTER = 12, 3, 12, 6
"""Samples of each part of a run."""
DAY_US, NIGHT_US = 1_748_750_400_000_000, 1_748_793_600_000_000
"""2025-06-01 12:00 and 24:00 in Yongzhou."""
SLIDE = 1.0137
"""Scenes repeat after 20 s; sampled every 10 s they would show the same two pictures, noise included."""
Picture = NDArray[np.uint8]

_RULES = (Covered, Clarity, Dark, Frozen, Moved)


@dataclass(frozen=True, slots=True)
class Plan:
    """fault: one of `picture_faults.KINDS`, `freeze`, or "" for none. strength below MILD: a near miss. miss: a near
    miss of the scene. expected: code of the event that must come, "" for none."""

    seed: int
    light: Light
    fault: str = ""
    strength: float = 1.0
    miss: str = ""

    @property
    def expected(self) -> str:
        """By day a black picture is a covered one; noise, exposure and colour are clarity."""
        if not self.fault or self.strength < picture_faults.MILD:
            return ""
        codes = {"dark": "CAM-04" if self.light == Light.NIGHT else "CAM-02", "cover": "CAM-02", "shake": "CAM-06"}
        return codes.get(self.fault, "CAM-05" if self.fault == "freeze" else "CAM-03")

    @property
    def name(self) -> str:
        """For the table."""
        if self.miss:
            return f"none ({self.miss})"
        if self.fault:
            return self.fault if self.expected else f"none (mild {self.fault})"
        return "none"


@dataclass(slots=True)
class Outcome:
    """opened: events during the fault, others: events at other times. facts: every sample's."""

    plan: Plan
    opened: list[Finding] = field(default_factory=list)
    others: list[Finding] = field(default_factory=list)
    facts: list[CameraFact] = field(default_factory=list)

    @property
    def found(self) -> bool:
        """The expected event came."""
        return any(finding.code == self.plan.expected for finding in self.opened)

    @property
    def false(self) -> int:
        """Events that should not have come."""
        return len(self.others) + sum(finding.code != self.plan.expected for finding in self.opened)


def run(plan: Plan) -> Outcome:
    """Plays a run. A few seconds of one core, most of them drawing and coding."""
    outcome = Outcome(plan)
    rules = RulesOfCamera()
    watch = Watch(SampledCamera(1, f"run-{plan.seed}"), QualitySettings(), None, outcome.facts.append)
    watch.know({})
    start_us = DAY_US if plan.light == Light.DAY else NIGHT_US
    opens = outcome.others
    for at_s, packet in packets_of(pictures_of(plan), start_us, random.Random(plan.seed)):
        fact = watch.feed(packet)
        if fact is None:
            continue
        number = round(at_s / INTERVAL_S)
        opens = outcome.opened if LEARN + WELL <= number < LEARN + WELL + FAULT else outcome.others
        opens += rules.judge(fact)
    return outcome


def pictures_of(plan: Plan) -> Iterator[tuple[float, bool, Picture]]:
    """(seconds, is a key frame, picture) of a run."""
    light = "day" if plan.light == Light.DAY else "night"
    sound = scene(plan.seed, light, SIZE, engine="drawn")  # type: ignore[arg-type]
    spoilt = _other_scene(plan, light)
    frozen: Picture | None = None
    for number in range(LEARN + WELL + FAULT + AFTER):
        faulty = LEARN + WELL <= number < LEARN + WELL + FAULT
        # A coder settles within seconds on a picture that stands still: it gets as many of them as it would have.
        after = STILL_AFTER if faulty and plan.fault == "freeze" else AFTER_KEY
        for step in range(after + 1):
            at_s = number * INTERVAL_S + step / FPS
            if frozen is not None and faulty:
                yield at_s, step == 0, frozen
                continue
            seen = (spoilt if faulty and spoilt else sound).frame(at_s * SLIDE)
            if not faulty or not plan.fault:
                frozen = None
            elif plan.fault == "freeze":
                frozen = seen
            elif spoilt is None:
                seen = picture_faults.apply(seen, plan.fault, plan.strength, plan.seed, at_s)
            yield at_s, step == 0, seen


def _other_scene(plan: Plan, light: Any) -> Scene | None:
    """A near miss, or the street as a camera sees it that was really turned."""
    if plan.miss:
        return scene(plan.seed, light, SIZE, engine="drawn", near_miss=plan.miss)
    if plan.fault == "shake" and plan.expected:
        turn = picture_faults.view_moved(plan.strength, plan.seed)
        return scene(plan.seed, light, SIZE, engine="drawn", view_shift=turn)
    return None


def packets_of(
    pictures: Iterator[tuple[float, bool, Picture]], start_us: int, rng: random.Random
) -> Iterator[tuple[float, Packet]]:
    """Pictures through a real encoder, as packets. rng: chooses the camera's quality and kind of rate control."""
    context, sets, formats = None, None, None
    for number, (at_s, is_key, picture) in enumerate(pictures):
        if context is None:
            context = encoder(picture.shape[1], picture.shape[0], rng)
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p")
        frame.pict_type = PictureType.I if is_key else PictureType.NONE
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        for coded in context.encode(frame):
            unit = access_unit(bytes(coded), "h264")
            if unit.sets is not None:
                sets = merged(sets, unit.sets)
                assert sets is not None
                formats = formats or TrackFormats(video_format("h264", sets))
            assert formats is not None
            ticks = round(at_s * 90_000)
            arrived_us = start_us + round(at_s * 1e6)
            yield at_s, Packet(VIDEO, ticks, ticks, 0, unit.is_key, unit.data, arrived_us, at_s, 1, formats)


def encoder(width: int, height: int, rng: random.Random) -> VideoCodecContext:
    """A camera's coder at 200 to 500 kbit/s: steady quantiser, steady quality, or steady rate.

    The quantiser has a floor (24), as those of cameras have: x264 without one spends what a still picture leaves over
    on that picture's noise, wanders for minutes, and hides a frozen picture from anybody who sees key frames alone.
    """
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate, context.thread_count = Fraction(1, FPS), Fraction(FPS), 1
    kbps = rng.choice((200, 300, 500)) * width * height / (SIZE[0] * SIZE[1])
    # Five pictures stand for the thirty of a group of two seconds: the key frame has its share of the rate.
    kbps = round(kbps * 3)
    parameters = "keyint=100000:scenecut=0:qpmin=24"
    options = {"preset": "superfast", "tune": "zerolatency", "forced-idr": "1"}
    mode = rng.choice(("quantiser", "quality", "rate"))
    if mode == "quantiser":
        options["qp"] = str(rng.choice((26, 29, 32)))
    elif mode == "quality":
        options["crf"] = str(rng.choice((25, 28, 31)))
    else:
        context.bit_rate = kbps * 1000
    if mode != "quantiser":
        parameters += f":vbv-maxrate={kbps}:vbv-bufsize={kbps}"
    context.options = {**options, "x264-params": parameters}
    return context


class _Context:
    """What a rule may ask: a camera without settings of its own."""

    id = "run"
    settings: dict[str, object] = {}  # noqa: RUF012 - a constant
    now_ms = 0


class RulesOfCamera:
    """The five rules of the picture with their default settings, for one camera."""

    def __init__(self) -> None:
        settings = PictureSettings(
            CoveredSettings(), ClaritySettings(), DarkSettings(), FrozenSettings(), MovedSettings()
        )
        self._rules = [rule(settings) for rule in _RULES]
        self._states = [rule.start for rule in self._rules]
        self._digest = 0

    def judge(self, fact: CameraFact) -> list[Finding]:
        """Events that open with this fact."""
        self._digest += 1
        at_ms = fact.at_us // 1000
        light = None if fact.light is None else int(fact.light)
        stored = StoredCameraFact(
            fact.device, at_ms, at_ms, self._digest, int(fact.kind), light, fact.score, None, fact.figures, None
        )
        found: list[Finding] = []
        for number, rule in enumerate(self._rules):
            state, findings = rule.step(self._states[number], stored, _Context())  # type: ignore[arg-type]
            self._states[number] = state
            found += [finding for finding in findings if finding.kind == "open"]
        return found


def clip_pictures(path: str, turns: int) -> Iterator[tuple[float, bool, Picture]]:
    """A real clip, over and over, as a camera's pictures: samples closer together, so that all of it is seen."""
    with av.open(path) as clip:
        frames = [
            np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
            for n, frame in enumerate(clip.decode(video=0))
            if n % 2 == 0
        ]
    count = len(frames) - AFTER_KEY
    stride = 29
    for number in range(turns):
        first = number * stride % count
        for step in range(AFTER_KEY + 1):
            yield number * INTERVAL_S + step / FPS, step == 0, even(frames[first + step])


def even(picture: Picture) -> Picture:
    """The picture no wider than a sub-stream, with even sides."""
    height, width = picture.shape[:2]
    scale = min(1.0, 640 / width)
    size = (round(width * scale / 2) * 2, round(height * scale / 2) * 2)
    return picture if size == (width, height) else np.asarray(cv2.resize(picture, size), np.uint8)
