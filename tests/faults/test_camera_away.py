"""Bad cameras: away and back, silent, half open, sending garbage. Each is told and noted; others never notice."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from simulators.cameras.camera import Camera
from tests.faults.filmed import HANGING_UP, Film, filming, now_ms
from tests.faults.harness import until

soak = [pytest.mark.soak, pytest.mark.timeout(600)]
OPENS_WITHIN_S = 30.0
ENDS_WITHIN_S = 60.0
SINGLY = {"WANGGE_ALERTS__RULES__DQ_01__MASS_LEAST": "9"}
"""Half of the cameras are bad at once: elsewhere that is one mass silence (tests/alerts), here each is looked at."""
QUICK = SINGLY | {
    "WANGGE_STREAMS__CAMERA__STALL_S": "3",
    "WANGGE_STREAMS__CAMERA__OPEN_S": "3",
    "WANGGE_STREAMS__CAMERA__RETRY_S": "[1.0, 2.0]",
    "WANGGE_ALERTS__RULES__CAM_01__AFTER_S": "5",
}
"""Waits as short as the time limits of a test ask for; what happens is the same."""


def refusing(bad: Camera, is_bad: bool) -> None:
    """Its power is off: connections break, new ones are refused."""
    bad.conditions.refusing = is_bad
    if is_bad:
        bad.cut()


def half_open(bad: Camera, is_bad: bool) -> None:
    """Connections stay, new ones are taken, nothing comes; at its end it has forgotten them."""
    bad.conditions.mute = is_bad
    if not is_bad:
        bad.cut()


def stalled(bad: Camera, is_bad: bool) -> None:
    """It answers, and sends no picture."""
    bad.conditions.stalled = is_bad


def garbled_packets(bad: Camera, is_bad: bool) -> None:
    """In the connection that it has."""
    bad.conditions.garbage = Random(4) if is_bad else None
    if not is_bad:
        bad.cut()


def garbled_answers(bad: Camera, is_bad: bool) -> None:
    """To whoever connects: status lines, headers, descriptions."""
    bad.conditions.garbage = Random(4) if is_bad else None
    bad.cut()


BAD: dict[str, Callable[[Camera, bool], None]] = {
    "a": refusing,
    "b": half_open,
    "c": stalled,
    "d": garbled_packets,
    "g": garbled_answers,
}
GOOD = "ef"


def turn(film: Film, is_bad: bool) -> int:
    """All bad cameras at once; the instant."""
    for name, fault in BAD.items():
        film.street.call(partial(fault, film.street.camera(name), is_bad))
    return now_ms()


async def told(film: Film, name: str) -> bool:
    """Whether CAM-01 is over and names the gap."""
    (event,) = await film.events("CAM-01", name)
    return event["ended_at"] is not None and "gap_s" in event["causes"]


@pytest.mark.parametrize("seconds", [8.0, pytest.param(60.0, marks=soak)])
async def test_bad_cameras_and_good_ones(service_folder: Path, seconds: float) -> None:
    environment = QUICK if seconds < 60 else SINGLY
    async with filming(service_folder / "data", [*BAD, *GOOD], **environment) as film:
        worker = film.worker
        began_ms = turn(film, is_bad=True)
        for name in "abc":
            (event,) = await until(lambda name=name: film.events("CAM-01", name), OPENS_WITHIN_S, f"CAM-01 of {name}")
            assert event["ended_at"] is None
            assert abs(event["began_at"].timestamp() * 1000 - began_ms) < 5000
        await asyncio.sleep(max(0.0, seconds - (now_ms() - began_ms) / 1000))
        back_ms = turn(film, is_bad=False)
        await film.again(back_ms, "a", "b", "d", "g", seconds=ENDS_WITHIN_S)
        await film.recorded(*BAD, seconds=ENDS_WITHIN_S)
        print(f"all back {(now_ms() - back_ms) / 1000:.1f} s after the cameras were")
        for name in "abc":
            await until(lambda name=name: told(film, name), 20, f"the end of CAM-01 of {name}, and its gap")
            (event,) = await film.events("CAM-01", name)
            assert event["causes"]["gap_s"] >= seconds - 5
        assert await film.events("REC-01") == [], "the cameras were away: nobody failed to record them"
        assert film.worker == worker, "the worker went on"
        reel = await film.stop("d", "g")
    reel.undisturbed(*GOOD)
    for one in [one for one in reel.sent if one[0] in "abc"]:
        assert max(reel.lost(*one)) <= HANGING_UP
        assert set(reel.told(*one)) == {"signal"}
    print(f"connections with pictures of those that sent garbage: {[len(reel.sent[name, 'main']) for name in 'dg']}")
