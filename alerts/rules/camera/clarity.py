"""CAM-03 clarity abnormal (清晰度异常): blurred, and the faults of a picture that have no code of their own.

These are noise and snow, over-exposure and a colour cast; `causes.kind` names which. Each is held against the camera's
own reference for that light, where there is one: a lamp in the view or orange street light is no fault.
Measures: Laplacian variance after denoising; Immerkær 1996 for noise; mean chroma.
"""

from pydantic import Field

from alerts.rules.camera.counting import Counts
from core.camera import QualityFigures


class ClaritySettings(Counts):
    """CAM-03."""

    sharpness_ratio: float = Field(default=0.25, ge=0, description="Sharpness below which it is blurred, ÷ reference.")
    noise: float = Field(default=4.0, gt=0, description="Standard deviation of luma noise above which it is noisy …")
    noise_ratio: float = Field(default=2.5, gt=0, description="… and so many times the reference's.")
    bright_share: float = Field(default=0.35, gt=0, le=1, description="Share of white pixels that is over-exposed …")
    bright_change: float = Field(default=0.2, ge=0, le=1, description="… and so much more than the reference's.")
    cast: float = Field(default=0.12, gt=0, le=2, description="Change of the mean colour that is a cast, ÷ 128.")
    cast_unknown: float = Field(
        default=0.3, gt=0, le=2, description="Mean colour that is a cast while no reference is known, ÷ 128."
    )


def unclear(figures: QualityFigures, light: int | None, settings: ClaritySettings) -> str:
    """`noise`, `over_exposed`, `cast`, `blurred`, or nothing."""
    if figures.noise > settings.noise and _at_least(figures.noise_ratio, settings.noise_ratio):
        return "noise"
    if figures.bright_share > settings.bright_share and _at_least(figures.bright_change, settings.bright_change):
        return "over_exposed"
    known = figures.cast_change is not None
    if (figures.cast_change or 0) > settings.cast or (not known and figures.cast > settings.cast_unknown):
        return "cast"
    if figures.sharpness_ratio is not None and figures.sharpness_ratio < settings.sharpness_ratio:
        return "blurred"
    return ""


def _at_least(value: float | None, least: float) -> bool:
    """Whether a figure against the reference agrees; without a reference the absolute one decides."""
    return value is None or value >= least
