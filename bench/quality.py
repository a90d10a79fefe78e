"""`quality_*`: what judging pictures costs, and how well it judges.

Cost: one sample of the sampler against decoding the same key frame. Judgement: runs by seed, half by day and half by
night, two thirds of them with one fault, one third with a picture that only looks faulty or with nothing at all; events
of the real rules against the truth (bench.quality_runs). Intervals: Wilson, 95 %. Real clips must open nothing.
"""

import random
import time
from itertools import cycle
from math import sqrt
from pathlib import Path
from statistics import median

import cv2

from bench.quality_runs import (
    AFTER_KEY,
    FPS,
    INTERVAL_S,
    SIZE,
    Outcome,
    Plan,
    RulesOfCamera,
    clip_pictures,
    packets_of,
    pictures_of,
    run,
)
from bench.report import Result, at_most
from core.camera import CameraFact, Light
from simulators.cameras.scenes import NEAR_MISSES
from streams.quality.decoder import decode_key
from streams.quality.watch import SampledCamera, Watch
from streams.quality_settings import QualitySettings

RUNS, QUICK_RUNS = 200, 24
CLIP_SAMPLES, QUICK_CLIP_SAMPLES = 60, 30
CLIPS = Path("../shared/data/footage")
"""Folder of real clips; where it is missing that row is left out."""
FAULTS = ("dark", "blur", "cover", "shake", "noise", "over_exposed", "cast", "freeze")
MILD = (("blur", 0.2), ("noise", 0.2), ("cast", 0.2), ("over_exposed", 0.2), ("shake", 0.1), ("dark", 0.2))
LIKELY = 1.959964


def quality(*, quick: bool = False) -> list[Result]:
    """All rows."""
    cv2.setNumThreads(1)
    return [*cost(), *judgement(QUICK_RUNS if quick else RUNS), *clips(QUICK_CLIP_SAMPLES if quick else CLIP_SAMPLES)]


def cost() -> list[Result]:
    """`quality_sample`: processor time of a sample beyond decoding; `quality_core`: share of a core a camera."""
    packets = [p for _, p in packets_of(pictures_of(Plan(1, Light.DAY)), _NOON_US, random.Random(1))]
    facts: list[CameraFact] = []
    watch = Watch(SampledCamera(1, "cost"), QualitySettings(), None, facts.append)
    watch.know({})
    # A sub-stream of 15 pictures a second has 150 packets a sample to be looked at.
    fillers = round(INTERVAL_S * FPS / AFTER_KEY)
    decoding, sampling, feeding = [], [], []
    for packet in packets:
        began = time.thread_time()
        if packet.is_key:
            decode_key(packet.data, packet.formats.video)
            decoded = time.thread_time()
            watch.feed(packet)
            decoding.append(decoded - began)
            sampling.append(time.thread_time() - decoded)
        else:
            for _ in range(fillers):
                watch.feed(packet)
            feeding.append(time.thread_time() - began)
    decode_s = median(decoding)
    whole_s = median(sampling) + median(feeding) * AFTER_KEY
    beyond_ms = (whole_s - decode_s) * 1000
    size = f"{SIZE[0]}×{SIZE[1]}"
    return [
        Result(
            "quality_sample", round(beyond_ms, 3), "ms", "≤ 1 ms beyond decode", beyond_ms <= 1,
            round(decode_s * 1000, 3), round(whole_s / decode_s, 2), {"samples": len(facts), "size": size},
        ),
        at_most("quality_core", round(whole_s / INTERVAL_S * 100, 3), 0.5, "% of a core", every_s=INTERVAL_S),
    ]  # fmt: skip


_NOON_US = 1_748_750_400_000_000


def plans(count: int, first_seed: int = 1) -> list[Plan]:
    """Two runs with a fault for each without, day and night in turn."""
    rng = random.Random(first_seed)
    sound = cycle(
        [
            ("", 1.0, ""),
            *(("", 1.0, miss) for miss in NEAR_MISSES),
            *((fault, strength, "") for fault, strength in MILD),
        ]
    )
    faults = cycle(FAULTS)
    found = []
    for number in range(count):
        light = Light(number // 3 % 2)
        if number % 3 == 2:
            fault, strength, miss = next(sound)
            found.append(Plan(first_seed + number, _light_of(miss, light), fault, strength, miss))
        else:
            fault = next(faults)
            # A picture with a third of its light is dim, not dark: only the full fault has one right answer.
            least = 0.95 if fault == "dark" else 0.8
            found.append(Plan(first_seed + number, light, fault, round(rng.uniform(least, 1.0), 2)))
    return found


def _light_of(miss: str, light: Light) -> Light:
    """Near misses that belong to one light."""
    return {"headlights": Light.NIGHT, "empty": Light.NIGHT, "dusk": Light.DAY}.get(miss, light)


def judgement(count: int) -> list[Result]:
    """`quality_recall`, `quality_precision`, and a row for each kind of fault."""
    outcomes = [run(plan) for plan in plans(count)]
    faulty = [one for one in outcomes if one.plan.expected]
    found = sum(one.found for one in faulty)
    false = sum(one.false for one in outcomes)
    wrong = [f"{one.plan.name}/{one.plan.light.name.lower()}/{one.plan.seed}" for one in outcomes if _is_wrong(one)]
    rows = [
        proportion("quality_recall", found, len(faulty), runs=count, engine="drawn"),
        proportion("quality_precision", found, found + false, wrong=wrong[:12]),
    ]
    for kind in FAULTS:
        of_kind = [one for one in faulty if one.plan.fault == kind]
        rows.append(proportion(f"quality_{kind}", sum(one.found for one in of_kind), len(of_kind)))
    sound = [one for one in outcomes if not one.plan.expected]
    rows.append(proportion("quality_sound", sum(not one.false for one in sound), len(sound)))
    return rows


def _is_wrong(outcome: Outcome) -> bool:
    return bool(outcome.false) or bool(outcome.plan.expected and not outcome.found)


def clips(samples: int) -> list[Result]:
    """`quality_real`: events that real footage opened, each clip played over and over as one camera by day."""
    files = sorted(file for file in CLIPS.glob("*") if file.suffix in (".mp4", ".avi"))
    if not files:
        return []
    opened = {file.name: clip_events(file, samples) for file in files}
    count = sum(map(len, opened.values()))
    return [at_most("quality_real", count, 0, "events", clips=opened, samples=samples * len(files))]


def clip_events(file: Path, samples: int) -> list[str]:
    """Codes of the events that a clip opens."""
    rules, found = RulesOfCamera(), []
    facts: list[CameraFact] = []
    watch = Watch(SampledCamera(1, file.stem), QualitySettings(), None, facts.append)
    watch.know({})
    for _, packet in packets_of(clip_pictures(str(file), samples), _NOON_US, random.Random(file.name)):
        fact = watch.feed(packet)
        if fact is not None:
            found += [finding.code for finding in rules.judge(fact)]
    return found


def proportion(name: str, k: int, n: int, **details: object) -> Result:
    """A row of a share with its Wilson interval; the goal is 0.95 for the share itself."""
    low, high = wilson(k, n)
    share = k / n if n else 1.0
    counted = {"k": k, "n": n, "low": round(low, 3), "high": round(high, 3)}
    return Result(name, round(share, 4), "share", "≥ 0.95", share >= 0.95, details={**counted, **details})


def wilson(k: int, n: int) -> tuple[float, float]:
    """95 % interval of a share of k in n (E. Wilson, JASA 1927)."""
    if n == 0:
        return 0.0, 1.0
    share, square = k / n, LIKELY**2
    middle = share + square / (2 * n)
    spread = LIKELY * sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(0.0, (middle - spread) / (1 + square / n)), min(1.0, (middle + spread) / (1 + square / n))
