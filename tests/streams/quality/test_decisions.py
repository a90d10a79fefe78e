"""Decisions by seed: simulated cameras through a real coder, the sampler's figures and the real rules
(bench.quality)."""

import random
from pathlib import Path

import pytest

from bench.quality import CLIPS, clip_events, plans, wilson
from bench.quality_runs import Plan, run
from core.camera import Light


@pytest.mark.parametrize(
    "plan",
    [
        Plan(21, Light.DAY, "cover"),
        Plan(22, Light.NIGHT, "blur"),
        Plan(23, Light.NIGHT, "dark"),
        Plan(24, Light.NIGHT, "freeze"),
        Plan(25, Light.DAY, "shake"),
        Plan(26, Light.NIGHT, miss="empty"),
        Plan(27, Light.DAY, "blur", 0.2),
    ],
    ids=lambda plan: f"{plan.name}-{plan.light.name}".lower(),
)
def test_a_fault_opens_its_event_and_nothing_else(plan: Plan) -> None:
    outcome = run(plan)
    opened = [(finding.code, finding.causes["kind"]) for finding in (*outcome.opened, *outcome.others)]
    assert {code for code, _ in opened} == ({plan.expected} if plan.expected else set()), opened
    assert outcome.false == 0


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_hundred_runs() -> None:
    outcomes = [run(plan) for plan in plans(200)]
    faulty = [one for one in outcomes if one.plan.expected]
    found, false = sum(one.found for one in faulty), sum(one.false for one in outcomes)
    assert found >= 0.95 * len(faulty)
    assert found >= 0.95 * (found + false)


@pytest.mark.skipif(not CLIPS.is_dir(), reason="the real footage is not here")
def test_real_clips_open_no_event() -> None:
    clips = sorted(CLIPS.glob("*.mp4"))
    clip: Path = random.choice(clips)
    assert clip_events(clip, 24) == []


def test_intervals_of_shares() -> None:
    assert wilson(0, 0) == (0, 1)
    assert wilson(95, 100) == pytest.approx((0.8882, 0.9785), abs=1e-3)
    assert wilson(20, 20)[1] == 1
