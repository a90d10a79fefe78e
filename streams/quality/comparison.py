"""One picture against its camera's reference: figures and score. Pure.

Score (1: as good as its own reference, 0: useless) is the product of parts, each 1 down to its first number and 0
from its second one on:

| part | of | 1 | 0 |
|---|---|---|---|
| light | luma_p95 ÷ the least of 64 and 0.6 × the reference's | 1 | 0.4 |
| sharp | sharpness_ratio | 0.7 | 0.1 |
| whole | edges_lost (of a view that has not moved) | 0.35 | 0.9 |
| still | shift_share; 0 where the view is another one | 0.01 | 0.15 |
| exposed | bright_change (bright_share − 0.25 without a reference) | 0.1 | 0.6 |
| clean | noise ÷ the greater of 4 and 1.5 × the reference's | 1 | 5 |
| neutral | cast_change (cast − 0.1 without a reference) | 0.06 | 0.3 |
| moving | frozen_s | 15 s | 30 s |
"""

from dataclasses import dataclass
from math import prod

from core.camera import QualityFigures
from streams.quality.measures import BLIND_P95, Measured
from streams.quality.reference import LEAST_EDGE, Template

LEAST_FINE_SHARE = 1.0
"""fine_share that any usable picture has, day or night, after a sub-stream's coding (measured: bench/quality.py)."""
LEAST_EDGE_SHARE = 0.02
"""Share of a usable picture's coarse pixels that are edges (gradient ≥ LEAST_EDGE)."""
BURNT_SHARE, BURNT_CHANGE = 0.35, 0.2
"""bright_share, and how much of it is new, above which structure is burnt away: over-exposed, not covered."""
ANOTHER_VIEW = 0.5
"""edges_lost from which, with enough edges, the view is taken for another one."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures without frozen_s, and whether the picture fits its reference (None: there is none)."""

    figures: QualityFigures
    fits: bool | None
    differs: bool
    """A sharp, well exposed picture of something else: what a camera that was turned on purpose shows."""
    healthy: bool
    """Good enough by absolute limits to learn from."""
    structured: bool
    """There is something to be seen, so that standing still can be judged."""


def compare(now: Measured, template: Template | None) -> Comparison:
    """Figures of one picture. template None, or one of another shape of picture: absolute limits only."""
    if template is not None and template.shape != now.coarse.shape:
        template = None
    edge_share = float((now.gradient >= LEAST_EDGE).mean())
    structured = now.luma_p95 >= BLIND_P95 and edge_share >= LEAST_EDGE_SHARE
    healthy = (
        structured
        and now.fine_share >= LEAST_FINE_SHARE
        and now.luma_p95 >= 40
        and now.bright_share <= 0.4
        and now.noise <= 15
        and now.cast <= 0.3
    )
    if template is None:
        figures = _absolute(now, edge_share)
        return Comparison(figures, None, False, healthy, structured)
    figures = _relative(now, template)
    structured = structured and not _is_burnt(now, template)
    return Comparison(
        figures, healthy and _fits(figures), healthy and _differs(now, figures, template), healthy, structured
    )


def _absolute(now: Measured, edge_share: float) -> QualityFigures:
    sharp, edges, lost = None, None, None
    if now.luma_p95 >= BLIND_P95:
        if edge_share < LEAST_EDGE_SHARE:
            edges, lost = edge_share / LEAST_EDGE_SHARE, 1 - edge_share / LEAST_EDGE_SHARE
        elif now.fine_share < LEAST_FINE_SHARE:
            sharp = now.fine_share / LEAST_FINE_SHARE
    return _figures(now, sharp, lost, None, edges, now.noise)


def _relative(now: Measured, template: Template) -> QualityFigures:
    reference = template.reference
    sharp, lost, shift, edges = None, None, None, None
    bright_change = now.bright_share - reference.bright_share
    if now.luma_p95 >= BLIND_P95 and not _is_burnt(now, template):
        present = template.present(now)
        sharp, lost = template.sharpness_ratio(now, present), template.edges_lost(now, present)
        shift, edges = template.shift(now, present), template.edges_ratio(now, present)
        if sharp is not None and now.fine_share < LEAST_FINE_SHARE:
            sharp = min(sharp, now.fine_share / LEAST_FINE_SHARE)
    noise = max(now.noise, now.bands - reference.bands)
    return _figures(
        now, sharp, lost, shift, edges, noise,
        contrast_ratio=now.contrast / template.contrast,
        luma_ratio=now.luma_p95 / max(1.0, reference.luma_p95),
        noise_ratio=noise / max(1.0, reference.noise),
        cast_change=template.cast_change(now),
        bright_change=bright_change,
    )  # fmt: skip


def _is_burnt(now: Measured, template: Template) -> bool:
    more = now.bright_share - template.reference.bright_share
    return now.bright_share > BURNT_SHARE and more > BURNT_CHANGE


def _figures(
    now: Measured,
    sharpness_ratio: float | None,
    edges_lost: float | None,
    shift_share: float | None,
    edges_ratio: float | None,
    noise: float,
    **against: float,
) -> QualityFigures:
    return QualityFigures(
        luma_mean=now.luma_mean,
        luma_p95=now.luma_p95,
        dark_share=now.dark_share,
        bright_share=now.bright_share,
        sharpness_ratio=sharpness_ratio,
        edges_lost=edges_lost,
        shift_share=shift_share,
        noise=noise,
        cast=now.cast,
        frozen_s=0.0,
        width=now.width,
        height=now.height,
        edges_ratio=edges_ratio,
        **against,
    )


def _fits(figures: QualityFigures) -> bool:
    """Whether a picture may move its reference a little."""
    return (
        0.6 <= (figures.sharpness_ratio or 0) <= 2.5
        and (figures.edges_lost or 0) <= 0.4
        and (figures.shift_share or 0) <= 0.01
        and (figures.noise_ratio or 0) <= 2
        and (figures.cast_change or 0) <= 0.08
        and (figures.bright_change or 0) <= 0.15
        and (figures.luma_ratio or 0) >= 0.5
    )


def _differs(now: Measured, figures: QualityFigures, template: Template) -> bool:
    elsewhere = (figures.edges_lost or 0) > ANOTHER_VIEW or (figures.shift_share or 0) > 0.01
    return elsewhere and now.fine_share >= 0.6 * template.reference.fine_share and (figures.noise_ratio or 0) <= 2


def score_of(figures: QualityFigures) -> float:
    """0–1 by the table above."""
    lit = figures.luma_p95 / 64
    if figures.luma_ratio:
        lit = max(lit, figures.luma_ratio / 0.6)
    bright = figures.bright_share - 0.25 if figures.bright_change is None else figures.bright_change
    cast = figures.cast - 0.1 if figures.cast_change is None else figures.cast_change
    own_noise = figures.noise / figures.noise_ratio if figures.noise_ratio else 1.0
    moved = figures.shift_share
    lost = figures.edges_lost or 0.0
    if moved is None and lost > ANOTHER_VIEW and (figures.edges_ratio or 0) >= 0.5:
        moved = 1.0
    parts = (
        _part(lit, 1, 0.4),
        _part(1.0 if figures.sharpness_ratio is None or moved else figures.sharpness_ratio, 0.7, 0.1),
        _part(0.0 if moved else lost, 0.35, 0.9),
        _part(moved or 0.0, 0.01, 0.15),
        _part(bright, 0.1, 0.6),
        _part(figures.noise / max(4.0, 1.5 * own_noise), 1, 5),
        _part(cast, 0.06, 0.3),
        _part(figures.frozen_s, 15, 30),
    )
    return round(prod(parts), 3)


def _part(value: float, good: float, bad: float) -> float:
    return min(1.0, max(0.0, (value - bad) / (good - bad)))
