"""The judgement that CAM-02 to CAM-06 share: one cause a sample, one condition in force a camera.

A covered camera is also blurred, dark and moved. So each sample has one cause, the first that fits in the order of
`CONDITIONS`; a condition needs several samples to come into force; while one is in force, only one before it in that
order may replace it; and it ends after good samples in a row. Each of the five rules works this out by itself from the
same facts (they never disagree) and speaks only when its own condition comes or goes.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from alerts.rule import NOTHING, Context, Findings, Rule, key_of
from alerts.rules.camera.clarity import ClaritySettings, unclear
from alerts.rules.camera.counting import Counts, appended, ends, opens
from alerts.rules.camera.covered import CoveredSettings, covered
from alerts.rules.camera.dark import DarkSettings, dark
from alerts.rules.camera.evidence import is_older, of_camera, picture_link
from alerts.rules.camera.frozen import FrozenSettings, frozen
from alerts.rules.camera.moved import MovedSettings, moved
from alerts.rules.camera.thresholds import PerCamera, section_or_base
from alerts.rules.evidence import ended
from core.camera import KindCode, Light, QualityFigures, StoredCameraFact

WELL = 0


class PictureSettings(NamedTuple):
    """The sections of the five rules; each rule needs all of them."""

    cam_02: CoveredSettings
    cam_03: ClaritySettings
    cam_04: DarkSettings
    cam_05: FrozenSettings
    cam_06: MovedSettings


class Condition(NamedTuple):
    """A condition of the picture. test: (figures, light, settings of `section`) → what it is, or nothing."""

    code: str
    section: str
    test: Callable[[QualityFigures, int | None, Any], str]


CONDITIONS: tuple[Condition, ...] = (
    Condition("CAM-05", "cam_05", frozen),
    Condition("CAM-02", "cam_02", covered),
    Condition("CAM-04", "cam_04", dark),
    Condition("CAM-06", "cam_06", moved),
    Condition("CAM-03", "cam_03", unclear),
)
"""The order in which they are asked; a mark in a state is a place in it, counted from 1."""


class Cause(NamedTuple):
    """What is wrong with one sample: its mark (0: nothing) and in which way."""

    mark: int
    kind: str


def cause_of(figures: QualityFigures, light: int | None, settings: PictureSettings) -> Cause:
    """The one cause of a sample."""
    for mark, condition in enumerate(CONDITIONS, 1):
        kind = condition.test(figures, light, getattr(settings, condition.section))
        if kind:
            return Cause(mark, kind)
    return Cause(WELL, "")


class PictureState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """marks: causes of the newest samples. in_force: mark of the condition in force, 0 for none. key: of its event."""

    heard_ms: int = 0
    marks: tuple[int, ...] = ()
    in_force: int = WELL
    key: str = ""
    since: tuple[int, ...] = ()
    """First bad sample of each condition among those that count; 0 for none."""
    shown: tuple[str, str | None, int] = ("", None, 0)
    """Newest picture that was kept of a bad sample: path, media root, time. Not every sample leaves one."""


class PictureRule(Rule[PictureState, StoredCameraFact]):
    """Base of the five."""

    def __init__(self, settings: PictureSettings) -> None:
        self.start = PictureState(since=(0,) * len(CONDITIONS))
        self._mine = next(mark for mark, one in enumerate(CONDITIONS, 1) if one.code == self.code)
        self._settings = PerCamera(settings, lambda own, camera: _sections(settings, own, camera))

    def step(self, state: PictureState, fact: StoredCameraFact, at: Context) -> tuple[PictureState, Findings]:
        if fact.kind != KindCode.QUALITY or is_older(fact, state.heard_ms):
            return state, NOTHING
        figures, settings = figures_of(fact), self._settings.of(at)
        cause = cause_of(figures, fact.light, settings)
        marks = appended(state.marks, cause.mark)
        since = _since(state.since, marks, fact.at_ms, settings)
        shown = _shown(state.shown, cause, fact)
        in_force = _in_force(marks, state.in_force, settings)
        if in_force == state.in_force:
            return PictureState(fact.at_ms, marks, in_force, state.key, since, shown), NOTHING
        if in_force == WELL:
            marks, since, shown = (), self.start.since, self.start.shown
        findings: Findings = NOTHING
        if state.key:
            over: dict[str, object] = {} if in_force == WELL else {"became": CONDITIONS[in_force - 1].code}
            findings = (ended(self.code, state.key, at.id, fact.at_ms, over),)
        key = ""
        if in_force == self._mine:
            began_ms = since[in_force - 1] or fact.at_ms
            key = key_of(self.code, at.id, began_ms, fact.digest)
            opening = of_camera(self.code, key, at.id, fact, _causes(cause, fact, figures), began_ms)
            if fact.picture is None and shown[2] >= began_ms:
                opening = replace(opening, evidence=(*opening.evidence, picture_link(fact.device, *shown)))
            findings = (*findings, opening)
        return PictureState(fact.at_ms, marks, in_force, key, since, shown), findings


class Covered(PictureRule):
    """See `covered`."""

    code = "CAM-02"


class Clarity(PictureRule):
    """See `clarity`."""

    code = "CAM-03"


class Dark(PictureRule):
    """See `dark`."""

    code = "CAM-04"


class Frozen(PictureRule):
    """See `frozen`."""

    code = "CAM-05"


class Moved(PictureRule):
    """See `moved`."""

    code = "CAM-06"


def figures_of(fact: StoredCameraFact) -> QualityFigures:
    """Figures of a QUALITY fact. Raises ValueError (msgspec) when they are not those of core.camera."""
    return msgspec.convert(fact.figures, QualityFigures)


def _shown(shown: tuple[str, str | None, int], cause: Cause, fact: StoredCameraFact) -> tuple[str, str | None, int]:
    if cause.mark == WELL or fact.picture is None:
        return shown
    return fact.picture, fact.root, fact.at_ms


def _in_force(marks: tuple[int, ...], now: int, settings: PictureSettings) -> int:
    """Which condition is in force after the newest sample."""
    for mark, condition in enumerate(CONDITIONS, 1):
        if mark == now:
            break  # those behind it wait until it is over
        if opens(marks, mark, getattr(settings, condition.section)):
            return mark
    if now == WELL:
        return WELL
    counts: Counts = getattr(settings, CONDITIONS[now - 1].section)
    if ends(marks, counts):
        return WELL
    return _successor(marks, now, settings)


def _successor(marks: tuple[int, ...], now: int, settings: PictureSettings) -> int:
    """A later condition takes over once the one in force has left the whole window."""
    for mark, condition in enumerate(CONDITIONS[now:], now + 1):
        counts: Counts = getattr(settings, condition.section)
        if now not in marks[-2 * counts.of :] and opens(marks, mark, counts):
            return mark
    return now


def _since(since: tuple[int, ...], marks: tuple[int, ...], at_ms: int, settings: PictureSettings) -> tuple[int, ...]:
    """When each condition was first seen among the samples that count for it."""
    found = []
    for mark, condition in enumerate(CONDITIONS, 1):
        counts: Counts = getattr(settings, condition.section)
        found.append((since[mark - 1] or at_ms) if mark in marks[-counts.of :] else 0)
    return tuple(found)


def _causes(cause: Cause, fact: StoredCameraFact, figures: QualityFigures) -> dict[str, object]:
    shown = {name: round(v, 4) if isinstance(v, float) else v for name, v in msgspec.structs.asdict(figures).items()}
    light = None if fact.light is None else Light(fact.light).name.lower()
    return {"kind": cause.kind, "light": light, **shown}


def _sections(base: PictureSettings, own: Mapping[str, Any], camera: str) -> PictureSettings:
    sections = {name: section_or_base(name, section, own, camera) for name, section in base._asdict().items()}
    return PictureSettings(**sections)
