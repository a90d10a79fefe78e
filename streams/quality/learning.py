"""Learning references: from healthy pictures only, slowly, and never so that "bad" becomes normal.

A reference is made of the first `learn_samples` pictures that are usable by absolute limits (comparison.compare): a
camera that is blurred, dark or covered from its first day has none and is held against those limits. Later pictures
that fit move it: the background (and which edges are stable) by `adapt_share`, sharpness, noise and light twenty
times slower, so that dirt that comes within weeks is not learned. A view that stays another one, while sharp, for
`accept_view_days` becomes the reference; an operator's word (`relearn`) does the same at once.
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from streams.quality.comparison import Comparison
from streams.quality.measures import Bytes, Floats, Measured, gradients
from streams.quality.reference import SAME_DIRECTION, Reference, Template, edge_level
from streams.quality_settings import QualitySettings

SLOW = 20
REBUILD_EVERY = 30
"""Samples after which the adapted reference is put into use."""
KEEP_EVERY_US = 3_600_000_000
"""An adapted reference is handed out for storing this often."""
DAY_US = 86_400_000_000
LEAST_COHERENCE = 0.45
"""Share of the background's edges that a sample must have, in the mean, for the samples to be of one view."""


@dataclass(slots=True)
class _Gathered:
    coarse: Bytes
    energy: Floats
    values: tuple[float, ...]


class Learner:
    """One camera, one light. Not thread-safe. `version` counts what was learned from scratch."""

    def __init__(self, settings: QualitySettings, reference: Reference | None = None, version: int = 0) -> None:
        self._settings = settings
        self.version = version
        self.template = None if reference is None else Template(reference)
        self._gathered: list[_Gathered] = []
        self._adapted: _Adapting | None = None
        self._kept_us = 0
        self._to_keep: Reference | None = None

    def relearn(self) -> None:
        """The view is meant to be as it is: learn from scratch."""
        self.template, self._adapted, self._to_keep = None, None, None
        self._gathered.clear()

    def take(self) -> Reference | None:
        """A reference to be stored, if there is a new one since the last time."""
        kept, self._to_keep = self._to_keep, None
        return kept

    def learn(self, now: Measured, compared: Comparison, at_us: int) -> None:
        """Takes one sample of this light that is not frozen. at_us: UTC, epoch microseconds."""
        if self.template is None or self.template.shape != now.coarse.shape:
            if compared.healthy:
                self._gather(now, at_us)
        elif compared.fits:
            self._gathered.clear()
            self._adapt(now, at_us)
        elif compared.differs:
            self._another_view(now, at_us)

    def _another_view(self, now: Measured, at_us: int) -> None:
        assert self.template is not None
        reference = self.template.reference
        if not reference.differs_since_us:
            self._put(msgspec.structs.replace(reference, differs_since_us=at_us), at_us, store=True)
        elif at_us - reference.differs_since_us >= self._settings.accept_view_days * DAY_US:
            self._gather(now, at_us)

    def _gather(self, now: Measured, at_us: int) -> None:
        if self._gathered and self._gathered[0].coarse.shape != now.coarse.shape:
            self._gathered.clear()
        self._gathered.append(_Gathered(now.coarse, now.fine_energy, _values(now)))
        if len(self._gathered) < self._settings.learn_samples:
            return
        reference, coherence = _made(self._gathered, now, at_us)
        if coherence < LEAST_COHERENCE:
            del self._gathered[: len(self._gathered) // 2]
            return
        self._gathered.clear()
        self.version += 1
        self._adapted = None
        self._put(reference, at_us, store=True)

    def _adapt(self, now: Measured, at_us: int) -> None:
        assert self.template is not None
        if self._adapted is None:
            self._adapted = _Adapting(self.template)
        self._adapted.add(now, self._settings.adapt_share)
        if self._adapted.samples % REBUILD_EVERY == 0 or self.template.reference.differs_since_us:
            self._put(self._adapted.reference(self.template.reference), at_us, store=False)

    def _put(self, reference: Reference, at_us: int, *, store: bool) -> None:
        self.template = Template(reference)
        if store or at_us - self._kept_us >= KEEP_EVERY_US:
            self._kept_us, self._to_keep = at_us, reference


class _Adapting:
    """A reference on its way: about 0.2 MB."""

    def __init__(self, template: Template) -> None:
        reference = template.reference
        self.samples = 0
        self._background = template.background.astype(np.float32)
        self._presence = np.frombuffer(reference.presence, np.uint8).astype(np.float32).reshape(template.shape)
        self._energy = template.fine_energy.copy()
        self._values = np.array(_values_of(reference), np.float64)
        self._x, self._y, self._length = gradients(template.background)
        self._level = template.edge_level

    def add(self, now: Measured, share: float) -> None:
        self.samples += 1
        # A clipped step: what passes through the picture moves it as little as a change of light.
        self._background += np.clip(now.coarse - self._background, -6, 6) * share
        there = _same_edges(now.gradient_x, now.gradient_y, now.gradient, self._x, self._y, self._length, self._level)
        self._presence += (there * np.float32(255) - self._presence) * share
        self._energy += (now.fine_energy - self._energy) * (share / SLOW)
        self._values += (np.array(_values(now)) - self._values) * (share / SLOW)

    def reference(self, before: Reference) -> Reference:
        background = np.rint(self._background).astype(np.uint8)
        self._x, self._y, self._length = gradients(background)
        self._level = edge_level(self._length)
        return msgspec.structs.replace(
            before,
            samples=before.samples + self.samples,
            background=background.tobytes(),
            presence=np.rint(self._presence).astype(np.uint8).tobytes(),
            fine_energy=self._energy.tobytes(),
            differs_since_us=0,
            **dict(zip(_VALUES, map(float, self._values), strict=True)),
        )


_VALUES = ("fine_share", "luma_p10", "luma_p90", "luma_p95", "bright_share", "noise", "bands", "blue", "red")
"""Fields that `Measured` and `Reference` share."""


def _values(now: Measured) -> tuple[float, ...]:
    return tuple(float(getattr(now, name)) for name in _VALUES)


def _values_of(reference: Reference) -> tuple[float, ...]:
    return tuple(float(getattr(reference, name)) for name in _VALUES)


def _same_edges(
    x: Floats, y: Floats, length: Floats, then_x: Floats, then_y: Floats, then: Floats, level: float
) -> Bytes:
    """Where an edge of then (gradient ≥ level) is there with its direction: 1, else 0."""
    along = x * then_x + y * then_y
    same = (then >= level) & (length >= 0.3 * then) & (along >= SAME_DIRECTION * length * then)
    return same.astype(np.uint8)


def _made(gathered: list[_Gathered], now: Measured, at_us: int) -> tuple[Reference, float]:
    """The reference of these samples, and in the mean how much of its edges each of them has."""
    background = np.median(np.stack([one.coarse for one in gathered]), axis=0).astype(np.uint8)
    x, y, length = gradients(background)
    level = edge_level(length)
    presence = np.zeros(background.shape, np.float32)
    for one in gathered:
        presence += _same_edges(*gradients(one.coarse), x, y, length, level)
    presence /= len(gathered)
    strong = length >= level
    coherence = float(presence[strong].mean()) if strong.any() else 0.0
    energy = np.median(np.stack([one.energy for one in gathered]), axis=0).astype(np.float32)
    values = np.median(np.array([one.values for one in gathered]), axis=0)
    reference = Reference(
        learned_at_us=at_us,
        samples=len(gathered),
        size=(now.width, now.height),
        rows=background.shape[0],
        columns=background.shape[1],
        background=background.tobytes(),
        presence=np.rint(presence * 255).astype(np.uint8).tobytes(),
        fine_energy=energy.tobytes(),
        **dict(zip(_VALUES, map(float, values), strict=True)),  # type: ignore[arg-type]
    )
    return reference, coherence
