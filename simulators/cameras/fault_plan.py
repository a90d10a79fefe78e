"""Faults by seed: which cameras get which one and when, some of them too weak or too short to be reported."""

from collections.abc import Sequence
from random import Random

from simulators.cameras.fault_kinds import KINDS, LOST_S, PICTURE_KINDS, Planned
from simulators.errors import SimulatorError
from simulators.truth import MARGIN_S

OPEN_RUN_S = 3600.0
"""A run without an end is planned for so long."""
SETTLE_S = 0.25
"""Share of the run in which nothing happens: cameras have to be known well first."""
NEAR_MISS = 0.2
STRONG, FAINT = (0.85, 1.0), (0.1, 0.2)
"""Strengths of faults that are to be reported, and of those that are not: few, for each is encoded by itself."""
_SIGNAL_KINDS = ("stall", "disconnect", "refuse", "half_open")


def drawn(share: float, cameras: Sequence[str], seconds: float | None, seed: int) -> list[Planned]:
    """One fault each for a share of the cameras, in order of their beginning. Raises SimulatorError."""
    if not 0.0 <= share <= 1.0:
        raise SimulatorError(f"--faults takes a share from 0 to 1, not {share:g}")
    random = Random(f"{seed} faults")
    run_s = OPEN_RUN_S if seconds is None else seconds
    chosen = random.sample(list(cameras), round(share * len(cameras)))
    return sorted((_one(camera, run_s, random) for camera in chosen), key=lambda one: one.start_s)


def _one(camera: str, run_s: float, random: Random) -> Planned:
    name = random.choice((*PICTURE_KINDS, *PICTURE_KINDS, *_SIGNAL_KINDS, "wrong_clock"))
    kind = KINDS[name]
    near = random.random() < NEAR_MISS
    value, wanted_s = kind.value, (kind.threshold_s + MARGIN_S) * random.uniform(1.1, 2.0)
    if near and kind.is_picture and name != "freeze":
        value = random.choice(FAINT)
    elif near and name in _SIGNAL_KINDS:
        wanted_s = random.uniform(0.04, 0.09) * LOST_S
    elif name == "wrong_clock":
        value = round(random.choice((-1, 1)) * random.uniform(10, 20_000), 1)
    elif kind.is_picture and name != "freeze":
        value = random.choice(STRONG)
    latest = max(run_s - wanted_s, run_s * SETTLE_S)
    return Planned(name, value, round(random.uniform(run_s * SETTLE_S, latest), 1), round(wanted_s, 1), camera)
