"""CAM-05 frozen picture: packets come, but the decoded picture has not changed at all."""

from pydantic import Field

from alerts.rules.camera.counting import Counts
from core.camera import QualityFigures


class FrozenSettings(Counts):
    """CAM-05."""

    bad: int = Field(default=2, ge=1, le=16, description="Samples that open, of the last `of`.")
    of: int = Field(default=3, ge=1, le=16, description="Samples that are looked at.")
    good: int = Field(default=2, ge=1, le=16, description="Good samples in a row that end.")
    after_s: float = Field(default=30.0, gt=0, description="Seconds without any change that make a sample bad.")


def frozen(figures: QualityFigures, light: int | None, settings: FrozenSettings) -> str:
    """`frozen`, or nothing."""
    return "frozen" if figures.frozen_s >= settings.after_s else ""
